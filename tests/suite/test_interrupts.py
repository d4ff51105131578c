"""Ctrl-C: the first is orderly, the second is not."""

from __future__ import annotations

import os
import signal

import pytest

from suite.system.interrupts import SIGNALS, Interrupts


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_raises_only_where_it_may(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        os.kill(os.getpid(), number)  # noted, and nothing more
        assert interrupts.seen
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            raise AssertionError("the block must not begin")


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_ends_the_work_at_hand(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            os.kill(os.getpid(), number)
        assert interrupts.seen


def test_the_second_always_raises_and_the_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert not interrupts.again
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.again
    assert [signal.getsignal(number) for number in SIGNALS] == before
