"""The layers of dense stacks: dense, activation, batch normalisation, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinygrad import Tensor, dtypes

from tasks.task import MASK

from .engine import KEY, Tensors
from .taps import tap


def maxout(a: Tensor) -> Tensor:
    """The larger of two pieces, (n, units) from (n, 2 units)."""
    first, second = a.chunk(2, dim=1)
    return first.maximum(second)


ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": Tensor.relu,
    "sigmoid": Tensor.sigmoid,
    "tanh": Tensor.tanh,
    "leaky_relu": lambda a: a.leaky_relu(0.1),
    "elu": Tensor.elu,
    "maxout": maxout,
}


def dense(params: Tensors, layer: str, x: Tensor) -> Tensor:
    """x kernel + bias, (n, out) from (n, in)."""
    return tap(layer, x @ params[f"{layer}.kernel"] + params[f"{layer}.bias"])


def activated(config: Any, params: Tensors, layer: str, x: Tensor) -> Tensor:
    """A dense layer with ``config.activation`` behind it."""
    return tap(f"{layer}_activation", ACTIVATIONS[config.activation](dense(params, layer, x)))


def normalized(
    config: Any, params: Tensors, buffers: Tensors, layer: str, h: Tensor, training: bool
) -> tuple[Tensor, Tensors]:
    """Batch normalisation of ``h`` (n, channels) if ``config`` has it, and the new buffers."""
    if not config.batch_norm:
        return h, {}
    norm, renewed = f"{layer}_norm", {}
    statistics = {f"{norm}.mean": h.mean(axis=0), f"{norm}.variance": h.var(axis=0, correction=0)}
    if training:
        kept = {name: config.momentum * buffers[name] for name in statistics}
        renewed = {n: kept[n] + (1 - config.momentum) * new for n, new in statistics.items()}
    mean, variance = (statistics if training else {n: buffers[n] for n in statistics}).values()
    scale = params[f"{norm}.scale"] * (variance + config.epsilon).rsqrt()
    return tap(norm, (h - mean) * scale + params[f"{norm}.offset"]), renewed


def dropout(rate: float, x: Tensor, batch: Tensors, number: int, layer: str) -> Tensor:
    """x / (1 - rate), or 0 where it is dropped (Srivastava et al. 2014, section 10).

    The ``layer`` of that ``number`` keeps what its mask in the batch says, or else drops at
    ``rate`` by the batch's key; without a key it drops nothing.
    """
    kept = batch.get(f"{MASK}{layer}")
    if kept is None and KEY in batch:
        counter = Tensor.full((2,), number, dtype=dtypes.uint32)
        bits = Tensor.random_bits(batch[KEY], counter, x.numel())
        # drawn once: else every kernel that needs it would draw it again
        kept = (bits.reshape(x.shape) >= round(rate * 2**32)).contiguous()
    if not rate or kept is None:
        return x
    factors = tap(f"{MASK}{layer}", kept.cast(x.dtype) / (1 - rate))
    return tap(f"{layer}_dropout", x * factors)


def stack(config: Any, params: Tensors, x: Tensor) -> Tensor:
    """The one output (n,) for x (n, in) of dense layers with ``config.activation`` between them."""
    for layer in config.layers:
        x = activated(config, params, layer, x)
    return dense(params, "output", x).squeeze(1)
