"""Larger batches, to keep a device busy. For throughput alone: another batch learns otherwise.

A task's ``Config.scaled`` says how its batches grow; what those have in common stands here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

C = TypeVar("C")


def fewer_steps(steps: int, chunk_steps: int) -> tuple[int, int]:
    """Steps of an epoch and of a chunk, where an epoch has ``steps`` batches, and not more.

    The former is a multiple of the latter, which is at most ``chunk_steps``. ValueError if there
    are none.
    """
    if steps < 1:
        raise ValueError("an epoch has no batch as large as that")
    chunk_steps = min(chunk_steps, steps)
    return steps // chunk_steps * chunk_steps, chunk_steps


def with_larger_batches(constants: C, factor: int, samples: str) -> C:
    """The constants of a task with ``batch`` samples in a batch, ``factor`` times as many.

    ``samples`` names the constant that says how many an epoch has.
    """
    c: Any = constants
    batch = c.batch * factor
    steps, chunk_steps = fewer_steps(getattr(c, samples) // batch, c.chunk_steps)
    scaled: C = replace(c, batch=batch, chunk_steps=chunk_steps, **{samples: steps * batch})
    return scaled


def chunks_of_epoch(constants: Any) -> int:
    """How many chunks an epoch of training has, by a task's ``Config``."""
    c = constants
    if hasattr(c, "epoch_steps"):
        steps = c.epoch_steps
    elif hasattr(c, "steps"):
        steps, *_ = c.steps if isinstance(c.steps, tuple) else (c.steps,)
    elif hasattr(c, "train_characters"):
        steps = (c.train_characters - 1) // (c.batch * c.unroll)
    else:
        samples = c.train_reviews if hasattr(c, "train_reviews") else c.train_samples
        steps = samples // c.batch
    return -(-steps // min(c.chunk_steps, steps))
