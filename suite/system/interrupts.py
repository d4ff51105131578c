"""Ctrl-C, made orderly: the first one ends the work at hand, the second ends the program."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While entered, a first SIGINT or SIGTERM raises KeyboardInterrupt only inside ``raised``.

    Elsewhere it is noted in ``seen``, so that what is being written is written whole. A second one
    always raises, and is noted in ``again``: the work is to stop at once. For the main thread.
    """

    def __init__(self) -> None:
        self.seen = self.again = False
        self._raising = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """A block that a first signal ends; if it came before, the block does not begin."""
        self._raising = True
        try:
            if self.seen:
                raise KeyboardInterrupt
            yield
        finally:
            self._raising = False

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """A part of a ``raised`` block that a first signal ends only once the part is done."""
        self._raising = False
        yield
        self._raising = True
        if self.seen:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.again, self.seen = self.seen, True
        if self.again or self._raising:
            raise KeyboardInterrupt
