"""The layers and sublayers of a transformer, each a function that also returns its way back.

A way back takes the gradient of the output, gives that of the input, and puts those of the
parameters into ``gradients``. Words are rows (rows, width), without padding; see ``Layout``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backends.numpy.arrays import xp
from backends.numpy.attention import (
    Layout,
    Memory,
    attention,
    attention_backward,
    positions,
    split_heads,
)
from backends.numpy.dropout import Dropping, dropout, dropout_backward
from backends.numpy.layers import (
    dense,
    dense_backward_params,
    layer_norm,
    layer_norm_backward,
    relu,
    relu_backward,
)
from backends.numpy.taps import tap, tap_back
from backends.numpy.vocabulary import embedding, embedding_backward
from tasks.task import Array, Tree

Back = Callable[[Array], Array]
"""From the gradient of an output to that of the input."""
Sublayer = Callable[[str, Array], tuple[Array, Back]]
"""``sublayer(name, x) -> y, back``"""
PARTS = ("query", "key", "value")


class Sublayers:
    """The sublayers of one pass through the model: its parameters, its dropout, its gradients."""

    def __init__(self, config: Any, params: Tree, drop: Dropping | None = None):
        """No dropout without ``drop``, whose masks are of rows."""
        self.config, self.params = config, params
        self.gradients: dict[str, Array] = {}
        self.weights: dict[str, Array] = {}
        """The attention weights (n, heads, T, S) by sublayer."""
        self._drop = drop
        self._dropouts = 0
        self._joined: dict[tuple[str, ...], tuple[Array, Array]] = {}

    def embed(
        self, stack: str, words: Array, place: Array
    ) -> tuple[Array, Callable[[Array], None]]:
        """sqrt(width) embedding[words] + P[place], for words and places (rows,)."""
        name = f"{stack}.embedding.kernel"
        x, saved = embedding(words, self.params[name])
        x += positions(int(place.max()) + 1, x.shape[1], x.dtype)[place]
        tap(f"{stack}.embedding", x)
        x, dropped = self._dropout(f"{stack}.embedding", x)

        def back(dx: Array) -> None:
            if name not in self.gradients:  # the decoder's may come from the logits already
                self.gradients[name] = xp.zeros_like(self.params[name])
            dx = self._dropout_backward(f"{stack}.embedding", dx, dropped)
            tap_back(f"{stack}.embedding", dx)
            embedding_backward(dx, saved, self.gradients[name])

        return x, back

    def norm(self, name: str, x: Array) -> tuple[Array, Back]:
        """Layer normalisation."""
        scale, offset = f"{name}.scale", f"{name}.offset"
        epsilon = self.config.norm_epsilon
        y, saved = layer_norm(x, self.params[scale], self.params[offset], epsilon)
        tap(name, y)

        def back(dy: Array) -> Array:
            tap_back(name, dy)
            dx, self.gradients[scale], self.gradients[offset] = layer_norm_backward(dy, saved)
            return dx

        return y, back

    def dense(self, names: tuple[str, ...], x: Array) -> tuple[Array, Back]:
        """Dense layers of the same input, side by side, as one product."""
        y, saved = dense(x, *self._side_by_side(names))
        size = y.shape[1] // len(names)
        parts = [slice(i * size, (i + 1) * size) for i in range(len(names))]
        for name, part in zip(names, parts, strict=True):
            tap(name, y[:, part])

        def back(dy: Array) -> Array:
            for name, columns in zip(names, parts, strict=True):
                part = tap_back(name, dy[:, columns])
                dw, db = dense_backward_params(part, saved)
                if name.endswith(".key"):
                    # Softmax does not see what all keys share. Adam would take whole steps by
                    # what rounding leaves of this gradient.
                    db[:] = 0
                self.gradients[f"{name}.kernel"], self.gradients[f"{name}.bias"] = dw, db
            dx: Array = dy @ saved[1].T
            return dx

        return y, back

    def stack(self, name: str, sublayers: Mapping[str, Sublayer], x: Array) -> tuple[Array, Back]:
        """Sublayers by name, one after the other, and a layer norm at the end."""
        backs = []
        for sublayer in sublayers.items():
            x, back = self.residual(*sublayer, x)
            backs.append(back)
        y, back = self.norm(f"{name}.norm", x)
        backs.append(back)

        def back_all(dy: Array) -> Array:
            for back in reversed(backs):
                dy = back(dy)
            return dy

        return y, back_all

    def residual(self, name: str, sublayer: Sublayer, x: Array) -> tuple[Array, Back]:
        """x + dropout(sublayer(norm(x)))."""
        normed, back_norm = self.norm(f"{name}.norm", x)
        y, back_sublayer = sublayer(name, normed)
        y, dropped = self._dropout(name, y)
        y += x
        tap(name, y)

        def back(dy: Array) -> Array:
            tap_back(name, dy)
            dx = back_norm(back_sublayer(self._dropout_backward(name, dy, dropped)))
            dx += dy
            return dx

        return y, back

    def feedforward(self, name: str, x: Array) -> tuple[Array, Back]:
        """relu(x W1 + b1) W2 + b2. Vaswani et al. 2017, equation 2."""
        a, back_hidden = self.dense((f"{name}.hidden",), x)
        h, saved = relu(a, out=a)
        tap(f"{name}.hidden_activation", h)
        y, back_output = self.dense((f"{name}.output",), h)

        def back(dy: Array) -> Array:
            dh = tap_back(f"{name}.hidden_activation", back_output(dy))
            return back_hidden(relu_backward(dh, saved, out=dh))

        return y, back

    def self_attention(
        self, layout: Layout, mask: Array, name: str, x: Array
    ) -> tuple[Array, Back]:
        """Attention of every sentence to itself; the mask broadcasts to (n, heads, T, T)."""
        rows, back_rows = self.dense(tuple(f"{name}.{part}" for part in PARTS), x)
        projected = layout.spread(rows)  # (n, T, 3 width)
        q, k, v = split_heads(projected, 3, self.config.heads)
        y, saved = attention(q, k, v, mask)
        self.weights[name] = saved[0]
        z, back_output = self._attended(name, layout.gather(y))

        def back(dz: Array) -> Array:
            dy, dprojected = layout.spread(back_output(dz)), xp.empty_like(projected)
            attention_backward(dy, saved, split_heads(dprojected, 3, self.config.heads))
            return back_rows(layout.gather(dprojected))

        return z, back

    def cross_attention(
        self, layout: Layout, memory: Memory, layer: int, name: str, x: Array
    ) -> tuple[Array, Back]:
        """Attention to the source; on the way back, the memory's gradients are filled in."""
        rows, back_rows = self.dense((f"{name}.query",), x)
        queries = layout.spread(rows)
        (q,) = split_heads(queries, 1, self.config.heads)
        k, v = memory.keys_and_values(layer)
        y, saved = attention(q, k, v, memory.mask)
        self.weights[name] = saved[0]
        z, back_output = self._attended(name, layout.gather(y))

        def back(dz: Array) -> Array:
            dy, dqueries = layout.spread(back_output(dz)), xp.empty_like(queries)
            (dq,) = split_heads(dqueries, 1, self.config.heads)
            attention_backward(dy, saved, [dq, *memory.gradients_of(layer)])
            return back_rows(layout.gather(dqueries))

        return z, back

    def _attended(self, name: str, y: Array) -> tuple[Array, Back]:
        """The output layer of attention, for y (rows, width)."""
        tap(f"{name}.attend", y)
        z, back = self.dense((f"{name}.output",), y)
        return z, lambda dz: tap_back(f"{name}.attend", back(dz))

    def cached_attention(
        self, keys: Array, values: Array, place: int, name: str, x: Array
    ) -> tuple[Array, Back]:
        """Attention of one word of every sentence, x (n, width), to itself and to those before it.

        ``keys`` and ``values`` (n, any, width) are those of the words before; its own are put in at
        ``place``.
        """
        rows, _ = self.dense(tuple(f"{name}.{part}" for part in PARTS), x)
        q, keys[:, place], values[:, place] = xp.split(rows, 3, axis=1)
        seen = (q[:, None], keys[:, : place + 1], values[:, : place + 1])
        q, k, v = (split_heads(a, 1, self.config.heads)[0] for a in seen)
        y, _ = attention(q, k, v, None)
        return self.dense((f"{name}.output",), y[:, 0])

    def _side_by_side(self, names: tuple[str, ...]) -> tuple[Array, Array]:
        """The kernels and biases of several dense layers as those of one."""
        if len(names) == 1:
            return self.params[f"{names[0]}.kernel"], self.params[f"{names[0]}.bias"]
        if names not in self._joined:
            kernels = [self.params[f"{name}.kernel"] for name in names]
            biases = [self.params[f"{name}.bias"] for name in names]
            self._joined[names] = xp.concatenate(kernels, axis=1), xp.concatenate(biases)
        return self._joined[names]

    def _dropout(self, layer: str, x: Array) -> tuple[Array, Any]:
        if self._drop is None:
            return dropout(x, None)
        self._dropouts += 1
        y, dropped = dropout(x, self._drop.mask(layer, self._dropouts, x.shape, x.dtype))
        if self.config.dropout:
            tap(f"{layer}_dropout", y)
        return y, dropped

    def _dropout_backward(self, layer: str, dy: Array, dropped: Any) -> Array:
        return dropout_backward(tap_back(f"{layer}_dropout", dy), dropped)
