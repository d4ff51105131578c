"""The recurrences of the LSTM and of the plain network, with backward passes of their own.

A scan that JAX differentiates makes the gradient of the kernel step by step; here it is one product
over all steps, which trains a third faster. Gates that are stacked and returned side by side, not
joined, are another sixth: XLA joins element by element.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
Gates = tuple[Array, Array, Array, Array]


def step(x: Array, w: Array, h: Array, c: Array) -> tuple[Array, Array, Gates]:
    """The state (n, H) after ``h`` and ``c``, and the gates i, f, g, o (n, H).

    a = x + h w, with what the input adds x (n, 4H) and the recurrent kernel w (H, 4H);
    i, f, o = sigmoid(a^{i,f,o}), g = tanh(a^g);  c' = f c + i g;  h' = o tanh(c')
    (Hochreiter & Schmidhuber 1997, with the forget gate of Gers, Schmidhuber & Cummins 2000).
    """
    i, f, g, o = jnp.split(x + h @ w, 4, axis=-1)
    i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
    c = f * c + i * g
    return o * jnp.tanh(c), c, (i, f, g, o)


@jax.custom_vjp
def lstm(x: Array, w: Array, h0: Array, c0: Array) -> tuple[Array, Array]:
    """Hidden states (T, n, H) and the last cell state (n, H), from x (T, n, 4H)."""
    return _forward(x, w, h0, c0)[0]


def _forward(x: Array, w: Array, h0: Array, c0: Array) -> tuple[tuple[Array, Array], Any]:
    def body(state: tuple[Array, Array], x: Array) -> Any:
        h, c, gates = step(x, w, *state)
        return (h, c), (h, c, gates)

    (_, last), (h, c, gates) = jax.lax.scan(body, (h0, c0), x)
    h_before, c_before = (jnp.concatenate([a[None], b[:-1]]) for a, b in ((h0, h), (c0, c)))
    return (h, last), (gates, h_before, c, c_before, w)


def _backward(saved: Any, cotangents: tuple[Array, Array]) -> tuple[Array, Array, Array, Array]:
    gates, h_before, c, c_before, w = saved
    dh_all, dc_last = cotangents
    wt = w.T

    def body(gradients: tuple[Array, Array], saved: Any) -> Any:
        dh, dc = gradients
        dh_here, (i, f, g, o), c, c_before = saved
        dh += dh_here
        tanh_c = jnp.tanh(c)
        dc += dh * o * (1 - tanh_c * tanh_c)
        da = jnp.concatenate(
            [
                dc * g * i * (1 - i),
                dc * c_before * f * (1 - f),
                dc * i * (1 - g * g),
                dh * tanh_c * o * (1 - o),
            ],
            axis=-1,
        )  # (n, 4H)
        return (da @ wt, dc * f), da

    start = (jnp.zeros_like(dc_last), dc_last)
    (dh, dc), da = jax.lax.scan(body, start, (dh_all, gates, c, c_before), reverse=True)
    # in two dimensions: XLA's product of three-dimensional arrays is several times slower
    dw = h_before.reshape(-1, len(w)).T @ da.reshape(-1, w.shape[1])
    return da, dw, dh, dc


lstm.defvjp(_forward, _backward)


def rnn_step(x: Array, w: Array, h: Array) -> Array:
    """The state (n, H) after ``h``: h' = tanh(x + h w), with what the input adds x (n, H).

    (Elman, "Finding structure in time", 1990.)
    """
    return jnp.tanh(x + h @ w)


@jax.custom_vjp
def rnn(x: Array, w: Array, h0: Array) -> Array:
    """Hidden states (T, n, H) of the plain recurrent network, from x (T, n, H)."""
    return _rnn_forward(x, w, h0)[0]


def _rnn_forward(x: Array, w: Array, h0: Array) -> tuple[Array, Any]:
    def body(h: Array, x: Array) -> Any:
        h = rnn_step(x, w, h)
        return h, h

    _, h = jax.lax.scan(body, h0, x)
    return h, (h, h0, w)


def _rnn_backward(saved: Any, dh_all: Array) -> tuple[Array, Array, Array]:
    h, h0, w = saved
    wt = w.T

    def body(dh: Array, saved: Any) -> Any:
        dh_here, h = saved
        da = (dh + dh_here) * (1 - h * h)
        return da @ wt, da

    dh, da = jax.lax.scan(body, jnp.zeros_like(h0), (dh_all, h), reverse=True)
    h_before = jnp.concatenate([h0[None], h[:-1]])
    # in two dimensions, as in the LSTM
    return da, h_before.reshape(-1, len(w)).T @ da.reshape(-1, len(w)), dh


rnn.defvjp(_rnn_forward, _rnn_backward)
