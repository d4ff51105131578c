"""Skip-gram with negative sampling in JAX."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from backends.jax.engine import Arrays
from backends.jax.taps import tap

WITHIN = "promise_in_bounds"
"""How rows are gathered: no index needs to be checked."""


def forward(config: Any, params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Logits (n, 1 + negatives) of pairs, and the vectors (n, channels) of their words."""
    v = params["embedding.kernel"].at[batch["words"]].get(mode=WITHIN)
    u = params["context.table"].at[batch["contexts"]].get(mode=WITHIN)
    return {"logits": jnp.einsum("nc,nmc->nm", v, u), "vectors": v}


def loss(
    config: Any, params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """The mean loss of a pair, and no buffers."""
    z = tap("logits", forward(config, params, buffers, batch)["logits"])
    likely = jax.nn.log_sigmoid(z[:, 0]) + jax.nn.log_sigmoid(-z[:, 1:]).sum(axis=1)
    return -likely.mean(), buffers
