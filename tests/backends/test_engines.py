"""Duties of every engine by the contract."""

from __future__ import annotations

import importlib
import itertools
import sys
from typing import get_args

import numpy as np
import pytest

import backends
from backends import tensorflow
from tasks.optimizers import SGD, Optimizer
from tasks.task import Array, Precision, RequestError, State, Tree
from tests.backends import programs
from tests.backends.conftest import Call, modules_at_first
from tests.backends.optimizers import MORE, OPTIMIZERS, UNKNOWN, published_formula
from tests.backends.programs import assert_same
from tests.loaded import FRAMEWORKS, modules_of, packages_of
from tests.tiny import STEPS, tiny_task

ROUNDING = {"float32": 1e-5, "float64": 1e-13}


@pytest.mark.parametrize("backend", backends.NAMES)
def test_a_backend_loads_its_own_framework_and_no_other_backend(call: Call, backend: str) -> None:
    loaded = packages_of(call(backend, "float32", modules_at_first))
    shared = {"backends.program"}  # types alone
    assert {m for m in loaded if m.startswith("backends.")} - shared == {f"backends.{backend}"}
    assert FRAMEWORKS & loaded <= modules_of(*backends.load(backend).PACKAGES)
    assert backends.load(backend).FRAMEWORK in loaded


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", backends.NAMES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
class TestEngine:
    def test_state_round_trips(
        self, call: Call, backend: str, precision: Precision, optimizer: Optimizer
    ) -> None:
        state = programs.initial(optimizer, precision)
        _, trained = call(backend, precision, programs.train, state, optimizer, 4, 0, 4)
        assert trained.dtype == precision
        found = call(backend, precision, programs.state_of_a_new_program, trained, optimizer)
        assert_same(found, trained, 0)  # bit for bit

    def test_chunks_of_many_steps_equal_chunks_of_one(
        self, call: Call, backend: str, precision: Precision, optimizer: Optimizer
    ) -> None:
        state = programs.initial(optimizer, precision)
        many, after_many = call(backend, precision, programs.train, state, optimizer, 4, 0, STEPS)
        one, after_one = call(backend, precision, programs.train, state, optimizer, 1, 0, STEPS)
        assert many.shape == (STEPS,)
        # XLA may fuse a loop of one step otherwise than a loop of four
        np.testing.assert_allclose(many, one, rtol=ROUNDING[precision])
        assert_same(after_many, after_one, ROUNDING[precision])
        assert after_many.step == STEPS


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", backends.NAMES)
def test_predict_and_gradients_change_nothing(
    call: Call, backend: str, precision: Precision
) -> None:
    optimizer = OPTIMIZERS[-1]  # neither knows of optimisers; this one has two slots
    state = programs.initial(optimizer, precision)
    found = call(backend, precision, programs.gradients_and_outputs, state, optimizer)
    assert_same(found["before"], found["after"], 0)
    assert found["outputs"]["logits"].shape == (3, 8, 10)
    assert found["outputs"]["logits"].dtype == precision


@pytest.mark.parametrize("backend", backends.NAMES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_state_is_never_shared_with_the_caller(
    call: Call, backend: str, optimizer: Optimizer
) -> None:
    state = programs.initial(optimizer, "float32")
    assert call(backend, "float32", programs.state_is_a_copy, state, optimizer) == []


@pytest.mark.parametrize("pair", list(itertools.permutations(backends.NAMES, 2)), ids="-".join)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_training_goes_on_identically_in_another_backend(
    call: Call, pair: tuple[str, str], optimizer: Optimizer
) -> None:
    state = programs.initial(optimizer, "float64")
    unbroken, end = call(pair[0], "float64", programs.train, state, optimizer, 4, 0, 12)
    begun, middle = call(pair[0], "float64", programs.train, state, optimizer, 4, 0, 4)
    ended, moved_end = call(pair[1], "float64", programs.train, middle, optimizer, 4, 4, 12)
    np.testing.assert_allclose(np.concatenate([begun, ended]), unbroken, rtol=1e-13)
    assert_same(moved_end, end, 1e-13)


@pytest.mark.parametrize("backend", backends.NAMES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS + MORE, ids=str)
def test_optimizer_follows_its_formula_for_many_steps(
    call: Call, backend: str, optimizer: Optimizer
) -> None:
    """Step by step in plain NumPy from the backend's own gradients, at high rates too."""
    state = programs.initial(optimizer, "float64")
    expected = state.astype("float64")
    for step in range(STEPS):
        found = call(backend, "float64", gradients_at, expected.params, step)
        expected = published_formula(optimizer, expected, found)
    _, trained = call(backend, "float64", programs.train, state, optimizer, 4, 0, STEPS)
    assert_same(trained, expected, 1e-11)


def test_every_optimiser_is_tested_and_has_a_formula() -> None:
    assert {type(optimizer) for optimizer in OPTIMIZERS} == set(get_args(Optimizer))
    state = programs.initial(UNKNOWN, "float64")
    with pytest.raises(AssertionError, match="Unknown"):
        published_formula(UNKNOWN, state, dict(state.params))


@pytest.mark.parametrize("backend", backends.NAMES)
def test_an_optimiser_without_an_update_is_refused_not_left_untrained(
    call: Call, backend: str
) -> None:
    state = programs.initial(UNKNOWN, "float32")
    with pytest.raises(AssertionError, match="Unknown"):
        call(backend, "float32", programs.train, state, UNKNOWN, 4, 0, 4)


def gradients_at(backend: str, params: Tree, step: int) -> dict[str, Array]:
    """The gradients of a step's batch, for which one program serves all optimisers."""
    program = programs.perceptron(backend, State(params, {}, step=step), SGD(0.1))
    chunk = list(tiny_task(SGD(0.1), 1).chunks("train", programs.SEED))[step]
    return dict(program.gradients(program.place(chunk))[1])


@pytest.mark.parametrize("backend", backends.NAMES)
def test_the_device_is_idle_when_train_returns(call: Call, backend: str) -> None:
    assert call(backend, "float32", programs.busy_after_train, False) < 0.2


def test_an_engine_that_returns_too_early_is_caught(call: Call) -> None:
    # JAX dispatches asynchronously on the CPU too: the double starts a chunk and does not wait
    assert call("jax", "float32", programs.busy_after_train, True) > 0.5


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_a_layer_that_the_task_does_not_know_is_refused_not_left_untrained(
    call: Call, backend: str
) -> None:
    with pytest.raises(RequestError, match=r"the model has the parameter 'steep\.\w+'"):
        call(backend, "float32", programs.build_with_an_unknown_layer)


def test_layers_of_every_kind_have_names_in_pytorch(call: Call) -> None:
    found = call("torch", "float32", programs.shapes_of_many_layers)
    assert found == {
        "plain.kernel": (3, 2),
        "tokens.table": (5, 3),  # and the shared one, once
        "conv.kernel": (2, 3, 4),
        "conv.bias": (4,),
        "norm.scale": (4,),
        "norm.offset": (4,),
        "gru.weight_ih_l0": (6, 3),
        "gru.weight_hh_l0": (6, 2),
    }
    with pytest.raises(TypeError, match=r"own\.kernel is not in the layout of nn\.Linear"):
        call("torch", "float32", programs.name_of_another_layout)


def test_tensorflow_is_imported_without_what_it_does_not_need(call: Call) -> None:
    loaded = call("tensorflow", "float32", modules_at_first)
    assert "keras" in loaded
    assert "matplotlib" not in loaded  # which Keras imports where it is installed


def test_what_is_hidden_is_there_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with tensorflow._hidden(["colorsys", "itertools"]):
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
        assert importlib.import_module("itertools") is itertools  # it was imported before
    assert importlib.import_module("colorsys")
