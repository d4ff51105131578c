"""Dropout is determined by (seed, step); its masks are read off the gradients of a real program.

By the masks of a batch every backend drops the same; what it draws itself is found right, and every
planted slip is found.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import backends
from suite.session.equivalence import compare
from suite.worker.dropout import FALSE_ALARM, QUANTITIES, _radius, dropout_finding
from tests.backends.conftest import Call
from tests.backends.dropout_slips import (
    BOW,
    EMBEDDING,
    OF_THE_GENERATOR,
    OF_THE_MODEL,
    TRANSFORMER,
    WITHOUT_A_LAYER,
)
from tests.backends.dropouts import EXACT, drawn, examined, fraction, traced
from tests.backends.masks import RATE, UNITS, masks

SEED = 5


@pytest.mark.parametrize("backend", backends.NAMES)
class TestDropout:
    def test_it_drops_at_its_rate_and_scales_what_is_left(self, call: Call, backend: str) -> None:
        found = call(backend, "float32", masks, SEED, tuple(range(10)))
        drawn = np.concatenate([np.concatenate(pair) for pair in found.values()])
        dropped = np.abs(drawn) < 1e-6
        np.testing.assert_allclose(drawn[~dropped], 1 / (1 - RATE), rtol=1e-5)
        deviation = np.sqrt(RATE * (1 - RATE) / len(drawn))
        assert abs(dropped.mean() - RATE) < 4 * deviation

    def test_it_is_the_same_for_the_same_seed_and_step(self, call: Call, backend: str) -> None:
        one, again = (call(backend, "float32", masks, SEED, steps) for steps in ((3, 7), (7,)))
        for a, b in zip(one[7], again[7], strict=True):
            np.testing.assert_array_equal(a, b)

    def test_steps_layers_and_seeds_are_independent(self, call: Call, backend: str) -> None:
        found = call(backend, "float32", masks, SEED, (0, 1, 2, 1_000))
        other = call(backend, "float32", masks, SEED + 1, (0, 1))
        drawn = [mask > 0 for pair in (*found.values(), *other.values()) for mask in pair]
        for a, b in itertools.combinations(drawn, 2):
            # of independent masks, the correlation has standard deviation 1 / sqrt(UNITS)
            assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(UNITS)

    def test_without_a_seed_there_is_none(self, call: Call, backend: str) -> None:
        for mask in call(backend, "float32", masks, None, (3,))[3]:
            np.testing.assert_allclose(mask, 1, rtol=1e-5)


VARIANTS = (BOW, EMBEDDING, TRANSFORMER)
OTHER_MODES = ("torch:compile", "tensorflow:xla")


@pytest.mark.parametrize("label", VARIANTS)
def test_the_masks_of_a_task_are_drawn_from_seed_step_and_layer(label: str) -> None:
    masks = drawn(label, SEED, 0)
    for name, kept in masks.items():
        assert kept.dtype == bool
        np.testing.assert_array_equal(drawn(label, SEED, 1)[name][:-1], kept[1:])
    for a, b in itertools.combinations([m for kept in masks.values() for m in kept], 2):
        assert a.shape != b.shape or abs(np.corrcoef(a.flat, b.flat)[0, 1]) < 5 / np.sqrt(a.size)
    assert fraction(masks) == pytest.approx(0.5 if label == BOW else 0.9, abs=0.02)
    assert all((drawn(label, SEED + 1, 0)[name] != kept).any() for name, kept in masks.items())


@pytest.mark.parametrize("backend", [*backends.NAMES, *OTHER_MODES])
@pytest.mark.parametrize("label", VARIANTS)
def test_by_the_masks_of_a_batch_backends_are_the_same_and_their_own_are_right(
    call: Call, backend: str, label: str
) -> None:
    if label == TRANSFORMER and backend in OTHER_MODES:
        pytest.skip("compiles for minutes; `verify` shows it")
    findings = compare(
        call(backend, "float64", traced, label), call("numpy", "float64", traced, label), EXACT
    )
    assert all(f.passed for f in findings), findings
    finding, errors = call(backend, "float64", examined, label)
    assert finding.passed, finding
    assert {key.partition("/")[0] for key in errors} == {*QUANTITIES} - {"place"}


@pytest.mark.parametrize(
    ("slip", "backend"),
    [(slip, b) for slip, by_backend in OF_THE_MODEL.items() for b in by_backend],
)
def test_a_slip_of_the_model_shows_in_its_trace(call: Call, slip: str, backend: str) -> None:
    label, planted = OF_THE_MODEL[slip][backend]
    oracle = call("numpy", "float64", traced, label)
    findings = compare(call(backend, "float64", traced, label, planted), oracle, EXACT)
    assert {f.quantity for f in findings if not f.passed} >= {"gradient", "loss"}


@pytest.mark.parametrize("backend", backends.NAMES)
def test_a_layer_left_out_shows_in_the_trace_and_by_its_name(call: Call, backend: str) -> None:
    label, planted = WITHOUT_A_LAYER[backend]
    oracle = call("numpy", "float64", traced, label)
    findings = compare(call(backend, "float64", traced, label, planted), oracle, EXACT)
    assert {f.quantity for f in findings if not f.passed} >= {"gradient", "loss"}
    finding, _ = call(backend, "float64", examined, label, planted, False)
    assert not finding.passed
    assert finding.where == "rate of hidden"


@pytest.mark.parametrize(
    ("slip", "backend"),
    [(slip, b) for slip, (_, by_backend) in OF_THE_GENERATOR.items() for b in by_backend],
)
def test_a_slip_of_its_own_dropout_shows_in_the_statistics(
    call: Call, slip: str, backend: str
) -> None:
    quantity, by_backend = OF_THE_GENERATOR[slip]
    in_drawing = quantity != "silence"
    finding, _ = call(backend, "float64", examined, *by_backend[backend], in_drawing)
    assert not finding.passed
    assert finding.where.split(" of ")[0] == quantity, finding


def jax_program(backend: str) -> tuple[str, str]:
    """Programs that JAX makes of a layer that draws, and of the plain formula."""
    import jax
    import jax.numpy as jnp

    from backends.jax.dropout import dropout

    def plain(x: jax.Array, key: jax.Array) -> jax.Array:
        kept = jax.random.bernoulli(jax.random.fold_in(key, 2), 0.75, x.shape)
        return jnp.where(kept, x / 0.75, 0)

    def ours(x: jax.Array, key: jax.Array) -> jax.Array:
        return dropout(0.25, x, key, 2, "hidden", {})

    x, key = jnp.ones((4, 3)), jax.random.key(0)
    found, expected = (str(jax.make_jaxpr(function)(x, key)) for function in (ours, plain))
    return found, expected


def test_in_jax_masks_and_records_cost_nothing_where_there_are_none(call: Call) -> None:
    found, expected = call("jax", "float64", jax_program)
    assert found == expected


def test_counts_part_by_more_than_is_allowed_no_oftener_than_is_said() -> None:
    n, tests = 400, 20
    for q in (0.5, 0.1, 0.01):
        k = np.arange(n + 1)
        steps = np.log((n - k[:-1]) / k[1:] * (q / (1 - q)))
        logs = n * np.log(1 - q) + np.concatenate([[0.0], np.cumsum(steps)])
        outside = np.abs(k / n - q) >= _radius(n, q, tests)
        assert 0 < np.exp(logs[outside]).sum() <= FALSE_ALARM / tests


def test_the_finding_names_the_cause_before_what_follows_from_it() -> None:
    errors = {
        "training/the loss of step 1": np.array([0.5, 1e-6]),
        "rate/bag": np.array([0.02, 0.01]),
        "rate/hidden": np.array([0.03, 0.01]),
        "scale/bag": np.array([0.0, 1e-6]),
    }
    finding = dropout_finding(errors)
    assert (finding.where, finding.error, finding.passed) == ("rate of hidden", 0.03, False)
    passed = dropout_finding({key: np.array([0, 1]) for key in errors})
    assert passed.passed
    unknown = dropout_finding({"place/output": np.array([np.inf, 0]), **errors})
    assert (unknown.where, unknown.error, unknown.passed) == ("place of output", None, False)
