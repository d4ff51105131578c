"""Duties of the modes other than the default: to compute what NumPy computes, compiled once.

Cheap ones of every kind; ``tetragrad verify --backend all`` holds all tasks against NumPy. What the
modes drop, ``test_dropout`` looks at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backends.torch
import tasks
from tasks.optimizers import Adam, Cosine, Optimizer
from tests.backends import programs, tiny_tasks
from tests.backends.conftest import Call
from tests.backends.programs import assert_same
from tests.tasks.tiny import tiny
from tests.tiny import RMSPROP

COMPILE, XLA = "torch:compile", "tensorflow:xla"
MODES = (COMPILE, XLA)
SEED = tiny_tasks.SEED
OPTIMIZERS: list[Optimizer] = [
    RMSPROP,
    Adam(1e-2, 0.9, 0.999, 1e-8, schedule=Cosine(10), clip=0.3),
]
# each with what a mode computes in a way of its own; embedding differs in nothing
CHOICES = [
    ("fewshot", "siamese"),
    ("imdb_text", "bow_batchnorm"),
    ("lstm", None),
    ("transformer", None),
]
CASES = [
    *(pytest.param(mode, c, id=f"{mode}-{c[0]}") for mode in MODES for c in CHOICES),
    pytest.param(XLA, ("lstm", "rnn"), id=f"{XLA}-lstm:rnn"),  # its loops are its own there
]


@pytest.mark.parametrize("backend", MODES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_it_trains_as_numpy_does_and_compiles_once(
    call: Call, backend: str, optimizer: Optimizer
) -> None:
    state = programs.initial(optimizer, "float64")
    losses, end, counts = call(backend, "float64", programs.trained_twice, state, optimizer)
    expected, expected_end, none = call(
        "numpy", "float64", programs.trained_twice, state, optimizer
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-13)
    assert_same(end, expected_end, 1e-13)
    assert (counts, none) == ([1, 1], [0, 0])


@pytest.mark.parametrize(("backend", "choice"), CASES)
def test_a_task_is_the_same_model(call: Call, backend: str, choice: tasks.Choice) -> None:
    state = tiny_tasks.initial(choice, "float64")
    first, *more = tiny_tasks.training_chunks(tiny(choice))
    shapes = {name: a.shape for name, a in first.items()}  # every other one would be compiled too
    again = next(c for c in more if {name: a.shape for name, a in c.items()} == shapes)
    chunks = [first, again]
    found, end = call(backend, "float64", tiny_tasks.train, choice, state, chunks, SEED)
    losses, numpy_end = call("numpy", "float64", tiny_tasks.train, choice, state, chunks, SEED)
    np.testing.assert_allclose(found, losses, rtol=1e-10)
    assert_same(end, numpy_end, 1e-8)


@pytest.mark.parametrize("backend", MODES)
def test_looking_changes_nothing_and_gradients_repeat(call: Call, backend: str) -> None:
    choice = ("imdb_text", "bow_batchnorm")
    state = tiny_tasks.initial(choice, "float64")
    before, after, same = call(backend, "float64", tiny_tasks.what_looking_changes, choice, state)
    assert_same(before, state, 0)
    assert_same(after, before, 0)
    assert same


def test_no_function_of_our_own_returns_what_it_changed_in_place() -> None:
    """In PyTorch 2.11, what is compiled then gets no gradient (its issue 180642)."""
    folder = Path(backends.torch.__file__).parent
    functions = [
        method
        for file in sorted(folder.glob("*.py"))
        for kind in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(kind, ast.ClassDef)
        and any(ast.unparse(base) == "torch.autograd.Function" for base in kind.bases)
        for method in kind.body
        if isinstance(method, ast.FunctionDef) and method.name == "forward"
    ]
    assert len(functions) >= 2
    for function in functions:
        changed = [ast.unparse(call.func.value) for call in _in_place(function)]
        for returned in (node for node in ast.walk(function) if isinstance(node, ast.Return)):
            assert ast.unparse(returned) not in {f"return {name}" for name in changed}
            assert not list(_in_place(returned)), ast.unparse(returned)


def _in_place(tree: ast.AST) -> Iterator[Any]:
    """Calls of methods that change their tensor, such as ``x.add_(y)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name.endswith("_") and not name.endswith("__"):
                yield node
