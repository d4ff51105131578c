"""Unpacking in memory, never to disk, and never more than a limit."""

from __future__ import annotations

import gzip
import io
import zlib

from tasks.task import RequestError

UNPACKING_ERRORS = (OSError, EOFError, zlib.error)
"""Errors that ``gzip`` raises for content that is not a gzip file, or is cut off."""


def gunzip(content: bytes, limit: int) -> bytes:
    """The unpacked bytes of a gzip file; RequestError if it is none, or has more than ``limit``."""
    try:
        if not content:
            raise EOFError("it is empty")
        with gzip.open(io.BytesIO(content)) as file:
            unpacked: bytes = file.read(limit + 1)
    except UNPACKING_ERRORS as error:
        raise RequestError(f"not a whole gzip file ({error}); fetch it anew") from None
    if len(unpacked) > limit:
        raise RequestError(f"a gzip file is absurdly long: more than {limit} bytes; fetch it anew")
    return unpacked


class BoundedGzip(io.RawIOBase):
    """A gzip file to be read once, of at most ``limit`` unpacked bytes: then RequestError."""

    def __init__(self, content: bytes, limit: int):
        self._file = gzip.GzipFile(fileobj=io.BytesIO(content))
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(block)
        if self._left < 0:
            raise RequestError("an archive is absurdly long when unpacked; fetch it anew")
        return block
