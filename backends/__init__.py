"""How it is computed: one folder, one framework, one process."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import cast

import tasks
from backends.program import Backend
from tasks import outside
from tasks.task import RequestError, nearest

NAMES = ("numpy", "torch", "tensorflow", "jax")
"""The house's."""
GROUP = "tetragrad.backends"
"""Entry points: of a name, the package that offers what ``Backend`` says."""
ALL = "all"

Choice = tuple[str, str]
"""A backend's name and its mode."""


@functools.cache
def announced() -> Mapping[str, EntryPoint]:
    """The backends of installed packages. RequestError if two packages have the same."""
    return outside.by_name(GROUP)


def names() -> tuple[str, ...]:
    """All backends: the house's, then those that installed packages announce."""
    return (*NAMES, *(name for name in announced() if name not in NAMES))


def origin(name: str) -> str:
    """The package that a backend comes from."""
    return "tetragrad" if name in NAMES else outside.origin(announced()[name])


def load(name: str) -> Backend:
    """The backend ``name``, without its framework. RequestError if there is none of that name."""
    if name in NAMES:
        return cast(Backend, importlib.import_module(f"backends.{name}"))
    if name not in announced():
        there = f"{nearest(name, names())}; the backends are: {', '.join(names())}"
        raise RequestError(f"there is no backend {name!r}{there}")
    try:
        return cast(Backend, importlib.import_module(announced()[name].value))
    except Exception as error:
        raise RequestError(
            f"{origin(name)} announces the backend {name!r}, which cannot be imported "
            f"({type(error).__name__}: {error}); mend or uninstall it"
        ) from error


def folder(name: str) -> Path:
    """The folder of a backend's package. RequestError if there is none of that name."""
    file = load(name).__file__
    assert file is not None
    return Path(file).parent


def package(name: str) -> Mapping[str, str]:
    """The folder's path and the digest of its files, for a backend outside the house; else nothing.

    Its version may stay the same while it is written.
    """
    if name in NAMES:
        return {}
    return {"path": str(folder(name)), "sha256": outside.digest_of(folder(name))}


def every() -> tuple[Backend, ...]:
    """All backends, without their frameworks, for what they declare of themselves."""
    return tuple(map(load, names()))


def module(name: str, task: str) -> str:
    """The module that holds a backend's model of a task: ``backends.torch.lstm``.

    A task outside the house has it in its folder. RequestError if that is gone.
    """
    if own := tasks.implementation(task, name):
        return own
    package = f"backends.{name}" if name in NAMES else announced()[name].value
    return f"{package}.{task}"


def is_house(name: str, task: str) -> bool:
    """Tells if both a backend and a task are of the house: then there is a file, in its place."""
    return name in NAMES and not tasks.is_outside(task)


def source(name: str, task: str) -> Path | None:
    """The file of a backend's model of a task; None if there is none."""
    if is_house(name, task):
        file = Path(__file__).parent / name / f"{task}.py"
        return file if file.is_file() else None
    spec = _spec(name, task)
    return Path(spec.origin) if spec and spec.origin else None


def sources(task: str) -> list[tuple[str, Path | None]]:
    """Every backend with its file of a task. Nothing where the task is gone."""
    try:
        return [(name, source(name, task)) for name in names()]
    except RequestError:
        return []


def _spec(name: str, task: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module(name, task))
    except ModuleNotFoundError:  # the package that it would lie in is none
        return None


def lacking(name: str, task: str) -> str | None:
    """None, or that a backend has no file for a task."""
    if _spec(name, task):
        return None
    written = f": write {name}.py there" if tasks.is_outside(task) else ""
    return f"{outside.shown(task)} has no {load(name).TITLE} implementation{written}"


def oracle(task: str) -> Choice:
    """The backend whose model of a task, in float64, all others are held against.

    RequestError if the one that a task names has no file for it, or if no backend has.
    """
    there = [name for name in names() if lacking(name, task) is None]
    wanted = tasks.oracle(task) or next(iter(there), None)
    if wanted is None:
        files = ", ".join(f"{name}.py" for name in names())
        raise RequestError(f"{outside.shown(task)} has no model; write two or more of: {files}")
    if wanted not in there:
        raise RequestError(
            f"the oracle of {outside.shown(task)} is {wanted!r}, for which it has no file; there "
            f"are: {', '.join(there) or 'none'}"
        )
    return choices(wanted)[0]


def unavailable(name: str, mode: str, task: str) -> str | None:
    """None, or why a backend cannot compute a task here in ``mode``, and what to do about it."""
    return lacking(name, task) or load(name).available(mode)


def choices(wanted: str, mode: str | None = None) -> tuple[Choice, ...]:
    """Returns the choices that ``backend``, ``backend:mode``, ``backend:all`` or ``all`` asks for.

    ``backend`` alone is in ``mode`` if it has that, or else in its first. RequestError for an
    unknown backend or mode.
    """
    if wanted == ALL:
        return tuple(choice for name in names() for choice in choices(f"{name}:{ALL}"))
    name, colon, asked = wanted.partition(":")
    known = load(name).MODES
    if not colon:
        return ((name, mode if mode in known else known[0]),)
    if asked == ALL:
        return tuple((name, own) for own in known)
    if asked not in known:
        there = f"{nearest(asked, known)}; its modes are: {', '.join(known)}"
        raise RequestError(f"{name} has no mode {asked!r}{there}")
    return ((name, asked),)


def chosen(
    wanted: Sequence[str],
    mode: str | None = None,
    repeated: bool = False,
    of: Iterable[tasks.Choice] = (),
) -> tuple[Choice, ...]:
    """All that ``wanted`` asks for, once each unless ``repeated``.

    Of nothing, every backend: or if there are only tasks outside the house, ``of`` which they are
    wanted, those for which one has a file. ``mode`` is for those that are wanted without one.
    RequestError if none of them has it.
    """
    asked = wanted or _having_files([task for task, _ in of])
    found = tuple(choice for one in asked for choice in choices(one, mode))
    alone = [name for name in asked if name in names()]
    modes = {name: load(name).MODES for name in alone}
    if mode and not any(mode in known for known in modes.values()):
        there = "; ".join(f"{name}: {', '.join(known)}" for name, known in modes.items())
        raise RequestError(
            f"--mode {mode} is no mode of what is chosen; "
            + (f"modes are: {there}" if there else "give a --backend without a mode of its own")
        )
    return found if repeated else tuple(dict.fromkeys(found))


def named(
    wanted: Sequence[str], mode: str | None = None, of: Iterable[tasks.Choice] = ()
) -> tuple[Choice, ...]:
    """Returns those of the ``chosen`` that were asked for by name: a backend, its mode, ``mode``.

    One of them that cannot run here is a failure. Those that come of ``all``, or of nothing, may
    be missing.
    """
    alone = [one for one in wanted if one.rpartition(":")[2] != ALL]
    own = {choice for one in alone for choice in choices(one, mode)}
    there = dict.fromkeys(chosen(wanted, mode, of=of))
    return tuple(c for c in there if c in own or c[1] == mode)


def _having_files(of: Sequence[str]) -> tuple[str, ...]:
    if not of or not all(map(tasks.is_outside, of)):
        return names()
    found = (name for name in names() if any(lacking(name, task) is None for task in of))
    return tuple(found) or names()
