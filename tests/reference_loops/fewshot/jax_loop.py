"""JAX: a scan over all steps in one jit, convolutions as slices and one product."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from tasks.task import Array

LR, BETA1, BETA2, EPS = 2e-3, 0.9, 0.999, 1e-8
SAME = 96


def prepare(chunk: Mapping[str, Array], params: Mapping[str, Array]) -> Callable[[], object]:
    weights = [jnp.array(a) for a in params.values()]
    zeros = [[jnp.zeros_like(w) for w in weights] for _ in range(2)]
    carry: Any = (weights, *zeros, jnp.zeros(()))
    batches = jax.device_put((chunk["images"], chunk["pairs"]))

    def convolution(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
        n, side, _, c = x.shape
        m = (side + 1) // 2
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        end = 2 * m - 1
        slices = [x[:, i : i + end : 2, j : j + end : 2] for i in range(3) for j in range(3)]
        windows = jnp.concatenate(slices, axis=3).reshape(-1, 9 * c)
        return jax.nn.relu(windows @ w.reshape(9 * c, -1) + b).reshape(n, m, m, -1)

    def loss(weights: Any, images: jax.Array, pairs: jax.Array) -> jax.Array:
        *convolutions, w, b, w_head, b_head = weights
        h = images[..., None]
        for kernel, bias in zip(convolutions[::2], convolutions[1::2], strict=True):
            h = convolution(h, kernel, bias)
        a = h.reshape(64, 256) @ w + b
        e = a / jnp.linalg.norm(a, axis=1, keepdims=True)
        z = (jnp.abs(e[pairs[:, 0]] - e[pairs[:, 1]]) @ w_head + b_head)[:, 0]
        return (jax.nn.softplus(-z[:SAME]).mean() + jax.nn.softplus(z[SAME:]).mean()) / 2

    def step(carry: Any, batch: Any) -> Any:
        weights, ms, vs, t = carry
        value, gradients = jax.value_and_grad(loss)(weights, *batch)
        t = t + 1
        ms = [BETA1 * m + (1 - BETA1) * g for m, g in zip(ms, gradients, strict=True)]
        vs = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(vs, gradients, strict=True)]
        c1, c2 = 1 - BETA1**t, 1 - BETA2**t
        weights = [
            w - LR * (m / c1) / (jnp.sqrt(v / c2) + EPS)
            for w, m, v in zip(weights, ms, vs, strict=True)
        ]
        return (weights, ms, vs, t), value

    train = jax.jit(lambda c, b: jax.lax.scan(step, c, b), donate_argnums=0)

    def run() -> object:
        nonlocal carry
        carry, losses = jax.block_until_ready(train(carry, batches))
        return losses

    return run
