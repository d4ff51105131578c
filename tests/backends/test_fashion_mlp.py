"""The choices of ``fashion_mlp``: every backend trains each of them as NumPy does.

Several together: to compile a model for each alone takes half a minute.
"""

from __future__ import annotations

import importlib

import pytest

import backends
from suite.session.equivalence import compare
from suite.worker.trace import trace
from tasks.task import Array, Envelope
from tests.backends.conftest import Call
from tests.choices import SINGLE, TOGETHER, Choice, label
from tests.tiny import STEPS, chosen_task

SEED = 3
EXACT = Envelope(STEPS, loss=1e-12, gradient=1e-12, state=1e-11)


def traced(backend: str, choice: Choice) -> dict[str, Array]:
    """The float64 trace of as many steps as an epoch has by default."""
    task = chosen_task(**choice)
    module = importlib.import_module(f"backends.{backend}.fashion_mlp")
    program = module.build(task, task.initial(SEED).astype("float64"), None)
    return trace(task, program, SEED, (STEPS,))


def all_traced(backend: str, choices: tuple[Choice, ...]) -> dict[str, dict[str, Array]]:
    """The traces by the labels of choices."""
    return {label(choice): traced(backend, choice) for choice in choices}


@pytest.fixture(scope="module")
def oracle(call: Call) -> dict[str, dict[str, Array]]:
    traces: dict[str, dict[str, Array]] = call("numpy", "float64", all_traced, SINGLE + TOGETHER)
    return traces


@pytest.mark.parametrize("backend", [name for name in backends.NAMES if name != "numpy"])
def test_every_choice_is_trained_as_numpy_does(
    call: Call, backend: str, oracle: dict[str, dict[str, Array]]
) -> None:
    traces = call(backend, "float64", all_traced, TOGETHER)
    wrong = {
        choice: [
            str(finding) for finding in compare(own, oracle[choice], EXACT) if not finding.passed
        ]
        for choice, own in traces.items()
    }
    assert {choice: found for choice, found in wrong.items() if found} == {}


def test_every_choice_is_among_them() -> None:
    together = {item for choice in TOGETHER for item in choice.items()}
    assert {item for choice in SINGLE for item in choice.items()} <= together


def test_every_choice_is_another_course(oracle: dict[str, dict[str, Array]], call: Call) -> None:
    """A choice without an effect would agree with itself in every backend."""
    default = call("numpy", "float64", traced, {})
    courses = [trace["loss"].tobytes() for trace in (default, *oracle.values())]
    assert len(set(courses)) == 1 + len(SINGLE) + len(TOGETHER)


def of_rates(backend: str) -> tuple[int, int]:
    """How many functions are compiled by an epoch of a rate that changes, and by the second."""
    task = chosen_task(optimizer="sgd", decay="linear")
    module = importlib.import_module(f"backends.{backend}.fashion_mlp")
    program = module.build(task, task.initial(SEED), None)
    before, counts = program.compilations(), []
    for epoch in range(2):
        for chunk in task.chunks("train", SEED, epoch):
            program.train(program.place(chunk))
        counts.append(program.compilations() - before)
    return counts[0], counts[1]


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_rate_that_changes_compiles_nothing_anew(call: Call, backend: str) -> None:
    assert call(backend, "float32", of_rates) == (1, 1)
