"""Figures that a lecture prints, beside ours. They are no targets."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suite.records.events import Outcome
from suite.records.record import Record

PARAMETERS = "parameters"


@dataclass(frozen=True)
class Beside:
    """A figure of a lecture, and ours by ``backend:mode``: medians over seeds."""

    quantity: str
    printed: float
    ours: dict[str, float]

    def shown(self, value: float | None) -> str:
        """A value of it in a table."""
        if value is None:
            return "-"
        return f"{value:,.0f}" if self.quantity == PARAMETERS else f"{value:.4f}"


def printed(found: Sequence[Record]) -> dict[str, str] | None:
    """The lecture's ``document`` and why ours ``differs``; None where it prints nothing of it."""
    one = next((r.lecture for r in _those(found)), None)
    return one and {"document": one["document"], "differs": one["differs"]}


def beside(found: Sequence[Record]) -> list[Beside]:
    """The figures of the lecture on one task beside those of its records; none if there are none.

    With early stopping, another training than the lecture's was made.
    """
    good = list(_those(found))
    figures = good[0].lecture["figures"] if good and good[0].lecture else {}
    return [
        Beside(_name(metric, epoch, values), value, _ours(good, metric, epoch, values))
        for metric, values in figures.items()
        for epoch, value in enumerate(values, 1)
    ]


def _those(found: Sequence[Record]) -> Iterator[Record]:
    """The records that a lecture prints figures of."""
    whole = (r for r in found if r.outcome is Outcome.OK and r.cell.early_stopping is None)
    return (r for r in whole if r.lecture)


def _name(metric: str, epoch: int, values: Sequence[float]) -> str:
    return metric if len(values) == 1 else f"{metric}, epoch {epoch}"


def _ours(
    good: Sequence[Record], metric: str, epoch: int, values: Sequence[float]
) -> dict[str, float]:
    by_backend: dict[str, list[float]] = {}
    for record in good:
        place = epoch if len(values) > 1 else len(record.epochs)
        (ended,) = record.epochs[place - 1 : place]
        known = record.specification if metric == PARAMETERS else ended["metrics"]
        if (value := known.get(metric)) is not None:
            by_backend.setdefault(record.cell.backend_label, []).append(value)
    return {name: statistics.median(own) for name, own in by_backend.items()}
