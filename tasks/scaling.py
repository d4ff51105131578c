"""Larger batches, to keep a device busy. For throughput alone: another batch learns otherwise.

A task's ``Config.scaled`` says how its batches grow; what those have in common stands here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

C = TypeVar("C")
_SIZES = ("epoch_steps", "steps", "train_characters", "unroll", "train_samples", "train_reviews")


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


def chunks_of_epoch(constants: Any) -> int | None:
    """How many chunks an epoch of training has, by a task's ``Config``; None if it does not say."""
    steps, size = _steps(constants), getattr(constants, "chunk_steps", None)
    return -(-steps // min(size, steps)) if steps and size else None


def _steps(constants: Any) -> int | None:
    """How many steps an epoch has, by the names that tasks give to what it depends on."""
    known = {f: getattr(constants, f) for f in _SIZES if hasattr(constants, f)}
    match known:
        case {"epoch_steps": int(steps)} | {"steps": int(steps) | (int(steps), _)}:
            return steps
        case {"train_characters": int(size), "unroll": int(unroll)}:
            return (size - 1) // (int(constants.batch) * unroll)
        case {"train_samples": int(size)} | {"train_reviews": int(size)}:
            return size // int(constants.batch)
    return None
