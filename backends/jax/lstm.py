"""Character language model in JAX."""

from __future__ import annotations

from typing import Any

import jax
import optax

from backends.jax.engine import Arrays, Program
from backends.jax.recurrent import lstm, rnn, rnn_step, step
from backends.jax.taps import tap
from tasks.task import State, Task

# The products of a step are small: Eigen is faster at them than YNNPACK, which XLA otherwise takes.
# Other versions may not know the option.
SMALL_PRODUCTS = (
    {"xla_cpu_experimental_ynn_fusion_type": ""} if jax.__version__.startswith("0.10.") else None
)


def _layer(params: Arrays) -> str:
    """The recurrent layer: ``lstm``, or ``rnn`` of the variant."""
    return "rnn" if "rnn.kernel" in params else "lstm"


def _input_table(params: Arrays) -> jax.Array:
    """Contribution of each character to the layer's gates, (characters, 4H), or (characters, H).

    It takes a product of 65 rows, not one of every input.
    """
    layer = _layer(params)
    return params["embedding.kernel"] @ params[f"{layer}.kernel"] + params[f"{layer}.bias"]


def _logits(params: Arrays, h: jax.Array) -> jax.Array:
    """(n, characters) from hidden states (n, H)."""
    return h @ params["output.kernel"] + params["output.bias"]


def forward(params: Arrays, buffers: Arrays, batch: Arrays) -> Arrays:
    """Cross-entropies [nats] (n, T) from inputs and targets (n, T), from the batch's own state.

    Also the logits (n, characters) after the last input and the state (n, H) there.
    """
    layer, table = _layer(params), _input_table(params)
    w = params[f"{layer}.recurrent"]

    def body(carry: Any, character: tuple[jax.Array, jax.Array]) -> Any:
        (state, _), (inputs, targets) = carry, character  # (n,)
        x, h = table[inputs], state["hidden"]
        if layer == "rnn":
            state = {"hidden": rnn_step(x, w, h)}
        else:
            h, c, _ = step(x, w, h, state["cell"])
            state = {"hidden": h, "cell": c}
        z = _logits(params, state["hidden"])
        return (state, z), optax.losses.softmax_cross_entropy_with_integer_labels(z, targets)

    state = {name: batch[name] for name in ("hidden", "cell") if name in batch}
    start = (state, _logits(params, batch["hidden"]))
    (state, z), nats = jax.lax.scan(body, start, (batch["inputs"].T, batch["targets"].T))
    return {"nats": nats.T, "logits": z, **state}


def loss(
    params: Arrays, buffers: Arrays, batch: Arrays, key: jax.Array | None
) -> tuple[jax.Array, Arrays]:
    """Mean cross-entropy from inputs and targets (n, T), and the state after."""
    layer, kept = _layer(params), 1 - batch["reset"]
    carry = {name: tap(name, part * kept) for name, part in buffers.items()}
    x = _input_table(params)[batch["inputs"].T]  # (T, n, 4H), or (T, n, H)
    w, h = params[f"{layer}.recurrent"], carry["carry.hidden"]
    if layer == "rnn":
        states = tap("rnn", rnn(x, w, h))
        after = {"carry.hidden": states[-1]}
    else:
        states, c = lstm(x, w, h, carry["carry.cell"])
        states, c = tap("lstm", states), tap("lstm_cell", c)
        after = {"carry.hidden": states[-1], "carry.cell": c}
    logits = _logits(params, states.reshape(-1, states.shape[-1]))  # (T n, characters)
    logits = tap("output", logits)
    losses: jax.Array = optax.losses.softmax_cross_entropy_with_integer_labels(
        logits, batch["targets"].T.reshape(-1)
    )
    return losses.mean(), after


def _canonical(batch: Arrays, name: str, x: jax.Array) -> jax.Array:
    """The logits (T n, characters) as (T, n, characters)."""
    return x.reshape(*batch["inputs"].T.shape, -1) if name == "output" else x


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    return Program(task, state, seed, forward, loss, SMALL_PRODUCTS, _canonical)
