"""How numbers and names are written: the same in the page, in Markdown and in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import backends

NOTHING = "–"  # noqa: RUF001  (an en dash, as tables have it)


def backend(name: str) -> str:
    """How a backend is called in a text; by its name if there is none of that any more."""
    return backends.load(name).TITLE if name in backends.names() else name


def order(backend_: str, mode: str) -> int:
    """The place of a mode among those of its backend, the default at 0; 0 for what is not known."""
    known = backends.load(backend_).MODES if backend_ in backends.names() else ()
    return known.index(mode) if mode in known else 0


def name(backend_: str, mode: str, all_: Iterable[tuple[str, str]] = ()) -> str:
    """A backend, with its mode unless it is the default and the only one among ``all_``.

    ``all_`` are (backend, mode).
    """
    several = len({m for b, m in all_ if b == backend_}) > 1
    return backend(backend_) + (f" ({mode})" if several or order(backend_, mode) else "")


def figure(value: float | None) -> str:
    """A loss, an accuracy or the like, to four decimals, fewer where it is large."""
    if value is None:
        return NOTHING
    size = abs(value)
    return f"{value:,.{4 if size < 10 else 2 if size < 100 else 1}f}"


def rate(value: float | None) -> str:
    """Samples per second, to three digits or so: ``4,312``, ``41.2k``, ``1.24M``."""
    if value is None:
        return NOTHING
    if value >= 1e6:
        return f"{value / 1e6:,.2f}M"
    return f"{value / 1e3:,.1f}k" if value >= 1e4 else f"{value:,.0f}"


def ratio(value: float | None) -> str:
    """How many times as fast."""
    return NOTHING if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    """A fraction: ``42%``, ``4.2%``, ``0.042%``."""
    return NOTHING if value is None else f"{100 * value:.2g}%" if value < 0.995 else f"{value:.0%}"


def seconds(value: float | None) -> str:
    """A duration, finer where it is short."""
    if value is None:
        return NOTHING
    if value < 0.0005:
        return "0"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.095 else 3
    return f"{value:,.{digits}f}"


def megabytes(value: float | None) -> str:
    """Bytes as megabytes."""
    return NOTHING if value is None else f"{value / 1e6:,.0f}"


def error(value: float | None) -> str:
    """A relative error."""
    if value is None:
        return NOTHING
    return f"{value:.1e}" if value else "0"


def count(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in short: ``0 to 4, 7``."""
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs(numbers))


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Whole numbers as runs of neighbours, each its first and last."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found
