"""Work of dropout's tests inside a backend's process: traces, statistics, planted slips."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from backends.program import Program
from suite.records.verdict import Deviation
from suite.worker.dropout import dropout_finding, dropout_statistics
from suite.worker.trace import trace
from tasks.datasets.imdb import IMDB
from tasks.embedding import Embedding, EmbeddingConfig
from tasks.imdb_text import BagConfig, BagOfWords
from tasks.task import Array, Envelope, State, Task
from tests.backends.programs import built, kept
from tests.tasks import tiny_imdb_text, tiny_transformer

SEED = 3
STEPS = 6
EXACT = Envelope(STEPS, loss=1e-11, gradient=1e-11, state=1e-8)
REVIEWS = {"train": 64 * STEPS, "test": 10}
Slip = tuple[str, str, str]
"""A module of a backend, what stands there, and what to put in its place."""


def roomy(label: str) -> Task:
    """A variant with dropout, tiny but for the number of entries that each layer drops from."""
    shared = {"batch": 64, "chunk_steps": STEPS}
    match label:
        case "imdb_text:bow_dropout":
            config = BagConfig(words=12, hidden=48, dropout=0.5, **shared)  # type: ignore[arg-type]
            return BagOfWords(config, "smoke", "bow_dropout", _reviews())
        case "imdb_text:embedding":
            size = {"rows": 14, "channels": 32, "length": 5, "hidden": 6}
            small = EmbeddingConfig(**size, **shared)  # type: ignore[arg-type]
            return Embedding(small, "smoke", "embedding", _reviews())
    constants = replace(
        tiny_transformer.CONFIG,
        width=32,
        layers=1,
        batch=12,
        buckets=(8,),
        epoch_steps=STEPS,
        chunk_steps=STEPS,
    )
    return tiny_transformer.tiny_task("dropout", constants, tiny_transformer.Scored)


def _reviews() -> IMDB:
    return tiny_imdb_text.tiny_data(reviews=REVIEWS)


def traced(backend: str, label: str, slip: Slip | None = None) -> dict[str, Array]:
    """The float64 trace of a program that a slip may be planted in."""
    task = roomy(label)
    if slip is None:
        return trace(task, by_masks(backend, label), SEED, (STEPS,))
    with planted(backend, slip):
        program = built(backend, task, task.initial(SEED).astype("float64"), None)
        return trace(task, program, SEED, (STEPS,))


def by_masks(backend: str, label: str) -> Program:
    """The program that draws nothing, built once: to compile it takes seconds."""
    task = roomy(label)
    return kept(backend, label, task, task.initial(SEED).astype("float64"), None)


def examined(
    backend: str, label: str, slip: Slip | None = None, in_drawing: bool = True
) -> tuple[Deviation, Mapping[str, Array]]:
    """The finding on the backend's own dropout, with the errors behind it.

    A slip ``in_drawing`` alone is not in what the program without a seed computes, so that the one
    without the slip serves.
    """
    task = roomy(label)
    task.envelopes = {"float64": EXACT}
    without_seed = by_masks(backend, label) if in_drawing else None
    with planted(backend, slip):

        def build(state: State, seed: int | None) -> Program:
            if seed is None and without_seed is not None:
                return without_seed
            return built(backend, task, state, seed)

        errors = dropout_statistics(task, build, "float64", SEED)
    return dropout_finding(errors), errors


@contextmanager
def planted(backend: str, slip: Slip | None) -> Iterator[None]:
    """Loads the backend's modules anew, one of them with the slip, and at the end once more."""
    if slip is None:
        yield
        return
    module, old, new = slip
    package, name = f"backends.{backend}", f"backends.{backend}.{module}"
    source = Path(sys.modules[package].__path__[0], f"{module}.py").read_text()
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
    _forget(package)
    try:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        exec(compile(source.replace(old, new), f"{name}, planted", "exec"), made.__dict__)
        setattr(sys.modules[package], module, made)
        yield
    finally:
        _forget(package)


def _forget(package: str) -> None:
    """Its modules, not itself: it holds what was configured."""
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        del sys.modules[name]
        vars(sys.modules[package]).pop(name.removeprefix(f"{package}."), None)


def drawn(label: str, seed: int, step: int) -> Mapping[str, Array]:
    """The masks of the task's first chunk."""
    task = roomy(label)
    return task.dropout_masks(next(task.chunks("train", SEED)), seed, step)


def fraction(masks: Mapping[str, Array]) -> float:
    return float(np.mean(np.concatenate([a.ravel() for a in masks.values()])))
