"""Dropout in JAX: by a mask that comes with the batch, or else by one drawn from a step's key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import jax
import jax.numpy as jnp

from backends.jax.taps import tap
from tasks.task import MASK

_records: list[dict[str, jax.Array]] = []
"""Where the factors are recorded, if they are: a trace outside of ``recorded`` is not changed."""


def dropout(
    rate: float,
    x: jax.Array,
    key: jax.Array | None,
    number: int,
    layer: str,
    given: Mapping[str, jax.Array],
) -> jax.Array:
    """x / (1 - rate), or 0 where it is dropped (Srivastava et al. 2014, section 10).

    ``layer`` keeps what ``given`` says under ``dropout/<layer>``, or else drops at ``rate`` by
    ``key`` and its ``number``; without a key it drops nothing.
    """
    kept = given.get(f"{MASK}{layer}")
    if not rate:
        return x
    if kept is None:
        if key is None:
            return x
        kept = jax.random.bernoulli(jax.random.fold_in(key, number), 1 - rate, x.shape)
    for record in _records:
        record[layer] = _dropped(rate, jnp.ones_like(x), kept)
    return tap(f"{layer}_dropout", _dropped(rate, x, kept))


def _dropped(rate: float, x: jax.Array, kept: jax.Array) -> jax.Array:
    return jnp.where(kept, x / (1 - rate), 0)


@contextmanager
def recorded() -> Iterator[dict[str, jax.Array]]:
    """Records by layer the factors that inputs are multiplied by in what is traced meanwhile."""
    record: dict[str, jax.Array] = {}
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)
