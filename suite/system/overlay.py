"""Environments that differ from this one in some packages alone: these stand in front of ours.

An environment is a Python of its own whose search path has a folder for each of these packages,
then those of this environment. A version is installed once, for all environments that have it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import site
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from suite.system import environment, packages
from suite.system.index import Index, Wheel, requirement
from tasks.paths import because
from tasks.task import RequestError

ABSENT = "none"
"""The version of a package that is not there."""


@dataclass(frozen=True)
class Overlay:
    """Wheels that stand in front of what is installed here, at most one of each package."""

    wheels: tuple[Wheel, ...] = ()

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """The version of every package, ours included, by canonical name."""
        return {**installed(), **{wheel.name: wheel.version for wheel in self.wheels}}

    def version(self, name: str) -> str:
        """The version of a package; ABSENT if it has none."""
        return self.versions.get(name, ABSENT)

    def needs(self, name: str) -> Iterator[Requirement]:
        """The requirements of a package in its version here, without those of its extras."""
        for text in self._requires(name):
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                yield need

    def _requires(self, name: str) -> Sequence[str]:
        for wheel in self.wheels:
            if wheel.name == name:
                return wheel.requires
        try:
            return importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            return ()

    def conflicts(self) -> list[str]:
        """The requirements that are not met since these wheels are there, in words."""
        own = {wheel.name for wheel in self.wheels}
        found = []
        for name, version in self.versions.items():
            for need in self.needs(name):
                required = canonicalize_name(need.name)
                has = self.version(required)
                if own & {name, required} and not meets(need, has):
                    found.append(f"{name} {version} requires {need}, and {required} is {has}")
        return found

    def with_wheels(self, wheels: Iterable[Wheel]) -> Overlay:
        """The same with others, each in the place of the one that it is a version of."""
        own = {wheel.name: wheel for wheel in (*self.wheels, *wheels)}
        return Overlay(tuple(own[name] for name in sorted(own)))

    def taking(self, names: Iterable[str], other: Overlay) -> Overlay:
        """The same, but with the packages ``names`` as ``other`` has them."""
        wanted = set(names)
        kept = (wheel for wheel in self.wheels if wheel.name not in wanted)
        return Overlay(tuple(kept)).with_wheels(w for w in other.wheels if w.name in wanted)

    def changed(self, base: Overlay) -> dict[str, tuple[str, str]]:
        """The packages whose versions differ, by name: that of ``base``, and the one here."""
        names = sorted({wheel.name for wheel in (*self.wheels, *base.wheels)})
        pairs = {name: (base.version(name), self.version(name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def key(self) -> str:
        """Digest of the wheels, of this Python and of where its packages lie."""
        facts = [[_folder_name(w) for w in self.wheels], sys.executable, sys.version, ours()]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def meets(need: Requirement, version: str) -> bool:
    """Tells if a version is what a requirement asks for; one that cannot be read is."""
    try:
        return version != ABSENT and need.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return True


def installed() -> dict[str, str]:
    """The version of every package here, by canonical name."""
    return {canonicalize_name(n): v for n, v in environment.package_versions().items()}


def ours() -> list[str]:
    """The folders of packages that this Python searches, in that order."""
    known = site.getsitepackages()
    known += [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [folder for folder in sys.path if folder in known]


def asked(wanted: Sequence[str], index: Index, named: set[str] | None = None) -> Overlay:
    """The environment that is asked for: by requirements, a file of constraints, or a Python.

    Of a file and of a Python, the versions that differ from those here count. Every package that
    was named is added to ``named``. RequestError for what is none of them, or cannot be met.
    """
    lines = [line for one in wanted for line in requirements(one)]
    if named is not None:
        named |= {canonicalize_name(requirement(line).name) for line in lines}
    return Overlay().with_wheels(index.resolved(lines)) if lines else Overlay()


def requirements(wanted: str) -> list[str]:
    """The requirements that one word stands for."""
    path = Path(wanted).expanduser()
    if not path.is_file():
        return [str(requirement(wanted))]
    if os.access(path, os.X_OK):
        pins = {canonicalize_name(name): v for name, v in _versions_of(path).items()}
        return [f"{name}=={v}" for name, v in pins.items() if installed().get(name, v) != v]
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            read = requirement(text)
            version = installed().get(canonicalize_name(read.name))
            if version and not meets(read, version):
                found.append(str(read))
    return found


def _versions_of(python: Path) -> Mapping[str, str]:
    """The versions that another Python has. RequestError if it is another Python than this."""
    code = "import json, sys; print(json.dumps([sys.version_info[:2], sys.path]))"
    try:
        done = subprocess.run(
            [str(python), "-P", "-c", code], capture_output=True, text=True, check=True
        )
        version, path = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise RequestError(f"{python} is no Python that can be asked: {error}") from None
    if tuple(version) != sys.version_info[:2]:
        theirs, own = (".".join(map(str, v[:2])) for v in (version, sys.version_info))
        raise RequestError(
            f"{python} is Python {theirs}, this one is {own}: packages of the two cannot be mixed; "
            f"`tetragrad compare --base-python {python}` times them as they are"
        )
    return packages.versions(path)


class Environments:
    """Makes environments in a ``folder``, and keeps them for the next time."""

    def __init__(self, folder: Path, index: Index):
        self._folder, self._index = folder.resolve(), index

    def python(self, overlay: Overlay) -> str:
        """The Python of an environment; made if need be. RequestError if it cannot be."""
        place = self._folder / "pythons" / overlay.key
        if not place.is_dir():
            folders = [str(self._installed(wheel)) for wheel in overlay.wheels]
            try:
                with _new(place) as made:
                    _make(made, [*folders, *ours()])
            except OSError as error:
                raise RequestError(f"{place} cannot be made {because(error)}") from None
        return str(place / "bin" / "python")

    def _installed(self, wheel: Wheel) -> Path:
        """The folder of a wheel's files."""
        place = self._folder / "packages" / _folder_name(wheel)
        if not place.is_dir():
            with _new(place) as made:
                self._index.install(wheel, made)
        return place


@contextmanager
def _new(place: Path) -> Iterator[Path]:
    """A folder to fill that becomes ``place`` when the block has ended well."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=place.parent) as folder:
        made = Path(folder) / place.name
        yield made
        with suppress(FileExistsError):  # another process was faster
            made.rename(place)


def _make(place: Path, folders: Sequence[str]) -> None:
    """Makes a Python that searches the folders in that order."""
    venv.EnvBuilder(symlinks=True).create(place)
    (packages_folder,) = place.glob("lib/python*/site-packages")
    # not their plain paths: the .pth files that lie in them count, too
    lines = (f"import site; site.addsitedir({folder!r})\n" for folder in folders)
    (packages_folder / "tetragrad.pth").write_text("".join(lines), encoding="utf-8")


def _folder_name(wheel: Wheel) -> str:
    return f"{wheel.name}-{wheel.version}-{wheel.digest[:12]}"
