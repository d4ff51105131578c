"""Modules that a process has loaded, and the frameworks among them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

import backends
import tasks

IMPORTED = importlib.metadata.packages_distributions()
"""Distributions by the name that they are imported under."""


def modules_of(*packages: str) -> set[str]:
    """The names under which distributions are imported, those of them that are installed."""
    return {name for name, found in IMPORTED.items() if not {*packages}.isdisjoint(found)}


FRAMEWORKS = {m for b in backends.every() for m in modules_of(*b.PACKAGES)} - modules_of(
    *tasks.PACKAGES
)


def packages_of(modules: Iterable[str]) -> set[str]:
    """The top-level modules of these, and for the backends ``backends.<name>``."""
    names = [name.split(".") for name in modules]
    return {name[0] for name in names} | {".".join(n[:2]) for n in names if n[0] == "backends"}
