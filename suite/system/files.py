"""Files that are written whole or not at all, and remedies for those that cannot be."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of ``path`` when the block has ended well.

    A reader never sees half of it, and it outlives the loss of power. Who may read it, the user's
    umask says. OSError if it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # that it has its name there
    finally:
        os.close(folder)


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


def write_text(path: Path, text: str) -> None:
    """Writes text so. OSError as above."""
    with replaced(path) as file:
        file.write(text.encode())
