"""How it is computed: one folder, one framework, one process."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import cast

from backends.program import Backend
from tasks.task import RequestError, nearest

NAMES = ("numpy", "torch", "tensorflow", "jax")
ALL = "all"

Choice = tuple[str, str]
"""A backend's name and its mode."""


def load(name: str) -> Backend:
    """The backend ``name``, without its framework. RequestError if there is none of that name."""
    if name not in NAMES:
        there = f"{nearest(name, NAMES)}; the backends are: {', '.join(NAMES)}"
        raise RequestError(f"there is no backend {name!r}{there}")
    return cast(Backend, importlib.import_module(f"backends.{name}"))


def every() -> tuple[Backend, ...]:
    """All backends, without their frameworks, for what they declare of themselves."""
    return tuple(map(load, NAMES))


def lacking(name: str, task: str) -> str | None:
    """None, or that a backend has no file for a task."""
    if importlib.util.find_spec(f"backends.{name}.{task}"):
        return None
    return f"{task} has no {load(name).TITLE} implementation"


def unavailable(name: str, mode: str, task: str) -> str | None:
    """None, or why a backend cannot compute a task here in ``mode``, and what to do about it."""
    return lacking(name, task) or load(name).available(mode)


def choices(wanted: str, mode: str | None = None) -> tuple[Choice, ...]:
    """Returns the choices that ``backend``, ``backend:mode``, ``backend:all`` or ``all`` asks for.

    ``backend`` alone is in ``mode`` if it has that, or else in its first. RequestError for an
    unknown backend or mode.
    """
    if wanted == ALL:
        return tuple(choice for name in NAMES for choice in choices(f"{name}:{ALL}"))
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
    wanted: Sequence[str], mode: str | None = None, repeated: bool = False
) -> tuple[Choice, ...]:
    """All that ``wanted`` asks for, once each unless ``repeated``; of nothing, every backend.

    ``mode`` is for those that are wanted without one. RequestError if none of them has it.
    """
    found = tuple(choice for one in wanted or NAMES for choice in choices(one, mode))
    alone = [name for name in wanted or NAMES if name in NAMES]
    modes = {name: load(name).MODES for name in alone}
    if mode and not any(mode in known for known in modes.values()):
        there = "; ".join(f"{name}: {', '.join(known)}" for name, known in modes.items())
        raise RequestError(
            f"--mode {mode} is no mode of what is chosen; "
            + (f"modes are: {there}" if there else "give a --backend without a mode of its own")
        )
    return found if repeated else tuple(dict.fromkeys(found))
