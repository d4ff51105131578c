"""``torch:graph`` without a GPU: what is replayed is not kernels but the work, on the same memory.

That inputs, rates and losses are where a graph looks for them, and that its warm-up leaves nothing
behind, shows here; that all of it can be captured shows on a GPU alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pytest

import backends.torch
import tasks
from backends.program import Unavailable
from tasks.optimizers import Adam, Cosine, Optimizer
from tests.backends import programs, tiny_tasks
from tests.backends.conftest import Call
from tests.backends.programs import assert_same
from tests.tasks.tiny import tiny
from tests.tiny import RMSPROP

T = TypeVar("T")
Graph = Callable[..., Any]
CHOICES = [
    ("fewshot", "siamese"),
    ("fewshot", "triplet"),
    ("imdb_text", "bow_batchnorm"),
    ("imdb_text", "embedding"),
    ("imdb_text", "skipgram"),
    ("lstm", None),
    ("transformer", None),
]
ADAM = Adam(1e-2, 0.9, 0.999, 1e-8, schedule=Cosine(10), clip=0.3)

pytest.importorskip("torch")


def replayed(backend: str, function: Callable[..., T], *given: Any) -> T:
    """Runs it where steps are replayed; a capture runs nothing."""
    from backends.torch import graphs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends.torch, "mode", "graph")
        patch.setattr(graphs, "recorded", lambda work: work)
        return function(backend, *given)


@pytest.fixture
def graph(call: Call) -> Graph:
    """``graph(function, *arguments)`` runs it where steps are replayed."""
    return partial(call, "torch", "float64", replayed)


@pytest.mark.parametrize("optimizer", [RMSPROP, ADAM], ids=lambda o: type(o).__name__)
def test_it_trains_as_numpy_does_and_captures_once(
    graph: Graph, call: Call, optimizer: Optimizer
) -> None:
    state = programs.initial(optimizer, "float64")
    losses, end, counts = graph(programs.trained_twice, state, optimizer)
    expected, numpy_end, _ = call("numpy", "float64", programs.trained_twice, state, optimizer)
    np.testing.assert_allclose(losses, expected, rtol=1e-13)
    assert_same(end, numpy_end, 1e-13)
    assert counts == [1, 1]


@pytest.mark.parametrize("choice", CHOICES, ids=[":".join(filter(None, c)) for c in CHOICES])
def test_a_task_is_the_same_model(graph: Graph, call: Call, choice: tasks.Choice) -> None:
    state = tiny_tasks.initial(choice, "float64")
    chunks = tiny_tasks.training_chunks(tiny(choice))
    losses, end = graph(tiny_tasks.train, choice, state, chunks, None)
    given = (choice, state, chunks, None)
    expected, numpy_end = call("numpy", "float64", tiny_tasks.train, *given)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    assert_same(end, numpy_end, 1e-8)


def test_dropout_is_drawn_from_seed_and_step(graph: Graph, call: Call) -> None:
    choice = ("imdb_text", "bow_dropout")
    state = tiny_tasks.initial(choice, "float64")
    chunks = tiny_tasks.training_chunks(tiny(choice))
    losses, _ = graph(tiny_tasks.train, choice, state, chunks, 1)
    eager, _ = call("torch", "float64", tiny_tasks.train, choice, state, chunks, 1)
    other, _ = graph(tiny_tasks.train, choice, state, chunks, 2)
    np.testing.assert_allclose(losses, eager, rtol=1e-10)
    assert not np.allclose(losses, other, rtol=1e-3)


def test_there_are_no_graphs_on_the_cpu() -> None:
    with pytest.raises(Unavailable, match=r"torch:graph .* --device cuda"):
        backends.torch.configure("cpu", 1, "float32", "graph")
