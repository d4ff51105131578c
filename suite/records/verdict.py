"""Verdicts: whether a backend computes the same model as the oracle, and what was compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from suite.records.events import Outcome
from tasks.task import Precision

AGAIN = "again/"
"""In a trace, before a leaf's name: how far its gradient differs when it is computed again."""
RESTORED = "restored/"
"""In a trace, before a name: how far it differs once the initial state is restored."""
UNFROZEN = "unfrozen/"
"""In a trace, before a frozen leaf's name: how far training moved it."""

PRECISIONS: tuple[Precision, ...] = ("float32", "float64")
"""In which all backends are verified unless others are named."""


@dataclass(frozen=True)
class Deviation:
    """One quantity compared: its largest error, the error that is allowed, and the place."""

    quantity: str
    error: float | None
    """None where the comparison itself was impossible."""
    tolerance: float
    where: str
    """The leaf or output with the largest error; of losses, the first step out of tolerance."""
    passed: bool
    precision: str = ""
    """Empty in records of before a verdict rested on two precisions."""

    def __str__(self) -> str:
        name = f"{self.quantity} in {self.precision}" if self.precision else self.quantity
        if self.error is None:
            return f"{name}: {self.where}"
        most = "first at" if self.where.startswith("step ") else "most at"
        allowed = f"error {self.error:.1e}, allowed {self.tolerance:.0e}"
        return f"{name} differs {most} {self.where}: {allowed}"


@dataclass(frozen=True)
class Verdict:
    """The result of the proof for one backend in one mode and precision."""

    task: str
    backend: str
    precision: Precision
    steps: int
    findings: tuple[Deviation, ...]
    outcome: Outcome = Outcome.OK
    """The worker's outcome; findings exist only if it is "ok"."""
    reason: str | None = None
    mode: str = ""
    """Empty in records of before there were modes."""
    device: str = "cpu"
    oracle: str = "numpy"
    """The backend whose float64 it was held against."""
    located: str = ""
    """The first operation that adds error, if that was looked for."""
    cause: str | None = None
    """The explanation of the difference, if it was looked for, or that there is none known."""
    uncompared: tuple[str, ...] = ()
    """Parameters whose first gradients are 0 but for rounding, in both: neither these, nor their
    slots and steps, are compared. Empty in records of before they were listed."""

    @property
    def backend_label(self) -> str:
        """The backend as it is asked for: ``backend:mode``."""
        return f"{self.backend}:{self.mode}"

    @property
    def tested(self) -> bool:
        """Tells if there is anything to judge: the backend and its device are here."""
        return self.outcome is not Outcome.SKIPPED

    @property
    def verified(self) -> bool:
        """Tells if the backend computes the same model."""
        return self.outcome is Outcome.OK and all(f.passed for f in self.findings)

    @property
    def left_out(self) -> str | None:
        """The parameters that are not compared, and why; None if all are."""
        if not self.uncompared:
            return None
        return f"{', '.join(self.uncompared)} not compared: the first gradients are rounding alone"

    @property
    def explanation(self) -> str | None:
        """Why it is not verified: phase, quantities and cause; None if it is."""
        if self.outcome is not Outcome.OK:
            return f"{self.outcome}: {self.reason}"
        failed = [finding for finding in self.findings if not finding.passed]
        if not failed:
            return None
        phase = PHASES.get(failed[0].quantity)
        said = "; ".join(map(str, failed))
        said = f"{phase}: {said}" if phase else said
        return "; ".join(filter(None, (said, self.located, self.cause)))


PHASES = {
    "initial loss": "the forward pass differs",
    "initial prediction": "the loss agrees, the outputs of evaluation differ",
    "gradient": "the loss agrees, its gradients differ",
    "loss": "the first gradients agree, the update or what it carries on differs",
    "state": "the losses agree, the state after the steps differs",
    "prediction": "training agrees, the outputs of evaluation after it differ",
    "timed losses": "the proof holds, but training and timing take another path",
}
"""The phase that differs, by the first quantity that fails: they come in the order in which a model
computes."""


def joined(own: Verdict, exact: Verdict) -> Verdict:
    """The verdict that rests on two: the one in a cell's precision, and the one in float64."""
    worse = exact if own.outcome is Outcome.OK else own
    return replace(
        own,
        findings=own.findings + exact.findings,
        cause=own.cause or exact.cause,
        uncompared=tuple(name for name in own.uncompared if name in exact.uncompared),
        outcome=worse.outcome,
        reason=worse.reason,
    )


def verdict_from(document: Mapping[str, Any]) -> Verdict:
    """The verdict that ``asdict`` made a document of."""
    findings = tuple(Deviation(**f) for f in document["findings"])
    outcome, uncompared = Outcome(document["outcome"]), tuple(document.get("uncompared", ()))
    read = {"findings": findings, "outcome": outcome, "uncompared": uncompared}
    return Verdict(**{**document, **read})
