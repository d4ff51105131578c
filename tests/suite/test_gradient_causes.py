"""Causes in losses, gradients, buffers and outputs: each explains its own difference alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from suite.causes import buffers, gradients, outputs
from suite.causes.evidence import Buffers, Point
from suite.causes.gradients import Facts
from tasks.task import Array, Tree

ALLOWED = 1e-12
SHAPES = {"hidden.kernel": (5, 4), "hidden.bias": (4,), "output.kernel": (4, 3)}
WORDS = np.array([[1, 2, 3, 0], [1, 1, 0, 0], [2, 0, 0, 0]])
FACTS = Facts({"l2": 1e-3}, ({"words": WORDS, "x": np.ones((3, 5))},) * 2)
Planted = Callable[[Point], tuple[float, Tree]]
"""The loss and gradients of a port."""


def points(planted: Planted) -> tuple[Point, ...]:
    """Two states at which a port and the reference are compared."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(2):
        params, reference = (
            {name: rng.standard_normal(shape) for name, shape in SHAPES.items()} for _ in range(2)
        )
        point = Point(params, 2.5, 2.5, reference, reference)
        loss, own = planted(point)
        found.append(Point(params, loss, 2.5, own, reference))
    return tuple(found)


def scaled(k: float, loss: float, bias: bool = False) -> Planted:
    def of(p: Point) -> tuple[float, Tree]:
        grown = {n: k * g if not bias or "bias" in n else g for n, g in p.reference.items()}
        return loss * p.reference_loss, grown

    return of


def penalised(c: float, leaves: tuple[str, ...], loss: float = 0.0, there: float = 1.0) -> Planted:
    """``c w`` more in the gradient of some leaves, and a penalty's part in the loss."""

    def of(p: Point) -> tuple[float, Tree]:
        more = loss * sum(float(np.square(p.params[n]).sum()) for n in leaves)
        grown = {n: g + c * there * p.params[n] * (n in leaves) for n, g in p.reference.items()}
        return p.reference_loss + more, grown

    return of


def dropped(p: Point) -> tuple[float, Tree]:
    lost = {"hidden.kernel": 0 * p.reference["hidden.kernel"]}
    return p.reference_loss, {**p.reference, **lost}


KERNELS = ("hidden.kernel", "output.kernel")
PLANTED: dict[str, tuple[Planted, str]] = {
    "the loss is 3 times as large: the rows of words": (scaled(3, 3), "sum for mean"),
    "the loss is 1/5 times as large: the entries of a row of x": (scaled(0.2, 0.2), "sum for mean"),
    "the loss is 1/2 times": (scaled(0.5, 0.5), "sum for mean"),
    "the places by those that are not 0": (scaled(0.5, 0.5), "sum for mean"),
    "the gradients, not the loss, are 3 times": (scaled(3, 1), "sum for mean"),
    "no gradient reaches hidden.kernel": (dropped, "a gradient path is dropped"),
    "the gradient of hidden.bias counts twice": (scaled(2, 1, bias=True), "two biases tied"),
    "l2 of hidden.kernel, output.kernel has a half": (
        penalised(-1e-3, KERNELS, -5e-4),
        gradients.Penalty.name,
    ),
    "l2 of output.kernel is missing": (
        penalised(-2e-3, ("output.kernel",), -1e-3),
        gradients.Penalty.name,
    ),
    "hidden.bias is in the penalty l2 too": (
        penalised(2e-3, ("hidden.bias",), 1e-3),
        gradients.Penalty.name,
    ),
    "there is 0.07 w more in the gradient of hidden.kernel, output.kernel, in the gradients": (
        penalised(0.07, KERNELS),
        gradients.Penalty.name,
    ),
    "the loss leaves out the penalty l2 of hidden.kernel, output.kernel": (
        penalised(0, KERNELS, -1e-3),
        gradients.PenaltyNotInLoss.name,
    ),
}


@pytest.mark.parametrize("said", PLANTED)
def test_the_cause_in_gradients_is_named_and_no_other(said: str) -> None:
    planted, cause = PLANTED[said]
    facts = FACTS
    if "places" in said:  # half of the places are padding, and no factor of 2 is known otherwise
        facts = Facts(FACTS.constants, ({"words": np.array([[1, 2, 0, 0], [3, 0, 1, 0]])},) * 2)
        said = "the loss is 1/2 times"
    _, found = gradients.explanations(points(planted), facts, ALLOWED)
    assert {e.cause for e in found} == {cause}
    assert said in found[0].said


def test_a_gradient_of_0_at_a_corner_is_no_path_that_is_dropped() -> None:
    """As that of an answer of 0 under a ReLU, which the perceptron's rule counts as a mistake.

    Elsewhere, the answer is right, and both gradients are 0.
    """
    cold, moved = points(lambda p: (p.reference_loss, {n: 0 * g for n, g in p.reference.items()}))
    right = replace(moved, reference=moved.gradients)
    assert gradients.explanations((cold, right), FACTS, ALLOWED)[1] == []
    (found,) = gradients.explanations((cold, moved), FACTS, ALLOWED)[1]
    assert found.cause == "a gradient path is dropped"


@pytest.mark.parametrize(
    "planted",
    [
        scaled(1.7, 1.7),
        lambda p: (p.reference_loss, {n: np.tanh(g) for n, g in p.reference.items()}),
        lambda p: (3.7, p.reference),
    ],
)
def test_an_unknown_difference_of_gradients_has_no_cause(planted: Planted) -> None:
    difference, found = gradients.explanations(points(planted), FACTS, ALLOWED)
    assert difference.differing
    assert found == []


def test_gradients_that_agree_need_no_cause() -> None:
    difference, found = gradients.explanations(points(scaled(1 + 1e-15, 1)), FACTS, ALLOWED)
    assert not difference.differing
    assert found == []


def test_a_gradient_of_rounding_is_told() -> None:
    bias = np.zeros(4)
    reference = {"kernel": np.ones((4, 4)), "bias": bias}
    rounding = {**reference, "bias": bias + 1e-18}
    at = Point({}, 1.0, 1.0, rounding, reference)
    assert gradients.rounding_alone([at, at]) == ["bias"]
    same = Point({}, 1.0, 1.0, reference, reference)
    assert gradients.rounding_alone([same, same]) == []


OLD, NEW = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.3, 1.1, 2.0, 0.7])
KEPT = 0.9


def renewed(new: Array, kept: float = KEPT) -> Array:
    return kept * OLD + (1 - kept) * new


@pytest.mark.parametrize(
    ("own", "cause"),
    [
        (renewed(NEW * 8 / 7), "running variance"),
        (renewed(NEW, 1 - KEPT), "running statistics: momentum"),
        (OLD, "buffers are not renewed"),
        (0 * OLD, "buffers are not renewed"),
        (renewed(NEW * 8 / 6), None),
        (renewed(NEW**2), None),
    ],
)
def test_the_cause_in_buffers_is_named_and_no_other(own: Array, cause: str | None) -> None:
    seen = Buffers(*({"norm.variance": a} for a in (OLD, OLD, own, renewed(NEW))))
    difference, found = buffers.explanations([seen], {8}, ALLOWED)
    assert difference.differing
    assert {e.cause for e in found} == ({cause} if cause else set())


def test_buffers_that_asking_for_gradients_changes_are_told() -> None:
    trees = ({"norm.mean": a} for a in (OLD, renewed(NEW), renewed(NEW), renewed(NEW)))
    (found,) = buffers.explanations([Buffers(*trees)], {8}, ALLOWED)[1]
    assert found.said == "norm.mean changes when gradients are asked for"


X = np.random.default_rng(2).standard_normal((6, 5))


@pytest.mark.parametrize("title", outputs.FUNCTIONS)
def test_a_function_of_the_outputs_is_named_either_way(title: str) -> None:
    reference = np.abs(X) if title == "square root" else X
    value = outputs.FUNCTIONS[title](reference)
    said = [e.said for e in outputs.explanations("logits", value, reference, 1e-11)]
    assert f"logits is the {title} of what it is to be" in said
    said = [e.said for e in outputs.explanations("logits", reference, value, 1e-11)]
    assert f"logits is given without its {title}" in said
    assert outputs.explanations("logits", np.sin(X), X, 1e-11) == []
