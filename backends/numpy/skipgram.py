"""Skip-gram with negative sampling in NumPy, with its backward pass by hand."""

from __future__ import annotations

from typing import Any

from backends.numpy.engine import Backward, Key
from backends.numpy.taps import tap, tap_back
from backends.numpy.text import (
    negative_sampling,
    negative_sampling_backward,
    pair_logits,
    pair_logits_backward,
)
from tasks.task import Array, Tree


def forward(config: Any, params: Tree, buffers: Tree, batch: Tree) -> Tree:
    """Logits (n, 1 + negatives) of pairs, and the vectors (n, channels) of their words."""
    tables = params["embedding.kernel"], params["context.table"]
    logits, (*_, vectors, _) = pair_logits(batch["words"], batch["contexts"], *tables)
    return {"logits": logits, "vectors": vectors}


def loss(
    config: Any, params: Tree, buffers: Tree, batch: Tree, key: Key | None
) -> tuple[Array, Tree, Backward]:
    """The mean loss of a pair, no buffers, the way back to the parameters."""
    tables = params["embedding.kernel"], params["context.table"]
    logits, saved_logits = pair_logits(batch["words"], batch["contexts"], *tables)
    value, saved_loss = negative_sampling(tap("logits", logits))

    def backward(cotangent: float) -> Tree:
        dlogits = tap_back("logits", negative_sampling_backward(cotangent, saved_loss))
        dv, du = pair_logits_backward(dlogits, saved_logits)
        return {"embedding.kernel": dv, "context.table": du}

    return value, buffers, backward
