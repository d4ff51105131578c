"""The base of a task in a folder of its user's: parameters, optimiser and batches make it whole.

All else that the suite asks of a task has a default here, and can be said by the same names as in
``Task``: ``envelopes``, ``buffers``, ``dropouts``, ``score``, ...
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tasks import outside, weights
from tasks.optimizers import Optimizer
from tasks.task import (
    Chunk,
    Envelope,
    Leaf,
    Precision,
    Provenance,
    RequestError,
    State,
    Target,
    Task,
    Tree,
    rounded_products,
)

TEST_SEED = 2**31 - 1
"""The seed of the batches that are evaluated."""
TEST_STEPS = 2
NUMPY = "numpy"


def default_envelopes(steps: int = 20) -> Mapping[Precision, Envelope]:
    """How far a backend may differ from the oracle, where a task has not measured it.

    In float64 over so many ``steps``, otherwise over ten of them at most, where rounding has not
    grown. The tolerances are the widest of the house's tasks (but of the transformer's state in
    float32); what a model shows can be a thousand times less: tighten them then, with
    ``{**default_envelopes(), "float64": Envelope(steps=100, loss=1e-12, ...)}``.
    """
    short = min(steps, 10)
    return {
        "float64": Envelope(steps, loss=1e-9, gradient=1e-9, state=1e-8),
        "float32": Envelope(short, loss=2e-5, gradient=5e-5, state=2e-2),
        **{
            precision: replace(envelope, steps=short)
            for precision, envelope in rounded_products(loss=2e-2, gradient=3e-1).items()
        },
    }


@dataclass(frozen=True)
class Constants:
    """How a task is trained: ``batch`` rows a step, ``steps`` an epoch, ``chunk_steps`` a chunk."""

    batch: int
    steps: int
    chunk_steps: int
    epochs: int

    def scaled(self, factor: int) -> Constants:
        raise ValueError("how large a batch is, its task.py alone says")


class OwnTask(Task):
    """A task by ``params``, ``optimizer`` and ``batch``. The only one in a folder's ``task.py``.

    ``weights`` names a file that the parameters and buffers start from (``.npz`` or
    ``.safetensors``, relative to the folder), ``weight_names`` how a leaf is called there where
    that differs (see ``tasks.weights.chosen``).
    """

    oracle: str = ""
    """The backend whose float64 is right, where there is no ``numpy.py``: its gradients are held
    against central differences. None named: the first that the folder has a file for."""
    weights: str | None = None
    weight_names: Mapping[str, str | None] = {}
    steps: int = 100
    """An epoch's."""
    chunk_steps: int = 10
    epochs: int = 1
    envelopes: Mapping[Precision, Envelope] = default_envelopes()
    targets: tuple[Target, ...] = ()
    margin: float = 0.0
    validation: str = "train_loss"

    def __init__(self, address: str, profile: str):
        self.name, self.profile, self._folder = address, profile, outside.folder(address)
        self._require_sound()
        first = self.batch(0, 0)
        rows = len(next(iter(first.values())))
        self.config = Constants(rows, self.steps, self.chunk_steps, self.epochs)
        self.provenance = Provenance(self._folder.name, "real", self._digest(first))

    @property
    def label(self) -> str:
        return outside.shown(self.name)

    def batch(self, seed: int, step: int) -> Tree:
        """The batch of a step, arrays (batch, ...): the same bits whenever it is asked for."""
        raise NotImplementedError

    def initial(self, seed: int) -> State:
        drawn = super().initial(seed)
        if self.weights is None:
            return drawn
        leaves = {**self.params, **self.buffers}
        read = weights.chosen(self._folder / self.weights, leaves, self.weight_names)
        params, buffers = (
            {name: read.get(name, leaf) for name, leaf in tree.items()}
            for tree in (drawn.params, drawn.buffers)
        )
        return replace(drawn, params=params, buffers=buffers)

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        if split != "train":
            yield self._chunk(TEST_SEED, 0, TEST_STEPS)
            return
        for first in range(0, self.steps, self.chunk_steps):
            steps = min(self.chunk_steps, self.steps - first)
            yield self._chunk(seed, epoch * self.steps + first, steps)

    def shapes(self, seed: int) -> Iterator[Chunk]:
        chunks = (self._chunk(seed, 0, steps) for steps in self._lengths())
        yield from chunks

    def _lengths(self) -> tuple[int, ...]:
        """Steps of the chunks of an epoch, each once."""
        whole, rest = divmod(self.steps, self.chunk_steps)
        return (*((self.chunk_steps,) if whole else ()), *((rest,) if rest else ()))

    def verification_chunks(self, seed: int) -> Iterator[Chunk]:
        """As many as the proof needs, however short an epoch is."""
        return (self._chunk(seed, first, self.chunk_steps) for first in count(0, self.chunk_steps))

    def _chunk(self, seed: int, first: int, steps: int) -> Chunk:
        batches = [self.batch(seed, first + step) for step in range(steps)]
        return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}

    def samples(self, chunk: Chunk) -> int:
        steps, rows = next(iter(chunk.values())).shape[:2]
        return int(steps * rows)

    def operations(self, chunk: Chunk) -> float:
        """0, for not known: then no efficiency is shown."""
        return 0.0

    def score(self, results: Iterable[tuple[Chunk, Tree]]) -> Mapping[str, float]:
        return {}

    def _digest(self, first: Tree) -> str:
        """The digest of the first batches of training and evaluation, and of the weights' file."""
        found = hashlib.sha256()
        for tree in (first, self.batch(TEST_SEED, 0)):
            for name, array in sorted(tree.items()):
                found.update(f"{name} {array.dtype} {array.shape}".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        if self.weights is not None and (file := self._folder / self.weights).is_file():
            found.update(file.read_bytes())
        return found.hexdigest()

    def _require_sound(self) -> None:
        """RequestError for what is missing or of another kind than it should be."""
        params, optimizer = getattr(self, "params", None), getattr(self, "optimizer", None)
        if not params or not all(isinstance(leaf, Leaf) for leaf in params.values()):
            raise self._error('needs params = {"hidden.kernel": Leaf((784, 128), draw), ...}')
        if not isinstance(optimizer, get_args(Optimizer)):
            known = ", ".join(kind.__name__ for kind in get_args(Optimizer))
            raise self._error(f"needs an optimizer of tasks.optimizers, one of {known}")
        if type(self).batch is OwnTask.batch:
            raise self._error("needs batch(self, seed, step), which returns arrays by name")
        if min(self.steps, self.chunk_steps, self.epochs) < 1:
            raise self._error("needs steps, chunk_steps and epochs from 1")
        self._require_batch(self.batch(0, 0), self.batch(0, 0))

    def _require_batch(self, first: Any, again: Any) -> None:
        if not (isinstance(first, Mapping) and first) or not all(map(_has_rows, first.values())):
            raise self._error("batch(0, 0) must return NumPy's arrays by name, each (batch, ...)")
        rows = {name: len(array) for name, array in first.items()}
        if len(set(rows.values())) > 1:
            raise self._error(f"batch(0, 0) has arrays of different lengths: {rows}")
        for name, array in first.items():
            if not np.array_equal(array, again[name]):
                raise self._error(
                    f"batch(0, 0) gives other {name} when it is asked again: draw them from "
                    "np.random.default_rng([seed, step])"
                )

    def _error(self, what: str) -> RequestError:
        return RequestError(f"{self._folder / outside.FILE}: {type(self).__name__} {what}")


def _has_rows(array: object) -> bool:
    return isinstance(array, np.ndarray) and array.ndim > 0 and array.dtype.kind in "fiub"


def kind(address: str) -> type[OwnTask]:
    """The class of a task outside the house. RequestError if its ``task.py`` has none, or fails."""
    module = outside.module(address, Path(outside.FILE).stem)
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, OwnTask)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        names = ", ".join(value.__name__ for value in found) or "none"
        raise RequestError(
            f"{module.__file__} must define one subclass of tasks.own.OwnTask; it has: {names}"
        )
    return found[0]


@functools.cache
def load(address: str, profile: str) -> OwnTask:
    """The task at an address. RequestError if it cannot be used, with the line that fails."""
    made = kind(address)
    try:
        return made(address, profile)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(outside.explained(error, address)) from error
