"""Paths that users give, by an option or an environment variable: all are read by one rule."""

from __future__ import annotations

import os
from pathlib import Path

from tasks.task import RequestError


def given(path: str | os.PathLike[str] | None) -> Path | None:
    """The path with ``~`` or ``~user`` expanded, else as it is; None for an empty one or None.

    Shells expand ``~`` themselves, but neither in files of variables nor in ``--option=~/path``.
    Other paths are relative to the folder where the program was started. RequestError if nobody
    has that home.
    """
    if path is None or not os.fspath(path):
        return None
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise RequestError(
            f"{path} begins with the home of a user who is not known here; write the path in full, "
            "or ./~ for a folder of that name"
        ) from None


def from_variable(name: str) -> Path | None:
    """The path that an environment variable gives; None if it is empty or not set."""
    return given(os.environ.get(name))
