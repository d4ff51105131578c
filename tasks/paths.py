"""Paths that users give, by an option or an environment variable: all are read by one rule.

What cannot be read or written there has its remedy.
"""

from __future__ import annotations

import errno
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


_REMEDIES = {
    errno.ENOENT: "look for it, or name another",
    errno.EACCES: "mend its permissions, or name another",
    errno.EPERM: "mend its permissions, or name another",
    errno.EROFS: "that file system is read-only: name a place on another",
    errno.ENOSPC: "make room, or name a place on another disk",
    errno.EDQUOT: "make room, or name a place on another disk",
    errno.ENOTDIR: "a file is in the way: name a folder",
    errno.EEXIST: "a file is in the way: name a folder",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def because(error: OSError) -> str:
    """The system's own words for an error, and its remedy: ``(No space left on device): ...``."""
    remedy = _REMEDIES.get(error.errno or 0, "name another place")
    return f"({error.strerror or error}): {remedy}"
