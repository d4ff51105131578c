"""Causes in an operation: each family knows its own variants, and is named for no other's."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import erf

from suite.causes.families import FAMILIES
from suite.causes.operations import Operation, explanations
from tasks.task import Array

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6, 8)) * 0.1
ROWS = RNG.standard_normal((9, 8))
SCALE, OFFSET = RNG.standard_normal(8), RNG.standard_normal(8)
KERNEL, BIAS = RNG.standard_normal((8, 5)), RNG.standard_normal(5)
TABLE = RNG.standard_normal((11, 8))
IDS = RNG.integers(1, 11, (4, 6))
W, U, B = (RNG.standard_normal(shape) for shape in ((8, 12), (3, 12), (12,)))
V, S, D = W[:, :3], U[:, :3], B[:3]
ELMAN = ("rnn.kernel", "rnn.recurrent", "rnn.bias")
KEPT = RNG.random((9, 8)) > 0.3
LOGITS, LABELS = RNG.standard_normal((4, 6, 7)), RNG.integers(1, 7, (4, 6))
NORM = {"norm.scale": SCALE, "norm.offset": OFFSET}


def layer_norm(epsilon: float, ddof: int = 0, outside: bool = False) -> Array:
    centred = X - X.mean(axis=-1, keepdims=True)
    variance = X.var(axis=-1, ddof=ddof, keepdims=True)
    divisor = np.sqrt(variance) + epsilon if outside else np.sqrt(variance + epsilon)
    return np.asarray(centred / divisor * SCALE + OFFSET)


def batch_norm(epsilon: float, ddof: int = 0) -> Array:
    centred = ROWS - ROWS.mean(axis=0)
    return np.asarray(centred / np.sqrt(ROWS.var(axis=0, ddof=ddof) + epsilon) * SCALE)


def attention(scale: float, k: int | None, heads: int = 2) -> Array:
    q, key, v = (a.reshape(4, 6, heads, -1).swapaxes(1, 2) for a in (X, 2 * X, X + 1))
    scores = scale * q @ key.swapaxes(-1, -2)
    if k is not None:
        scores = np.where(np.tri(6, k=k, dtype=bool), scores, -np.inf)
    e = np.exp(scores)
    y: Array = (e / e.sum(axis=-1, keepdims=True) @ v).swapaxes(1, 2).reshape(4, 6, -1)
    return y


def elman(twice: bool = False, logistic: bool = False) -> Array:
    h, found = np.zeros((6, 3)), []
    for x in X:
        a = x @ V + (2 if twice else 1) * D + h @ S
        h = 1 / (1 + np.exp(-a)) if logistic else np.tanh(a)
        found.append(h)
    return np.stack(found)


def lstm(order: str = "ifgo", more: float = 0.0) -> Array:
    h, c, found = np.zeros((6, 3)), np.zeros((6, 3)), []
    for x in X:
        parts = np.split(x @ W + B + h @ U, 4, axis=1)
        i, f, g, o = (parts[order.index(letter)] for letter in "ifgo")
        c = c / (1 + np.exp(-f - more)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        found.append(h)
    return np.stack(found)


def embedded(scale: float, halves: bool, first: int = 0) -> Array:
    angles = np.arange(first, first + 6)[:, None] / 10_000 ** (np.arange(0, 8, 2) / 8)
    both = [np.sin(angles), np.cos(angles)]
    turns = np.stack(both, axis=2).reshape(6, 8)
    return np.asarray(scale * TABLE[IDS] + (np.concatenate(both, axis=1) if halves else turns))


def loss(smoothing: float, others: bool = False) -> Array:
    log = LOGITS - np.log(np.exp(LOGITS).sum(axis=-1, keepdims=True))
    one_hot = np.eye(7)[LABELS]
    rest = (1 - one_hot) / 6 if others else np.full_like(one_hot, 1 / 7)
    return np.asarray(
        -((1 - smoothing) * one_hot + smoothing * rest)[..., :].ravel() @ log.ravel() / 24
    )


def operation(name: str, before: dict[str, Array], **more: dict[str, Array]) -> Operation:
    return Operation(name, np.zeros(()), np.zeros(()), before, **more)


A = RNG.standard_normal((9, 8))
TINY = A * 10.0 ** RNG.uniform(-9, 0, (9, 1))
NORMS = np.linalg.norm(TINY, axis=1, keepdims=True)
ATTEND = {"self.query": X, "self.key": 2 * X, "self.value": X + 1}
CASES: dict[str, tuple[str, Operation, list[Array]]] = {  # family, what is known, variants
    "layer norm": (
        "layer norm: epsilon or variance",
        operation("norm", {"x": X}, params=NORM),
        [
            layer_norm(1e-5),
            layer_norm(1e-3),
            layer_norm(1e-6),
            layer_norm(1e-6, ddof=1),
            layer_norm(1e-6, ddof=1, outside=True),
            layer_norm(1e-5, outside=True),
        ],
    ),
    "batch norm": (
        "batch norm: epsilon or variance",
        operation("norm", {"x": ROWS}, params={"norm.scale": SCALE}),
        [batch_norm(1e-3), batch_norm(1e-5), batch_norm(1e-5, ddof=1)],
    ),
    "unit length": (
        "L2 normalisation: epsilon, or none",
        operation("codes", {"x": TINY}),
        [
            TINY / np.maximum(NORMS, 1e-8),
            TINY / (NORMS + 1e-8),
            TINY / np.sqrt(NORMS**2 + 1e-8),
            8**0.5 * TINY / np.maximum(NORMS, 1e-8),
            TINY / np.maximum(NORMS, 1e-5),
        ],
    ),
    "activation": (
        "activation: another, or another form",
        operation("hidden_activation", {"hidden": A}),
        [
            np.maximum(A, 0),
            np.where(A > 0, A, 0.01 * A),
            np.where(A > 0, A, 0.2 * A),
            A * (1 + erf(A / 2**0.5)) / 2,
            A * (1 + np.tanh((2 / math.pi) ** 0.5 * (A + 0.044715 * A**3))) / 2,
            A,
        ],
    ),
    "dense": (
        "activation: another, or another form",
        operation("output", {"x": A}, params={"output.kernel": KERNEL, "output.bias": BIAS}),
        [A @ KERNEL + BIAS, A @ KERNEL, np.tanh(A @ KERNEL + BIAS)],
    ),
    "embedding": (
        "embedding: scale or positions",
        operation("embedding", {}, params={"embedding.kernel": TABLE}, batch={"ids": IDS}),
        [
            embedded(8**0.5, False),
            embedded(1.0, False),
            embedded(1.0, True),
            embedded(8**0.5, True),
            embedded(8**0.5, False, 1),
        ],
    ),
    "attention": (
        "attention: scale, mask or heads",
        operation("self.attend", ATTEND),
        [
            attention(0.5, None),
            attention(1.0, None),
            attention(8**-0.5, None),
            attention(0.5, 0),
            attention(0.5, 1),
            attention(4**-1, 0),
            attention(0.5, 0, heads=4),
        ],
    ),
    "gates": (
        "LSTM: gates, forget bias or activations",
        operation("lstm", {"x": X}, params={"lstm.kernel": W, "lstm.recurrent": U, "lstm.bias": B}),
        [lstm(), lstm("igfo"), lstm("iofg"), lstm(), lstm(more=1.0)],
    ),
    "recurrence": (
        "plain recurrent network: activation or biases",
        operation("rnn", {"x": X}, params=dict(zip(ELMAN, (V, S, D), strict=True))),
        [elman(), elman(twice=True), elman(logistic=True), elman()],
    ),
    "smoothing": (
        "cross-entropy: smoothing, mean or logits",
        operation("loss", {"output": LOGITS}, batch={"labels": LABELS}),
        [loss(0.1), loss(0.1, others=True), loss(0.0), loss(0.2), 24 * loss(0.2)],
    ),
    "dropout": (
        "dropout: scale or rate",
        operation("hidden_dropout", {"hidden": A}, batch={"dropout/hidden": KEPT}),
        [A * KEPT / 0.7, A * KEPT / 0.3, A * KEPT, A],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_variants_of_an_operation_are_told_from_each_other_by_their_family_alone(name: str) -> None:
    family, op, values = CASES[name]
    for reference, own in pairwise(values):
        if np.array_equal(reference, own):
            continue
        found = explanations(replace(op, reference=reference, own=own), FAMILIES)
        assert [e.cause for e in found] == [family], [e.said for e in found]
        assert explanations(replace(op, reference=reference, own=reference), FAMILIES) == []


@pytest.mark.parametrize("name", CASES)
def test_an_unknown_variant_has_no_cause(name: str) -> None:
    _, op, (reference, *_) = CASES[name]
    for own in (reference * 1.01 + 0.003 * reference**2, reference + 1e-7):
        assert explanations(replace(op, reference=reference, own=own), FAMILIES) == []
    # nor has one in which the reference is not known
    assert explanations(replace(op, reference=1.3 * reference, own=reference), FAMILIES) == []


def test_what_a_cause_says_names_both_variants_and_the_settings() -> None:
    op = replace(CASES["layer norm"][1], reference=layer_norm(1e-5), own=layer_norm(1e-3))
    (found,) = explanations(op, FAMILIES)
    inside = "inside the root of the biased variance"
    assert found.said == f"epsilon 0.001 {inside} instead of epsilon 1e-05 {inside}"
    assert "1e-3 in Keras" in found.remedy
    assert found.rest < 1e-14


def test_padding_takes_no_part() -> None:
    real = (np.arange(6) < 4)[None, :, None]
    op = CASES["layer norm"][1]
    op = replace(op, reference=layer_norm(1e-5) * real, own=layer_norm(1e-6) * real)
    assert len(explanations(op, FAMILIES)) == 1


def test_the_same_variant_of_another_input_is_no_cause() -> None:
    other = X[::-1]
    own, reference = layer_norm(1e-5)[::-1], layer_norm(1e-5)
    op = Operation("norm", own, reference, {"before": other, "x": X}, NORM)
    assert explanations(op, FAMILIES) == []


def test_a_norm_is_known_by_its_parameters_whatever_it_is_called() -> None:
    params = {"ln.scale": SCALE, "ln.offset": OFFSET}
    op = Operation("ln", layer_norm(1e-3), layer_norm(1e-5), {"x": X}, params)
    (found,) = explanations(op, FAMILIES)
    assert found.said.startswith("epsilon 0.001")


def test_a_slope_that_a_kernel_takes_in_float32_is_known() -> None:
    slope = float(np.float32(0.3))
    own, reference = (np.where(X > 0, X, s * X) for s in (slope, 0.01))
    (found,) = explanations(Operation("act", own, reference, {"x": X}), FAMILIES)
    assert found.said == (
        "leaky ReLU with slope 0.3 as float32 has it instead of leaky ReLU with slope 0.01"
    )
