"""Memory that a worker may use: a limit that the system enforces, and the signs of its end.

The limit is on private memory that can be written (Linux's RLIMIT_DATA). That of addresses,
RLIMIT_AS, would stop frameworks that reserve far more than they use: TensorFlow and JAX take 1.6 GB
of addresses for the 0.5 GB that they write to.
"""

from __future__ import annotations

import resource
import sys

from tasks.task import RequestError

_SIGNS = (
    *("memoryerror", "outofmemory", "out of memory", "bad_alloc"),
    *("can't allocate memory", "cannot allocate memory", "unable to allocate"),
    *("resource_exhausted", "resourceexhausted", "resource temporarily unavailable"),
)
"""Signs that memory ran out, in messages of Python, the frameworks, C++, the system; the last is
for a thread without room for its stack."""
_UNITS = {"M": 1 << 20, "G": 1 << 30}


def parse(text: str | None) -> int | None:
    """``512M`` or ``4G`` in bytes; RequestError for anything else, and where there is no limit."""
    if text is None:
        return None
    if not sys.platform.startswith("linux"):
        raise RequestError(f"--memory-limit {text} needs Linux; leave it out")
    number, unit = text[:-1], _UNITS.get(text[-1:].upper())
    if unit is None or not number.isdecimal() or not int(number):
        raise RequestError(f"--memory-limit {text} is no size; give one such as 512M or 4G")
    return int(number) * unit


def limit(size: int | None) -> None:
    """From here on this process gets no more than ``size`` [bytes], or all that it may have."""
    if size is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        least = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (least, hard))


def lift() -> None:
    """Ends the limit, so that what it did can be reported."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def ran_out(text: str) -> bool:
    """Tells if an error, or what a process printed before it died, says that memory ran out."""
    return any(sign in text.lower() for sign in _SIGNS)
