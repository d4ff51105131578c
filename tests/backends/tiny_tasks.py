"""The tiny tasks, and what their tests run inside a backend's process."""

from __future__ import annotations

import numpy as np

import tasks
from backends.program import Program
from tasks.task import Array, Chunk, Precision, State, Task
from tests.backends.programs import built, kept
from tests.tasks.tiny import tiny

SEED = 3
# these are others with other constants or other data, and tiny ones of them the same
LEFT_OUT = (
    *(("fashion_mlp", None), ("fashion_mlp", "scratch"), ("transformer", "base")),
    *(("imdb_text", "word2vec"), ("imdb_text", "word2vec_scratch")),
)
CHOICES = [choice for choice in tasks.choices(tasks.ALL) if choice not in LEFT_OUT]
# transformer:dropout without a seed is the transformer; bow_validation is bow on other reviews
MODELS = [c for c in CHOICES if c not in (("transformer", None), ("imdb_text", "bow_validation"))]
PROGRAMS = [c for c in MODELS if c[1] not in ("bow", "bow_l1", "bow_l2")]
"""Models that differ in more than a term of the loss, or in the weights of words."""


def training_chunks(task: Task) -> list[Chunk]:
    """Two epochs, so that there are several chunks."""
    return [chunk for epoch in range(2) for chunk in task.chunks("train", SEED, epoch)]


def initial(choice: tasks.Choice, precision: Precision) -> State:
    return tiny(choice).initial(SEED).astype(precision)


def seed_without_dropout(choice: tasks.Choice) -> int | None:
    """A seed; none where it would bring dropout, whose random numbers are each framework's own."""
    task = tiny(choice)
    return None if task.dropouts(next(task.chunks("train", SEED))) else SEED


def program_of(backend: str, choice: tasks.Choice, state: State, seed: int | None) -> Program:
    """The one that is kept."""
    return kept(backend, choice, tiny(choice), state, seed)


def restored(backend: str, choice: tasks.Choice, state: State) -> State:
    """The state of a new program once it was given another state than it was built from."""
    task = tiny(choice)
    program = built(backend, task, task.initial(SEED).astype(state.dtype), SEED)
    program.restore(state)
    return program.state()


def train(
    backend: str,
    choice: tasks.Choice,
    state: State,
    chunks: list[Chunk],
    dropout_seed: int | None,
) -> tuple[Array, State]:
    """The losses of ``chunks`` from ``state``, and what follows."""
    program = program_of(backend, choice, state, dropout_seed)
    losses = [program.train(program.place(chunk)) for chunk in chunks]
    return np.concatenate([*losses, []]), program.state()


def what_looking_changes(
    backend: str, choice: tasks.Choice, state: State
) -> tuple[State, State, bool]:
    """The state before and after asking for gradients and outputs, and whether these repeat."""
    task = tiny(choice)
    program = program_of(backend, choice, state, SEED)
    placed, test = (program.place(next(task.chunks(s, SEED))) for s in ("train", "test"))
    before = program.state()
    first, outputs = program.gradients(placed), program.predict(test)
    after = program.state()
    again, outputs_again = program.gradients(placed), program.predict(test)
    same = first[0] == again[0] and all(
        np.array_equal(a[name], b[name])
        for a, b in ((first[1], again[1]), (outputs, outputs_again))
        for name in a
    )
    return before, after, same
