"""Equivalence: is a backend's implementation the same model as the float64 oracle?

From one seed: the initial loss, every gradient leaf, the loss of every one of N steps, the final
state, and every output of every kind of evaluation, before and after, each within the task's
envelope for the precision. NumPy's own gradients are checked by central differences. No speed
counts before this is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suite.records.verdict import AGAIN, RESTORED, UNFROZEN, Deviation
from tasks.task import Array, Envelope, Tree

CENTRAL_DIFFERENCES = 1e-6
"""A thousand times the cancellation error of a difference with the step that is used."""
UNITS = 64
"""A gradient is told from rounding if it is larger than so many units of it in the largest."""
TRAINED = ("gradient", "state")
"""Quantities of which every entry has to be finite; an output of evaluation may be infinite."""
NO_GRADIENT = "all are 0, which shows nothing: prove it from another seed, or from larger weights"
NOT_HELD = "is 0 to the bit in the oracle, and rounding here, of which an optimiser may make steps"
TIMED_LOSSES = "timed losses"
TIMED_STEPS = 8
"""Steps at the beginning of a cell's own training whose losses are held against the oracle's."""
TIMED = 0.02
"""The relative error that is allowed of these losses, as a part of how far they change from step to
step, where the envelope does not allow more. They are of any seed, so that an input may lie at a
corner of the model, where rounding decides: float32 then showed .01 of the change, else 1e-4 of it.
A program that skips its updates, or every second one, was off by .5 of it and more; where losses
change by more than themselves (``regression``), by 6e-3."""
LEAST_TIMED, MOST_TIMED = 1e-5, 3e-3
"""Between which that is: float32 showed 1e-7 without a corner."""


def compare(own: Tree, oracle: Tree, envelope: Envelope) -> tuple[Deviation, ...]:
    """Holds a trace of ``envelope.steps`` steps against the oracle's, which may be longer.

    The deviations come in the order in which a model computes: what is wrong in the first of them
    shows in those behind it too.
    """
    steps, tolerances = envelope.steps, envelope.loss_tolerances()
    gradients, idle = _gradients(own, oracle), uncompared(own, oracle)
    with_effect = {k: a for k, a in oracle.items() if k.rpartition("/")[2] not in idle}
    if gradients and not any(oracle[key].any() for key in gradients):
        return (Deviation("gradients", None, envelope.gradient, NO_GRADIENT, False),)
    return (
        _compare_series("initial loss", own, oracle, tolerances[:1]),
        _compare_leaves("initial prediction", "prediction@0", own, oracle, envelope.gradient),
        _compare_leaves(
            *("gradient", "gradient", own, oracle, envelope.gradient),
            least(gradients, envelope.gradient),
        ),
        _compare_series("loss", own, oracle, tolerances),
        _compare_leaves("state", f"state@{steps}", own, with_effect, envelope.state),
        _compare_leaves(
            "prediction", f"prediction@{steps}", own, oracle, envelope.prediction_tolerance
        ),
    )


def unsteady(trace: Tree, backend: str, envelope: Envelope) -> tuple[Deviation, ...]:
    """A deviation if a model gave other gradients when it was asked again; nothing if it did not.

    From the same state and batch, without dropout but by masks, they differ by rounding at most.
    """
    errors = {n.removeprefix(AGAIN): float(e) for n, e in trace.items() if n.startswith(AGAIN)}
    worst = max(errors, key=errors.__getitem__, default=None)
    if worst is None or errors[worst] <= envelope.gradient:
        return ()
    where = (
        f"{backend} is not deterministic: the same state and batch gave another {worst}, "
        f"{errors[worst]:.0e} off; let nothing draw random numbers but backends.{backend}.dropout"
    )
    return (Deviation("determinism", None, envelope.gradient, where, False),)


def unfrozen(trace: Tree, backend: str) -> tuple[Deviation, ...]:
    """A deviation if training moved a frozen leaf, be it by one bit; nothing if it did not."""
    errors = {
        n.removeprefix(UNFROZEN): float(e) for n, e in trace.items() if n.startswith(UNFROZEN)
    }
    worst = next((n for n, error in errors.items() if error != 0), None)
    if worst is None:
        return ()
    where = f"{backend} moves {worst}, which is frozen, by {errors[worst]:.0e}"
    return (Deviation("frozen", None, 0.0, where, False),)


def unrestored(trace: Tree, backend: str, envelope: Envelope) -> tuple[Deviation, ...]:
    """A deviation if ``restore`` left something of later steps behind; nothing if it did not.

    Timing begins with a step to warm up, and then restores the initial state. The state has to be
    that to the bit; the first gradients may differ by rounding.
    """
    errors = {
        n.removeprefix(RESTORED): float(e) for n, e in trace.items() if n.startswith(RESTORED)
    }
    allowed = {n: envelope.gradient if n.startswith("gradient/") else 0.0 for n in errors}
    worst = next((n for n in errors if not errors[n] <= allowed[n]), None)
    if worst is None:
        return ()
    where = f"restore() of {backend} does not take back {worst}, {errors[worst]:.0e} off"
    return (Deviation("restore", None, allowed[worst], where, False),)


def compare_timed(losses: Array, oracle: Array, envelope: Envelope) -> Deviation:
    """Holds the first losses (k,) of a cell's own training against the oracle's (k,)."""
    count = min(len(oracle), envelope.steps)
    size = float(np.abs(oracle[:count]).mean()) or 1.0
    change = float(np.abs(np.diff(oracle[:count])).mean()) / size if count > 1 else 0.0
    allowed = np.clip(TIMED * change, LEAST_TIMED, MOST_TIMED)
    tolerances = np.maximum(allowed, 3 * envelope.loss_tolerances()[:count])
    trees = ({TIMED_LOSSES: losses[:count]}, {TIMED_LOSSES: oracle[:count]})
    return _compare_series(TIMED_LOSSES, *trees, tolerances)


def _compare_series(quantity: str, own: Tree, oracle: Tree, tolerances: Array) -> Deviation:
    """Relative, entry by entry, each with its tolerance.

    Entries are named as steps, from 1: the first that is out of tolerance, since an error grows
    from there, or else the one that comes nearest to it.
    """
    a, b = own[quantity].astype(np.float64), oracle[quantity][: len(tolerances)]
    if a.shape != b.shape:
        last = float(tolerances[-1])
        return Deviation(quantity, None, last, f"{a.size} values, not {b.size}", False)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(a == b, 0, np.abs(a - b) / np.abs(b))  # a loss may be 0
    errors = np.where(np.isfinite(errors) & np.isfinite(b), errors, np.inf)
    outside = errors > tolerances
    at = int(np.argmax(outside)) if outside.any() else int(np.argmax(errors / tolerances))
    return _deviation(quantity, float(errors[at]), float(tolerances[at]), f"step {at + 1}")


def rounding(gradients: Tree) -> float:
    """Returns the size of gradients that may be nothing but the rounding of the largest one."""
    largest = max(map(_largest, gradients.values()), default=0.0)
    precision = next((np.finfo(g.dtype).eps for g in gradients.values()), 0.0)
    return UNITS * float(precision) * largest if np.isfinite(largest) else 0.0


def without_effect(own: Tree, oracle: Tree) -> set[str]:
    """Returns the leaves whose gradients are rounding alone in the oracle, and no more here.

    A bias before a batch normalisation is one. An optimiser that divides by the gradient's size
    makes steps of the rounding, which no two programs have in common and no output shows. A leaf
    that the oracle holds is none: its gradient is 0 there, and no step is right.
    """
    limit = rounding(own)
    return {
        key.rpartition("/")[2]
        for key, g in own.items()
        if key in oracle and 0 < _largest(oracle[key]) <= limit and _largest(g) <= limit
    }


def _largest(a: Array) -> float:
    return float(np.abs(a).max(initial=0.0))


def uncompared(own: Tree, oracle: Tree) -> tuple[str, ...]:
    """Returns the leaves of two traces that ``compare`` leaves out, in their order."""
    gradients = _gradients(own, oracle)
    idle = without_effect(gradients, oracle)
    leaves = (key.rpartition("/")[2] for key in gradients)
    return tuple(leaf for leaf in leaves if leaf in idle)


def _gradients(own: Tree, oracle: Tree) -> dict[str, Array]:
    return {key: own[key] for key in oracle if key.startswith("gradient/") and key in own}


def least(gradients: Tree, tolerance: float) -> float:
    """Returns the scale to which rounding is within the tolerance; 0 if nothing is tolerated."""
    return rounding(gradients) / tolerance if tolerance else 0.0


def _compare_leaves(
    quantity: str, prefix: str, own: Tree, oracle: Tree, tolerance: float, scale: float = 0.0
) -> Deviation:
    """Names the leaf with the largest error, relative to its largest entry or to ``scale``.

    Of outputs that are out of tolerance, it is the first with half of the largest error.
    """
    errors: dict[str, float] = {}
    for key, b in oracle.items():
        if not key.startswith(f"{prefix}/"):
            continue
        leaf = key.removeprefix(f"{prefix}/")
        if key not in own or own[key].shape != b.shape:
            shape = own[key].shape if key in own else "missing"
            return Deviation(quantity, None, tolerance, f"{leaf} is {shape}, not {b.shape}", False)
        if quantity == "gradient" and not b.any() and own[key].any():
            return Deviation(quantity, None, 0.0, f"{leaf} {NOT_HELD}", False)
        errors[leaf] = relative_error(own[key], b, scale)
        if quantity in TRAINED and not np.isfinite(b).all():
            errors[leaf] = np.inf  # what both have lost shows nothing
    if quantity not in TRAINED:  # an output inherits the errors of those it is computed from
        worst = max(errors.values())
        outside = [leaf for leaf, e in errors.items() if e > tolerance and e >= worst / 2]
        errors = {outside[0]: errors[outside[0]]} if outside else errors
    return worst_leaf(quantity, errors, tolerance)


def relative_error(a: Array, b: Array, scale: float = 0.0) -> float:
    """Returns the largest error, relative to the largest finite entry of ``b`` or to ``scale``.

    Of whole numbers and truths, it is the fraction that differs. Infinite entries, as of logits
    that are masked, have to be the same.
    """
    if b.dtype.kind != "f":
        return float(np.mean(a != b))
    scale = max(float(np.abs(b[np.isfinite(b)]).max(initial=0.0)), scale) or 1.0
    with np.errstate(invalid="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a.astype(np.float64) - b))
    error = float(apart.max(initial=0.0)) / scale
    return error if np.isfinite(error) else np.inf


def worst_leaf(quantity: str, errors: Mapping[str, float], tolerance: float) -> Deviation:
    """Names the leaf with the largest error."""
    at = max(errors, key=errors.__getitem__)
    return _deviation(quantity, errors[at], tolerance, at)


def _deviation(quantity: str, error: float, tolerance: float, where: str) -> Deviation:
    if not np.isfinite(error):
        return Deviation(quantity, None, tolerance, f"not finite at {where}", False)
    return Deviation(quantity, error, tolerance, where, error <= tolerance)
