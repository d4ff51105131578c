"""Rare values for the tiny tasks: chunks and states that training hardly ever comes to.

What of them the proof itself reaches is said in ``docs/proof-tested.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

import tasks
from tasks.task import Chunk, State
from tests.backends.tiny_tasks import initial, training_chunks
from tests.tasks.tiny import tiny

Edge = tuple[State, Chunk]
"""Where training begins, and on what."""


def saturated(choice: tasks.Choice) -> Edge:
    """Outputs so large that probabilities are 0 and 1, and logarithms of them far from 0."""
    state = initial(choice, "float64")
    last = [*list(state.params)[-2:], "decoder.norm.scale"]
    params = {n: a * 1e3 if n in last else a for n, a in state.params.items()}
    return replace(state, params=params), training_chunks(tiny(choice))[0]


def empty(choice: tasks.Choice) -> Edge:
    """A row with nothing in it: no word, no target, a blank picture; a state always reset."""
    chunk = {name: a.copy() for name, a in training_chunks(tiny(choice))[0].items()}
    for name, array in chunk.items():
        if name in ("images", "inputs") and array.dtype.kind == "f":
            array[:, 0] = 0
        elif name == "reset":
            array[:] = 1
    if "offsets" in chunk:  # the words of the first review become the second's
        chunk["offsets"][:, 1] = 0
        chunk["reviews"][chunk["reviews"] == 0] = 1
    elif "words" in chunk:
        chunk["words"][:, 0] = 0
    elif "source" in chunk:  # every source has its end mark
        chunk["inputs"][:, 0, 1:] = chunk["targets"][:, 0] = 0
    return initial(choice, "float64"), chunk


def certain(choice: tasks.Choice) -> Edge:
    """The right character is certain, so that all gradients are 0, and the norm that is clipped."""
    state, chunk = initial(choice, "float64"), training_chunks(tiny(choice))[0]
    bias = np.zeros_like(state.params["output.bias"])
    bias[0] = 1e4
    targets = np.zeros_like(chunk["targets"])
    return replace(state, params={**state.params, "output.bias": bias}), {
        **chunk,
        "targets": targets,
    }


def faint(choice: tasks.Choice) -> Edge:
    """Pictures whose embeddings are shorter than an epsilon, and than the smallest norm."""
    chunk = training_chunks(tiny(choice))[0]
    factors = np.resize([1, 1e-9, 1e-14], chunk["images"].shape[1])
    images = chunk["images"] * factors.astype(np.float32)[:, None, None]
    return initial(choice, "float64"), {**chunk, "images": images}


EDGES: Mapping[str, Callable[[tasks.Choice], Edge]] = {
    "saturated": saturated,
    "empty": empty,
    "certain": certain,
    "faint": faint,
}
ONLY = {"certain": "lstm", "faint": "fewshot"}
"""The one task that an edge is of, of those that not every task has."""


def of_task(choice: tasks.Choice) -> list[str]:
    """The edges that a task has."""
    found = [edge for edge in EDGES if ONLY.get(edge, choice[0]) == choice[0]]
    return [edge for edge in found if edge != "faint" or choice != ("fewshot", "finetune")]
