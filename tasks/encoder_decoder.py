"""The parameters of an encoder-decoder transformer, in the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tasks.initializers import glorot_uniform, normal, ones, zeros
from tasks.task import Leaf


def parameters(config: Any, german: int, english: int) -> Iterator[tuple[str, Leaf]]:
    """Every parameter by name. The output kernel is the transposed embedding of the decoder."""
    width = config.width
    embedding = normal(width**-0.5)

    def norm(name: str) -> Iterator[tuple[str, Leaf]]:
        yield f"{name}.scale", Leaf((width,), ones)
        yield f"{name}.offset", Leaf((width,), zeros)

    def dense(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, Leaf]]:
        yield f"{name}.kernel", Leaf((inputs, outputs), glorot_uniform)
        yield f"{name}.bias", Leaf((outputs,), zeros)

    for stack, words, attentions in (
        ("encoder", german, ("self",)),
        ("decoder", english, ("self", "cross")),
    ):
        yield f"{stack}.embedding.kernel", Leaf((words, width), embedding)
        for layer in range(config.layers):
            for attention in attentions:
                yield from norm(f"{stack}.{layer}.{attention}.norm")
                for part in ("query", "key", "value", "output"):
                    yield from dense(f"{stack}.{layer}.{attention}.{part}", width, width)
            yield from norm(f"{stack}.{layer}.feedforward.norm")
            yield from dense(f"{stack}.{layer}.feedforward.hidden", width, config.hidden)
            yield from dense(f"{stack}.{layer}.feedforward.output", config.hidden, width)
        yield from norm(f"{stack}.norm")
    yield "output.bias", Leaf((english,), zeros)
