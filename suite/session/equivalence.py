"""Equivalence: is a backend's implementation the same model as the float64 NumPy oracle?

From one seed: the initial loss, every gradient leaf, the loss of every one of N steps and the final
state, each within the task's envelope for the precision. NumPy's own gradients are checked by
central differences. No speed counts before this is shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from suite.records.verdict import Deviation
from tasks.task import Array, Envelope, Tree

CENTRAL_DIFFERENCES = 1e-6
"""A thousand times the cancellation error of a difference with the step that is used."""


def compare(found: Tree, oracle: Tree, envelope: Envelope) -> tuple[Deviation, ...]:
    """Holds a trace against the oracle's."""
    tolerances = envelope.loss_tolerances()
    return (
        _compare_series("initial loss", found, oracle, tolerances[:1]),
        _compare_leaves("gradient", found, oracle, envelope.gradient),
        _compare_series("loss", found, oracle, tolerances),
        _compare_leaves("state", found, oracle, envelope.state),
    )


def _compare_series(quantity: str, found: Tree, oracle: Tree, tolerances: Array) -> Deviation:
    """Relative, entry by entry, each with its tolerance; entries are named as steps, from 1."""
    a, b = found[quantity].astype(np.float64), oracle[quantity]
    if a.shape != b.shape:
        last = float(tolerances[-1])
        return Deviation(quantity, None, last, f"{a.size} values, not {b.size}", False)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(a == b, 0, np.abs(a - b) / np.abs(b))  # a loss may be 0
    errors = np.where(np.isfinite(errors), errors, np.inf)
    outside = errors > tolerances
    at = int(np.argmax(outside)) if outside.any() else int(np.argmax(errors))
    return _finding(quantity, float(errors[at]), float(tolerances[at]), f"step {at + 1}")


def _compare_leaves(quantity: str, found: Tree, oracle: Tree, tolerance: float) -> Deviation:
    """Relative to the largest entry of each leaf."""
    errors: dict[str, float] = {}
    for key, b in oracle.items():
        if not key.startswith(f"{quantity}/"):
            continue
        leaf = key.removeprefix(f"{quantity}/")
        if key not in found or found[key].shape != b.shape:
            shape = found[key].shape if key in found else "missing"
            return Deviation(quantity, None, tolerance, f"{leaf} is {shape}, not {b.shape}", False)
        scale = float(np.abs(b).max()) or 1.0
        error = float(np.abs(found[key].astype(np.float64) - b).max()) / scale
        errors[leaf] = error if np.isfinite(error) else np.inf
    return worst_leaf(quantity, errors, tolerance)


def worst_leaf(quantity: str, errors: Mapping[str, float], tolerance: float) -> Deviation:
    """Names the first leaf that is out of tolerance, or else the one with the largest error."""
    outside = [leaf for leaf, error in errors.items() if error > tolerance]
    at = outside[0] if outside else max(errors, key=errors.__getitem__)
    return _finding(quantity, errors[at], tolerance, at)


def _finding(quantity: str, error: float, tolerance: float, where: str) -> Deviation:
    if not np.isfinite(error):
        return Deviation(quantity, None, tolerance, f"not finite at {where}", False)
    return Deviation(quantity, error, tolerance, where, error <= tolerance)
