"""Flips of ``tetragrad explain``: each is seen to have its effect, by computing or by counting."""

from __future__ import annotations

import importlib
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import backends
from backends.program import Switching
from suite.worker import flips, probes
from tasks.optimizers import Adam
from tasks.task import State
from tests.backends import programs
from tests.backends.conftest import Call
from tests.backends.programs import assert_same
from tests.tiny import RMSPROP, tiny_task

ADAM = Adam(1e-2, 0.9, 0.999, 1e-8)
STEPS = 4
"""Steps of a chunk."""


def rehearsed(backend: str, state: State) -> dict[str, Any]:
    """The losses of a chunk's steps and the last step's gradients, by ``rehearse`` and singly."""
    program: Any = programs.perceptron(backend, state, RMSPROP)
    chunk = next(tiny_task(RMSPROP).chunks("train", programs.SEED))
    placed = program.place(chunk)
    losses, nothing = program.rehearse(placed, False)
    again, last = program.rehearse(placed, True)
    singly = [
        program.gradients(program.place({n: a[step : step + 1] for n, a in chunk.items()}))
        for step in range(STEPS)
    ]
    norms = [np.linalg.norm(np.asarray(g)) for g in last]
    return {
        "losses": (losses, again, [loss for loss, _ in singly]),
        "norms": (sorted(norms), sorted(np.linalg.norm(g) for g in singly[-1][1].values())),
        "nothing": nothing,
        "after": program.state(),
    }


@pytest.mark.parametrize("backend", backends.NAMES)
def test_a_rehearsal_is_training_without_the_update(call: Call, backend: str) -> None:
    state = programs.initial(RMSPROP, "float64")
    found = call(backend, "float64", rehearsed, state)
    forward, gradients, singly = found["losses"]
    assert len(set(forward)) == STEPS
    np.testing.assert_allclose(forward, singly, rtol=1e-13)
    np.testing.assert_allclose(gradients, singly, rtol=1e-13)
    norms, expected = found["norms"]
    np.testing.assert_allclose(norms, expected, rtol=1e-12)
    assert len(norms) == len(state.params)
    assert found["nothing"] == []
    assert_same(found["after"], state, 0)


def denormals(backend: str) -> tuple[str, str]:
    """The fate of a subnormal product before and after the flip."""
    own = backends.load(backend)
    before = probes._denormals(own.product, "float32")
    flips.in_backend(own, ["denormals"])
    return before, probes._denormals(own.product, "float32")


def test_a_subnormal_product_is_kept_or_flushed(call: Call) -> None:
    assert call("torch", "float32", denormals) == ("kept", "flushed to zero")
    assert call("torch", "float32", kept) == "kept"  # configure takes it back


def kept(backend: str) -> str:
    return probes._denormals(backends.load(backend).product, "float32")


def fused_updates(backend: str, flipped: list[str], state: State) -> tuple[int, State]:
    """How often Adam's fused kernel was launched for a chunk, and the state that it came to."""
    torch: Any = importlib.import_module("torch")
    flips.in_backend(backends.load(backend), flipped)
    program = programs.build(backend, state, ADAM)
    seen: list[str] = []
    kernel = torch._fused_adam_

    def counted(*given: Any, **named: Any) -> None:
        seen.append("once")
        kernel(*given, **named)

    torch._fused_adam_ = counted
    try:
        program.train(program.place(next(tiny_task(ADAM).chunks("train", programs.SEED))))
    finally:
        torch._fused_adam_ = kernel
    return len(seen), program.state()


def test_a_plain_optimiser_launches_no_fused_kernel_and_computes_the_same(call: Call) -> None:
    state = programs.initial(ADAM, "float64")
    fused, expected = call("torch", "float64", fused_updates, [], state)
    plain, found = call("torch", "float64", fused_updates, ["optimiser"], state)
    assert (fused, plain) == (STEPS, 0)
    assert_same(found, expected, 1e-12)


def test_a_switch_that_a_backend_does_not_have_is_no_flip() -> None:
    assert not isinstance(backends.load("numpy"), Switching)
    with pytest.raises(backends.program.Unavailable, match="NumPy has no switch 'denormals'"):
        flips.in_backend(backends.load("numpy"), ["denormals"])


def launches_and_compilations(backend: str, name: str, state: State) -> tuple[Any, list[int]]:
    """The losses of a chunk that was trained twice, from the same state, and by turn how often the
    framework was called to train and how often XLA compiled."""
    jax: Any = importlib.import_module("jax")
    seen: list[str] = []

    def heard(event: str, seconds: float, **more: Any) -> None:
        seen.extend(["compiled"] * event.endswith("backend_compile_duration"))

    def build() -> Any:
        program: Any = programs.build(backend, state, RMSPROP)
        jitted = program._train

        def counted(*given: Any) -> Any:
            seen.append("launched")
            return jitted(*given)

        program._train = counted
        return program

    program, counts, losses = build(), [], []
    flips.in_program(program, [name], build)
    chunk = next(tiny_task(RMSPROP).chunks("train", programs.SEED))
    jax.monitoring.register_event_duration_secs_listener(heard)
    for _ in range(2):
        program.restore(state)
        placed = program.place(chunk)
        seen.clear()
        losses.append(program.train(placed))
        counts += [seen.count("launched"), min(seen.count("compiled"), 1)]
    jax.monitoring.clear_event_listeners()
    return losses, counts


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("", [1, 1, 1, 0]),  # as it stands: one launch, compiled in the first turn alone
        (flips.LAUNCHES, [STEPS, 1, STEPS, 0]),
        (flips.COMPILING, [1, 1, 1, 1]),
    ],
)
def test_launches_and_compilations_are_those_of_the_flip(
    call: Call, name: str, counts: list[int]
) -> None:
    state = programs.initial(RMSPROP, "float64")
    losses, found = call("jax", "float64", launches_and_compilations, name, state)
    assert found == counts
    expected, _ = call("numpy", "float64", programs.train, state, RMSPROP, STEPS, 0, STEPS)
    np.testing.assert_allclose(losses, [expected, expected], rtol=1e-13)


def test_the_way_to_the_device_is_timed_or_not() -> None:
    backends.load("numpy").configure("cpu", 1, "float32")
    state = programs.initial(RMSPROP, "float32")
    chunk = next(tiny_task(RMSPROP).chunks("train", programs.SEED))
    for flipped, in_train in (([], 0), ([flips.TRANSFER], 1)):
        program = programs.build("numpy", state, RMSPROP)
        place = Mock(wraps=program.place)
        vars(program)["place"] = place
        flips.in_program(program, flipped, Mock())
        there = program.place(chunk)
        before = place.call_count
        assert len(program.train(there)) == STEPS
        assert place.call_count - before == in_train
