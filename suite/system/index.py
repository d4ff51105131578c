"""The package index, asked through pip: what requirements mean here, and which versions there are.

Wheels alone: what has none for this Python would be built for minutes, or not at all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tasks.task import RequestError

_QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1"}


@dataclass(frozen=True)
class Wheel:
    """A version of a package as the index offers it."""

    name: str
    """In its canonical form: ``scikit-learn``."""
    version: str
    url: str
    digest: str
    """SHA-256 of the file, in hexadecimal digits."""
    requires: tuple[str, ...] = ()
    """Its own requirements, such as ``numpy>=2``."""


def requirement(text: str) -> Requirement:
    """Reads a requirement. RequestError if it is none."""
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise RequestError(
            f"{text!r} is no requirement ({why}); write one as 'jax==0.10.1' or 'optax<0.2.6'"
        ) from None


@dataclass(frozen=True)
class Index:
    """Where pip looks for packages: its own ``options``, such as ``--find-links``; else its own
    settings."""

    options: tuple[str, ...] = ()

    def resolved(self, requirements: Sequence[str], fixed: Iterable[str] = ()) -> list[Wheel]:
        """The wheels that an environment which meets the ``requirements`` has and this one has not.

        What is named is the newest that meets them; of all else, only what has to change for it
        does. ``fixed`` are constraints. RequestError if they cannot be met.
        """
        for text in requirements:
            requirement(text)
        with tempfile.TemporaryDirectory() as folder:
            report, constraints = Path(folder) / "report.json", Path(folder) / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in fixed), encoding="utf-8")
            done = _pip(
                *("install", "--dry-run", "--quiet", "--upgrade", "--report", str(report)),
                *("--only-binary", ":all:", "--constraint", str(constraints)),
                *(*self.options, *requirements),
            )
            if done.returncode:
                raise RequestError(
                    f"pip cannot meet {', '.join(requirements)}: {_error(done)}; "
                    "`pip index versions NAME` lists what the index offers, --index-url and "
                    "--find-links name another"
                )
            told = json.loads(report.read_text(encoding="utf-8"))
            return [_wheel(entry) for entry in told["install"]]

    def versions(self, name: str) -> list[str]:
        """The versions of a package that have a wheel for this Python, oldest first.

        RequestError if the index does not know it.
        """
        # pre-releases are asked for, too: between two of them lie others
        asked = ("index", "versions", "--pre", "--only-binary", ":all:", *self.options, name)
        done = _pip(*asked)
        listed = re.search(r"^Available versions: (.*)$", done.stdout, re.M)
        if done.returncode or not listed:
            raise RequestError(f"pip cannot list the versions of {name}: {_error(done)}")
        return sorted(map(str.strip, listed[1].split(",")), key=Version)

    def install(self, wheel: Wheel, folder: Path) -> None:
        """Unpacks a wheel, and nothing that it requires, into a new folder. RequestError if not."""
        source = f"{wheel.url}#sha256={wheel.digest}" if wheel.digest else wheel.url
        done = _pip("install", "--quiet", "--no-deps", "--target", str(folder), source)
        if done.returncode:
            raise RequestError(
                f"pip cannot install {wheel.name} {wheel.version} from {wheel.url}: {_error(done)}"
            )


def between(versions: Sequence[str], before: str, after: str) -> list[str]:
    """Those of the versions that lie between two, in the order from ``before`` to ``after``.

    Without pre-releases, unless one of the two is one.
    """
    try:
        first, last = Version(before), Version(after)
    except InvalidVersion:
        return []
    early = first.is_prerelease or last.is_prerelease
    low, high = sorted((first, last))
    own = [v for v in versions if low < Version(v) < high]
    own = sorted((v for v in own if early or not Version(v).is_prerelease), key=Version)
    return own if first < last else own[::-1]


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    # -P: a folder called pip or packaging where the user stands is none of ours
    return subprocess.run(
        [sys.executable, "-P", "-m", "pip", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **_QUIET},
    )


def _error(done: subprocess.CompletedProcess[str]) -> str:
    """The reason that pip gives, on one line."""
    if "No module named pip" in done.stderr:
        return "this environment has no pip; `python -m ensurepip` installs it"
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    if not lines:
        return f"exit code {done.returncode}"
    # the list of all versions that were rejected may be longer than a screen
    return re.sub(r" \(from versions: [^)]{60,}\)", "", lines[0].removeprefix("ERROR: "))


def _wheel(entry: dict[str, Any]) -> Wheel:
    """A line of pip's report: https://pip.pypa.io/en/stable/reference/installation-report/."""
    metadata, source = entry["metadata"], entry["download_info"]
    hashes = source.get("archive_info", {}).get("hashes", {})
    return Wheel(
        name=canonicalize_name(metadata["name"]),
        version=metadata["version"],
        url=source["url"],
        digest=hashes.get("sha256", ""),
        requires=tuple(metadata.get("requires_dist", ())),
    )
