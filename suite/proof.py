"""The proof as a library: a port's own tests can hold it for ever.

from suite.proof import require_same

def test_my_port() -> None:
    require_same("ports/mine", backends=["torch", "jax"])
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import backends as registry
import tasks
from suite.records.cell import Cell
from suite.records.events import Event
from suite.records.record import Record
from suite.records.verdict import PRECISIONS, Verdict
from suite.session import verification
from suite.system import devices
from tasks.task import Precision, RequestError


class NotSame(AssertionError):
    """At least one backend does not compute the same model; the message has a line for each."""


def require_same(
    task: str | os.PathLike[str],
    backends: Sequence[str] = (),
    precisions: Sequence[Precision] = PRECISIONS,
    device: str = devices.CPU,
) -> None:
    """Proves that backends compute the same model of a task, as ``tetragrad verify`` does.

    ``task`` is the path of a folder, or a name; ``backends`` are ``torch``, ``torch:compile``, ...,
    or all for which it has a file. Each is run in processes of its own: none of their frameworks is
    loaded here. One that is asked for and cannot be run is not proved.

    Raises NotSame with what differs, and RequestError for what cannot be compared at all.
    """
    choices = tasks.choices(os.fspath(task))
    chosen = registry.chosen(backends, of=choices)
    for name, _ in choices:
        oracle = registry.oracle(name)
        if all(choice == oracle for choice in chosen):
            raise RequestError(f"only {':'.join(oracle)} is to be compared; name another backend")
    verdicts = verification.verify_all(
        choices, chosen, precisions, "auto", devices.parse(device), _Silent()
    )
    failed = [v for v in verdicts if not v.verified]
    if failed:
        raise NotSame("\n".join(map(_line, failed)))


def _line(verdict: Verdict) -> str:
    return f"{verdict.task} in {verdict.backend_label}, {verdict.precision}: {verdict.explanation}"


class _Silent:
    """A ``Reporter`` that nobody hears."""

    def say(self, text: str) -> None:
        pass

    def busy(self, text: str) -> None:
        pass

    def cell_event(self, cell: Cell, event: Event, epochs: int) -> None:
        pass

    def cell_finished(self, record: Record) -> None:
        pass
