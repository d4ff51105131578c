"""JAX: a scan over all steps in one jit; the loss has its gradient by hand, 128 rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tasks.task import Tree

LR, WARMUP, TOTAL, BETA1, BETA2, EPS, CLIP = 2e-3, 200, 1800, 0.9, 0.98, 1e-9, 1.0
WIDTH, LAYERS, HEADS, SMOOTHING, ROWS = 128, 2, 4, 0.1, 128
Weights = dict[str, jax.Array]


@jax.custom_vjp
def vocabulary_loss(y: jax.Array, e: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    value: jax.Array = loss_ahead(y, e, b, t)[0]
    return value


def loss_ahead(y: jax.Array, e: jax.Array, b: jax.Array, t: jax.Array) -> Any:
    words, count = len(e), jnp.count_nonzero(t)
    (places,) = jnp.nonzero(t, size=len(t), fill_value=len(t))
    means = e.mean(0), b.mean()

    def block(i: jax.Array, sums: Any) -> Any:
        total, dy, de, db = sums
        at = jax.lax.dynamic_slice_in_dim(places, i * ROWS, ROWS)
        x, target = (a.at[at].get(mode="fill", fill_value=0) for a in (y, t))
        real = (target != 0) / count.astype(y.dtype)
        z = e @ x.T + b[:, None]
        top = z.max(0)
        p = jnp.exp(z - top)
        normalizer, own = p.sum(0), e[target]
        at_target = (x * own).sum(1) + b[target]
        mean = x @ means[0] + means[1]
        log = top + jnp.log(normalizer) - (1 - SMOOTHING) * at_target - SMOOTHING * mean
        scale, scaled = (real / normalizer)[:, None], real[:, None] * x
        wanted = real[:, None] * ((1 - SMOOTHING) * own + SMOOTHING * means[0])
        dy = dy.at[at].set((p.T @ e) * scale - wanted, mode="drop")
        de = (de + p @ (x * scale)).at[target].add((SMOOTHING - 1) * scaled)
        db = (db + (p @ scale)[:, 0]).at[target].add((SMOOTHING - 1) * real)
        return total + real @ log, dy, de - SMOOTHING / words * scaled.sum(0), db

    start = (jnp.zeros(()), *(jnp.zeros_like(a) for a in (y, e, b)))
    total, dy, de, db = jax.lax.fori_loop(0, (count + ROWS - 1) // ROWS, block, start)
    return total, (dy, de, db - SMOOTHING / words)


def loss_back(gradients: Any, d: jax.Array) -> Any:
    return *(d * g for g in gradients), None


vocabulary_loss.defvjp(loss_ahead, loss_back)


@jax.custom_vjp
def linear(x: jax.Array, k: jax.Array, b: jax.Array) -> jax.Array:
    return x @ k + b


def linear_back(saved: Any, d: jax.Array) -> Any:
    x, k = saved
    # x^T d takes twice the time where it has more rows than columns
    dk = jax.lax.optimization_barrier(d.T @ x).T if x.shape[1] > d.shape[1] else x.T @ d
    return d @ k.T, dk, d.sum(0)


linear.defvjp(lambda x, k, b: (linear(x, k, b), (x, k)), linear_back)


def positions(length: int) -> jax.Array:
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, WIDTH, 2) / WIDTH)
    waves = np.stack([np.sin(angles), np.cos(angles)], 2).reshape(length, WIDTH)
    return jnp.asarray(waves, jnp.float32)


def model_loss(w: Weights, batch: Weights) -> jax.Array:
    def dense(x: jax.Array, name: str) -> jax.Array:
        return linear(x, w[f"{name}.kernel"], w[f"{name}.bias"])

    def norm(x: jax.Array, name: str) -> jax.Array:
        x = x - x.mean(1, keepdims=True)
        x = x * jax.lax.rsqrt((x * x).mean(1, keepdims=True) + 1e-5)
        return x * w[f"{name}.scale"] + w[f"{name}.offset"]

    def embed(ids: jax.Array, name: str) -> jax.Array:
        rows = w[f"{name}.embedding.kernel"].at[ids].get(mode="promise_in_bounds")
        return (rows * math.sqrt(WIDTH) + positions(ids.shape[1])).reshape(-1, WIDTH)

    def attend(x: jax.Array, memory: jax.Array, mask: jax.Array, name: str) -> jax.Array:
        def heads(x: jax.Array, part: str) -> jax.Array:
            x = dense(x, f"{name}.{part}")
            return x.reshape(n, -1, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

        q, k, v = heads(x, "query"), heads(memory, "key"), heads(memory, "value")
        scores = jnp.where(mask, q @ k.swapaxes(2, 3) * (WIDTH // HEADS) ** -0.5, -jnp.inf)
        found = jax.nn.softmax(scores) @ v
        return dense(found.transpose(0, 2, 1, 3).reshape(-1, WIDTH), f"{name}.output")

    def attend_self(x: jax.Array, mask: jax.Array, name: str) -> jax.Array:
        h = norm(x, f"{name}.norm")
        return x + attend(h, h, mask, name)

    def feedforward(x: jax.Array, name: str) -> jax.Array:
        hidden = jax.nn.relu(dense(norm(x, f"{name}.norm"), f"{name}.hidden"))
        return x + dense(hidden, f"{name}.output")

    n, length = batch["inputs"].shape
    real, causal = (batch["source"] != 0)[:, None, None], jnp.tri(length, dtype=bool)
    x = embed(batch["source"], "encoder")
    for i in range(LAYERS):
        x = attend_self(x, real, f"encoder.{i}.self")
        x = feedforward(x, f"encoder.{i}.feedforward")
    memory, x = norm(x, "encoder.norm"), embed(batch["inputs"], "decoder")
    for i in range(LAYERS):
        x = attend_self(x, causal, f"decoder.{i}.self")
        cross = f"decoder.{i}.cross"
        x = x + attend(norm(x, f"{cross}.norm"), memory, real, cross)
        x = feedforward(x, f"decoder.{i}.feedforward")
    x, e = norm(x, "decoder.norm"), w["decoder.embedding.kernel"]
    return vocabulary_loss(x, e, w["output.bias"], batch["targets"].reshape(-1))


def step(carry: Any, batch: Weights) -> Any:
    w, m, v, t = carry
    t = t + 1
    value, g = jax.value_and_grad(model_loss)(w, batch)
    norm = jnp.sqrt(sum(jnp.vdot(a, a) for a in g.values()))
    g = {k: a * jnp.minimum(1.0, CLIP / norm) for k, a in g.items()}
    m = {k: BETA1 * m[k] + (1 - BETA1) * g[k] for k in w}
    v = {k: BETA2 * v[k] + (1 - BETA2) * g[k] * g[k] for k in w}
    root = jnp.sqrt(1 - BETA2**t)
    factor = jnp.minimum(t / WARMUP, jnp.maximum(TOTAL - t + 1, 0) / (TOTAL - WARMUP))
    rate = LR * factor * root / (1 - BETA1**t)
    w = {k: w[k] - rate * m[k] / (jnp.sqrt(v[k]) + EPS * root) for k in w}
    return (w, m, v, t), value


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    w = {name: jnp.array(a) for name, a in params.items()}
    m, v = ({name: jnp.zeros_like(a) for name, a in w.items()} for _ in range(2))
    carry: Any = (w, m, v, jnp.float32(0))
    batches = {name: jnp.array(a) for name, a in chunk.items()}
    train = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, batches))
        return np.asarray(losses)

    return run
