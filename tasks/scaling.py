"""Larger batches, to keep a device busy. For throughput alone: another batch learns otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any


def scaled(constants: Any, factor: int) -> Any:
    """The constants of a task with batches ``factor`` times as large, and fewer steps of them.

    ValueError where a batch is more than some samples, or an epoch has none as large as that.
    """
    c = constants
    if hasattr(c, "buckets"):
        epoch_steps, chunk_steps = _steps(c.epoch_steps // factor, c.chunk_steps)
        return replace(c, batch=c.batch * factor, epoch_steps=epoch_steps, chunk_steps=chunk_steps)
    if hasattr(c, "streams"):
        size = factor * c.streams * c.unroll
        steps, chunk_steps = _steps((c.train_characters - 1) // size, c.chunk_steps)
        return replace(
            c,
            streams=c.streams * factor,
            chunk_steps=chunk_steps,
            train_characters=steps * size + 1,  # the last target stands behind the last input
        )
    name = next((n for n in ("train_samples", "train_reviews") if hasattr(c, n)), None)
    if name is None or getattr(c, "inputs", None) == getattr(c, name):
        raise ValueError("its batches are more than so many samples")
    steps, chunk_steps = _steps(getattr(c, name) // (c.batch * factor), c.chunk_steps)
    batch = c.batch * factor
    return replace(c, batch=batch, chunk_steps=chunk_steps, **{name: steps * batch})


def batch_of(constants: Mapping[str, Any]) -> int | None:
    """Samples (of a text: streams) in a batch of a task with these constants, None if not so many.

    ``constants`` by name, as a record's specification has them.
    """
    found: int | None = constants.get("batch", constants.get("streams"))
    return found


def _steps(steps: int, chunk_steps: int) -> tuple[int, int]:
    """Of an epoch and of a chunk: as many as there are, the former a multiple of the latter."""
    if not steps:
        raise ValueError("an epoch has no batch as large as that")
    chunk_steps = min(chunk_steps, steps)
    return steps // chunk_steps * chunk_steps, chunk_steps
