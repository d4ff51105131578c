"""Verdicts: whether a backend computes the same model as the oracle, and what was compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from suite.records.events import Outcome
from tasks.task import Precision

ORACLE = "numpy"

PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
"""In which all backends are verified unless others are named."""


@dataclass(frozen=True)
class Deviation:
    """One quantity compared: its largest error, what was allowed, and where it first parted."""

    quantity: str
    error: float | None
    """None where the comparison itself was impossible."""
    tolerance: float
    where: str
    """The first leaf or step out of tolerance, or the one with the largest error."""
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """What was found of one backend in one mode and precision."""

    task: str
    backend: str
    precision: Precision
    steps: int
    findings: tuple[Deviation, ...]
    outcome: Outcome = Outcome.OK
    """Of the worker; findings exist only if "ok"."""
    reason: str | None = None
    mode: str = ""
    """Empty in records of before there were modes."""
    device: str = "cpu"

    @property
    def backend_label(self) -> str:
        """The backend as it is asked for: ``backend:mode``."""
        return f"{self.backend}:{self.mode}"

    @property
    def verified(self) -> bool:
        """Whether the backend computes the same model."""
        return self.outcome is Outcome.OK and all(f.passed for f in self.findings)

    @property
    def explanation(self) -> str | None:
        """Why it is not verified, naming the first leaf or step that parts; None if it is."""
        if self.outcome is not Outcome.OK:
            return f"{self.outcome}: {self.reason}"
        failed = [
            f"{f.quantity} parts at {f.where}: error {f.error:.1e}, allowed {f.tolerance:.0e}"
            if f.error is not None
            else f"{f.quantity}: {f.where}"
            for f in self.findings
            if not f.passed
        ]
        return "; ".join(failed) or None


def verdict_from(document: Mapping[str, Any]) -> Verdict:
    """The verdict that ``asdict`` made a document of."""
    findings = tuple(Deviation(**f) for f in document["findings"])
    return Verdict(**{**document, "findings": findings})
