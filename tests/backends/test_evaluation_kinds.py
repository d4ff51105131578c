"""``Task.evaluation_kinds``: predictions are compared on all that tasks have predicted."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import backends
import tasks
from tasks.task import Array, Chunk, Predict, State, Task, Tree
from tasks.transformer import Transformer
from tests.backends.conftest import Call
from tests.tasks.tiny import tiny

CHOICES = tasks.choices(tasks.ALL)
# the transformer's outputs test_transformer holds against NumPy's, the variants of which are alike
DISTINCT = [choice for choice in CHOICES if choice[0] != "transformer"]
# penalties, dropout and batch normalisation ask for what bow asks, of the same size; transfer for
# what fashion_mlp asks, word2vec for what embedding asks
ALIKE = [
    *(("imdb_text", f"bow_{what}") for what in ("l1", "l2", "dropout", "batchnorm")),
    *(("fashion_mlp", variant) for variant in ("transfer", "scratch")),
    *(("imdb_text", variant) for variant in ("word2vec", "word2vec_scratch")),
]


def each(choices: Sequence[tasks.Choice]) -> pytest.MarkDecorator:
    ids = [":".join(filter(None, choice)) for choice in choices]
    return pytest.mark.parametrize("choice", choices, ids=ids)


Form = frozenset[tuple[str, np.dtype[np.generic], int]]
"""Form of a chunk: every array's name, type and number of axes."""


def form(chunk: Chunk) -> Form:
    return frozenset((name, a.dtype, a.ndim) for name, a in chunk.items())


def predictor(task: Task, state: State) -> Predict:
    program = importlib.import_module(f"backends.numpy.{task.name}").build(task, state, None)
    return lambda chunk: program.predict(program.place(chunk))


def handed_to_predict(task: Task) -> set[Form]:
    """Forms of all chunks that a run hands to ``predict``, in every one of its places."""
    compute, handed = predictor(task, task.initial(0)), set()

    def predict(chunk: Chunk) -> Tree:
        handed.add(form(chunk))
        return compute(chunk)

    results = [(chunk, predict(chunk)) for chunk in task.chunks("test")]
    task.score([*results, *task.search(predict)])
    task.texts(predict)
    task.heatmaps(predict)
    for epoch in range(task.config.epochs):
        task = task.adapt(epoch, predict)
    return handed


@each(CHOICES)
def test_there_is_a_kind_for_all_that_is_predicted_and_no_other(choice: tasks.Choice) -> None:
    task = tiny(choice)
    handed = handed_to_predict(task)
    if isinstance(task, Transformer):
        searching = tiny(choice)
        searching.config = replace(task.config, beam=2)
        handed |= handed_to_predict(searching)
    kinds = [name for name, _ in task.evaluation_kinds()]
    assert len(set(kinds)) == len(kinds)
    assert {form(chunk) for _, chunk in task.evaluation_kinds()} == handed


def begun(task: Task) -> State:
    """A state in which nothing is 0: the initial one may be 0 altogether, as the perceptron's."""
    state, a_little = task.initial(0), np.float32(1e-2)
    params, buffers = (
        {name: leaf + a_little for name, leaf in tree.items()}
        for tree in (state.params, state.buffers)
    )
    return replace(state, params=params, buffers=buffers)


def predictions(_: str, choice: tasks.Choice) -> dict[str, tuple[Chunk, Tree]]:
    name, variant = choice
    task = tasks.load(name, "full", "generated", variant)
    predict = predictor(task, begun(task))
    again = dict(task.evaluation_kinds())
    found = {}
    for kind, chunk in task.evaluation_kinds():
        assert all(np.array_equal(a, again[kind][n]) for n, a in chunk.items())
        found[kind] = chunk, predict(chunk)
    return found


@each([choice for choice in CHOICES if choice not in ALIKE])
def test_every_kind_is_predicted_and_small(call: Call, choice: tasks.Choice) -> None:
    for kind, (chunk, outputs) in call("numpy", "float32", predictions, choice).items():
        assert outputs, kind
        steps = {len(a) for a in chunk.values()}
        assert len(steps) == 1 <= max(steps) <= 2, kind
        for name, array in outputs.items():
            assert (len(array),) == (*steps,), f"{kind}: {name}"
            assert np.isfinite(array).all(), f"{kind}: {name}"
            assert array.any(), f"{kind}: {name}"
        assert sum(a.nbytes for a in (*chunk.values(), *outputs.values())) < 2**25, kind


def outputs_of_kinds(backend: str, choice: tasks.Choice, state: State) -> dict[str, Array]:
    task = tiny(choice)
    program = importlib.import_module(f"backends.{backend}.{choice[0]}").build(task, state, None)
    return {
        f"{kind}: {name}": a
        for kind, chunk in task.evaluation_kinds()
        for name, a in program.predict(program.place(chunk)).items()
    }


@pytest.mark.parametrize("backend", [name for name in backends.NAMES if name != "numpy"])
@each(DISTINCT)
def test_every_backend_predicts_the_same(call: Call, backend: str, choice: tasks.Choice) -> None:
    state = begun(tiny(choice)).astype("float64")
    expected = call("numpy", "float64", outputs_of_kinds, choice, state)
    found = call(backend, "float64", outputs_of_kinds, choice, state)
    assert found.keys() == expected.keys()
    for name, output in expected.items():
        np.testing.assert_allclose(found[name], output, rtol=1e-9, atol=1e-11, err_msg=name)
