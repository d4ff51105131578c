"""Character language model in JAX."""

from __future__ import annotations

from typing import Any

import jax
import optax

from backends.jax.engine import Arrays, Program
from backends.jax.recurrent import lstm, step
from backends.jax.taps import tap
from tasks.task import State, Task

# The products of a step are small: Eigen is faster at them than YNNPACK, which XLA otherwise takes.
# Other versions may not know the option.
SMALL_PRODUCTS = (
    {"xla_cpu_experimental_ynn_fusion_type": ""} if jax.__version__.startswith("0.10.") else None
)


def _input_table(params: Arrays) -> jax.Array:
    """Contribution of each character to the gates, (characters, 4H).

    It takes a product of 65 rows, not one of every input.
    """
    return params["embedding.kernel"] @ params["lstm.kernel"] + params["lstm.bias"]


def _logits(params: Arrays, h: jax.Array) -> jax.Array:
    """(n, characters) from hidden states (n, H)."""
    return h @ params["output.kernel"] + params["output.bias"]


def forward(params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    table, w = _input_table(params), params["lstm.recurrent"]

    def body(carry: Any, character: tuple[jax.Array, jax.Array]) -> Any:
        inputs, targets = character  # (n,)
        h, c, _ = step(table[inputs], w, *carry[:2])
        z = _logits(params, h)
        return (h, c, z), optax.losses.softmax_cross_entropy_with_integer_labels(z, targets)

    start = (batch["hidden"], batch["cell"], _logits(params, batch["hidden"]))
    (h, c, z), nats = jax.lax.scan(body, start, (batch["inputs"].T, batch["targets"].T))
    return {"nats": nats.T, "logits": z, "hidden": h, "cell": c}


def loss(
    params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean cross-entropy from inputs and targets (n, T), and the state after."""
    kept = 1 - batch["reset"]
    h, c = buffers["carry.hidden"] * kept, buffers["carry.cell"] * kept
    h, c = tap("carry.hidden", h), tap("carry.cell", c)
    x = _input_table(params)[batch["inputs"].T]  # (T, n, 4H)
    states, c = lstm(x, params["lstm.recurrent"], h, c)
    states, c = tap("lstm", states), tap("lstm_cell", c)
    logits = _logits(params, states.reshape(-1, states.shape[-1]))  # (T n, characters)
    logits = tap("output", logits)
    losses: jax.Array = optax.losses.softmax_cross_entropy_with_integer_labels(
        logits, batch["targets"].T.reshape(-1)
    )
    return losses.mean(), {"carry.hidden": states[-1], "carry.cell": c}


def _canonical(batch: Arrays, name: str, x: jax.Array) -> jax.Array:
    """The logits (T n, characters) as (T, n, characters)."""
    return x.reshape(*batch["inputs"].T.shape, -1) if name == "output" else x


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss, SMALL_PRODUCTS, _canonical)
