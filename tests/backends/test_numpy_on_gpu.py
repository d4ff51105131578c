"""NumPy's hand-written code over another array module: a fake CuPy, which forbids what CuPy does.

What a real one computes shows only on a GPU, by ``tetragrad verify --device cuda``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import backends.numpy
import tasks
from backends.program import Unavailable
from suite.worker.clock import Clock, NotWaitedFor
from tasks.optimizers import Adam, Cosine
from tasks.task import Array, State
from tests.backends import fake_cupy, programs
from tests.backends.conftest import Call
from tests.backends.programs import assert_same
from tests.backends.tiny_tasks import CHOICES, initial, training_chunks
from tests.tasks.tiny import tiny
from tests.tiny import RMSPROP

Gpu = Callable[..., Any]
IDS = [":".join(filter(None, choice)) for choice in CHOICES]


def _configure() -> None:
    sys.modules["cupy"] = fake_cupy.cupy()
    backends.numpy.configure("cuda", 1, "float64")


@pytest.fixture(scope="module")
def gpu() -> Iterator[Gpu]:
    """``gpu(function, *arguments)`` runs it where the backend computes with the fake."""
    with ProcessPoolExecutor(1, get_context("spawn"), _configure) as pool:
        yield lambda function, *given: pool.submit(function, "numpy", *given).result()


def trained(
    backend: str, choice: tasks.Choice, state: State, seed: int | None
) -> tuple[Array, State, str, dict[str, int]]:
    """Losses, state and device after training, and the transfers of ``train`` in its last chunk."""
    task = tiny(choice)
    module = importlib.import_module(f"backends.{backend}.{choice[0]}")
    program = module.build(task, state, seed)
    losses, moved = [], {}
    for chunk in training_chunks(task):
        placed = program.place(chunk)
        fake_cupy.transfers.clear()
        losses.append(program.train(placed))
        moved = dict(fake_cupy.transfers)
    return np.concatenate(losses), program.state(), program.device(), moved


@pytest.mark.parametrize("choice", CHOICES, ids=IDS)
def test_a_task_is_trained_as_on_the_cpu_and_nothing_is_moved_meanwhile(
    gpu: Gpu, call: Call, choice: tasks.Choice
) -> None:
    state = initial(choice, "float64")
    losses, end, device, moved = gpu(trained, choice, state, None)
    expected, numpy_end, cpu, none = call("numpy", "float64", trained, choice, state, None)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    assert_same(end, numpy_end, 1e-8)
    assert (device, cpu) == ("cuda:0", "cpu")
    assert moved == {"to host": 1, "waited": 1}  # the losses
    assert none == {}


@pytest.mark.parametrize("choice", CHOICES, ids=IDS)
def test_outputs_and_gradients_are_those_of_the_cpu(
    gpu: Gpu, call: Call, choice: tasks.Choice
) -> None:
    state = initial(choice, "float64")
    found = gpu(outputs, choice, state)
    expected = call("numpy", "float64", outputs, choice, state)
    assert found.keys() == expected.keys()
    for name, a in expected.items():
        np.testing.assert_allclose(found[name], a, rtol=1e-9, atol=1e-12, err_msg=name)


def outputs(backend: str, choice: tasks.Choice, state: State) -> dict[str, Array]:
    """Gradients, and what is predicted for every test chunk."""
    task = tiny(choice)
    program = importlib.import_module(f"backends.{backend}.{choice[0]}").build(task, state, None)
    loss, gradients = program.gradients(program.place(next(task.chunks("train", 3))))
    found = {"loss": np.array(loss), **gradients}
    for number, chunk in enumerate(task.chunks("test")):
        predicted = program.predict(program.place(chunk))
        found |= {f"{number} {name}": a for name, a in predicted.items()}
    assert all(type(a) is np.ndarray for a in found.values())
    return found


def test_all_of_adam_and_of_the_perceptron(gpu: Gpu, call: Call) -> None:
    adam = Adam(1e-2, 0.9, 0.999, 1e-8, schedule=Cosine(10), clip=0.3)
    for optimizer in (RMSPROP, adam):
        state = programs.initial(optimizer, "float64")
        given = (state, optimizer, 4, 0, 12)
        losses, end = gpu(programs.train, *given)
        expected, numpy_end = call("numpy", "float64", programs.train, *given)
        np.testing.assert_allclose(losses, expected, rtol=1e-12)
        assert_same(end, numpy_end, 1e-12)


def test_dropout_is_drawn_on_the_device_from_seed_and_step(gpu: Gpu) -> None:
    choice = ("imdb_text", "bow_dropout")
    state = initial(choice, "float64")
    losses, _, _, moved = gpu(trained, choice, state, 1)
    again, other, without = (gpu(trained, choice, state, seed)[0] for seed in (1, 2, None))
    np.testing.assert_array_equal(losses, again)
    assert not np.allclose(losses, other, rtol=1e-3)
    assert not np.allclose(losses, without, rtol=1e-3)
    assert moved == {"to host": 1, "waited": 1}


def test_the_fake_catches_a_hidden_transfer(gpu: Gpu) -> None:
    with pytest.raises(TypeError, match="Implicit conversion"):
        gpu(hidden_transfer)


def hidden_transfer(backend: str) -> Any:
    from backends.numpy.arrays import xp

    return np.exp(np.asarray(xp.ones(3)))


def test_the_clock_of_the_device_agrees_with_that_of_the_wall(gpu: Gpu) -> None:
    assert 0.5 < gpu(device_share, False) < 1.05


def test_a_program_that_does_not_wait_for_the_device_is_caught(gpu: Gpu) -> None:
    with pytest.raises(NotWaitedFor, match="the program does not wait for its results"):
        gpu(device_share, True)


def device_share(backend: str, hasty: bool) -> float | None:
    """After training a chunk; if ``hasty``, it returns before the device has done it."""
    from backends.numpy import arrays

    task = tiny(("lstm", None))
    module = importlib.import_module(f"backends.{backend}.lstm")
    program = module.build(task, initial(("lstm", None), "float64"), None)
    placed = program.place(next(task.chunks("train", 3)))
    clock = Clock(backends.numpy.start_device_clock)
    with pytest.MonkeyPatch.context() as patch, clock.phase("train"):
        if hasty:
            patch.setattr(arrays, "to_host", lambda a: a._host)
            patch.setattr(arrays, "synchronize", lambda: None)
            fake_cupy.begin_work(1.0)  # more than a busy machine needs for the code itself
        program.train(placed)
    return clock.device_share


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (None, r"pip install 'tetragrad\[gpu\]'"),
        (fake_cupy.cupy(cards=0), "CuPy has no device 'cuda' here: cudaErrorNoDevice"),
    ],
)
def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, module: Any, words: str) -> None:
    monkeypatch.setitem(sys.modules, "cupy", module)
    with pytest.raises(Unavailable, match=words):
        backends.numpy.configure("cuda", 1, "float32")
    assert backends.numpy.module == "numpy"


def test_it_says_what_it_sees(gpu: Gpu) -> None:
    described = gpu(description)
    assert described["devices"] == ["cpu", "cuda:0"]
    assert backends.numpy.environment("cuda", 1) == {"CUPY_CACHE_IN_MEMORY": "1"}


def description(backend: str) -> dict[str, Any]:
    a = np.arange(4.0).reshape(2, 2)
    assert np.array_equal(backends.numpy.product(a, a), a @ a)
    fake_cupy.transfers.clear()
    product: Any = backends.numpy.multiplier(a, a)()
    assert fake_cupy.transfers == {"to device": 2, "waited": 1}
    assert np.array_equal(product._host, a @ a)
    return backends.numpy.describe()
