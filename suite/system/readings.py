"""Readings of what the system says of itself, which may be missing, cut off or of another form.

A reading never fails: it costs no result that a container hides a file, that a thread ends while
it is read, or that a kernel writes a number otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NOT_READABLE = "not readable"
"""The ledger's word for a fact that could not be read."""


def readable(read: Callable[[], T]) -> T | None:
    """Returns what ``read`` returns; None if it raises, whatever it is."""
    try:
        return read()
    except Exception:  # noqa: BLE001  (psutil, NVML and /proc fail in ways that nobody lists)
        return None


def text(path: Path) -> str | None:
    """The text of a file, stripped; None if it is empty or cannot be read.

    What is no UTF-8 is replaced: Linux cuts the names of threads within a character.
    """
    return readable(lambda: path.read_text(encoding="utf-8", errors="replace").strip()) or None
