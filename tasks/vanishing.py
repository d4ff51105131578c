"""How far a gradient reaches back in a recurrent network, by hand and in NumPy alone.

Notation: T steps, n texts, H hidden units, V characters; ``h`` hidden state, ``c`` cell state, both
(n, H). ``table`` (V, G H) is what each character adds to the G H gates, ``w`` (H, G H) is the
recurrent kernel: G is 4 in the LSTM (i, f, g, o) and 1 in the plain network.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.task import Array, Tree

Back = Callable[[Array, Array], tuple[Array, Array, Array]]
"""From the gradients of h_t, and of c_t but for its way through h_t, (n, H) each: the whole one of
c_t, then the same two of the step before."""


def reach(layer: str, params: Tree, inputs: Array, targets: Array) -> Tree:
    """Norms |d loss_t / d h_(t-k)| for k = 0 ... T-1, t being the last step: the mean over texts.

    ``layer`` is ``lstm`` or ``rnn``, ``inputs`` (T, n) and ``targets`` (n,) the texts and what
    follows them; the loss is the cross-entropy of that one character [nats], the first state 0.
    Returns (T,) under ``hidden``; of the LSTM, under ``cell``, the same for c_(t-k), on which
    h_(t-k) depends too. Computed in float64 from the parameters ``params``.
    """
    own = {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}
    table = own["embedding.kernel"] @ own[f"{layer}.kernel"] + own[f"{layer}.bias"]
    w = own[f"{layer}.recurrent"]
    step = _lstm_step if layer == "lstm" else _rnn_step
    h = c = np.zeros((inputs.shape[1], len(w)))
    ways: list[Back] = []
    for ids in inputs:
        h, c, back = step(table[ids], w, h, c)
        ways.append(back)
    dh, dc = _of_output(own, h, targets), np.zeros_like(c)
    parts: dict[str, list[Array]] = {"hidden": [], "cell": []}
    for back in reversed(ways):
        parts["hidden"].append(dh)
        dc_here, dh, dc = back(dh, dc)
        parts["cell"].append(dc_here)
    norms = {name: np.linalg.norm(d, axis=2).mean(axis=1) for name, d in parts.items()}
    return norms if layer == "lstm" else {"hidden": norms["hidden"]}


def _of_output(params: Tree, h: Array, targets: Array) -> Array:
    """The gradient (n, H) of each text's cross-entropy with respect to its last hidden state."""
    z = h @ params["output.kernel"] + params["output.bias"]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(targets)), targets] -= 1
    return np.asarray(p @ params["output.kernel"].T)


def _rnn_step(x: Array, w: Array, h: Array, c: Array) -> tuple[Array, Array, Back]:
    """h' = tanh(x + h w), so that dh = (dh' (1 - h'^2)) w^T."""
    after = np.tanh(x + h @ w)

    def back(dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        return dc, (dh * (1 - after * after)) @ w.T, dc

    return after, c, back


def _lstm_step(x: Array, w: Array, h: Array, c: Array) -> tuple[Array, Array, Back]:
    """a = x + h w; i, f, o = sigmoid, g = tanh;  c' = f c + i g;  h' = o tanh(c')."""
    i, f, g, o = np.split(x + h @ w, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    g = np.tanh(g)
    after = f * c + i * g
    tanh_c = np.tanh(after)

    def back(dh: Array, dc: Array) -> tuple[Array, Array, Array]:
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        slopes = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)
        gates = dc * g, dc * c, dc * i, dh * tanh_c
        da = np.concatenate([d * slope for d, slope in zip(gates, slopes, strict=True)], axis=1)
        return dc, da @ w.T, dc * f

    return o * tanh_c, after, back
