"""Copies of the program with errors in them."""

from __future__ import annotations

import shutil
from pathlib import Path

import backends

ROOT = Path(backends.__file__).parent.parent


def plant(folder: Path, file: str, right: str, wrong: str) -> None:
    """A copy of the program in ``folder`` with one error in it."""
    for package in ("suite", "tasks", "backends"):
        shutil.copytree(ROOT / package, folder / package)
    target = folder / "backends" / file
    source = target.read_text()
    assert source.count(right) == 1
    target.write_text(source.replace(right, wrong))
