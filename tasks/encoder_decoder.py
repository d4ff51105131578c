"""The parameters of an encoder-decoder transformer, in the order in which they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.initializers import glorot_uniform, normal, ones, zeros
from tasks.task import Leaf

ATTENTIONS: Mapping[str, tuple[str, ...]] = {"encoder": ("self",), "decoder": ("self", "cross")}
"""The attentions of every layer, by stack."""


def dropout_layers(layers: int) -> Iterator[tuple[str, str]]:
    """Stack and name of all that dropout follows: the embeddings and every sublayer."""
    for stack, attentions in ATTENTIONS.items():
        yield stack, f"{stack}.embedding"
        for layer in range(layers):
            for sublayer in (*attentions, "feedforward"):
                yield stack, f"{stack}.{layer}.{sublayer}"


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

    for (stack, attentions), words in zip(ATTENTIONS.items(), (german, english), strict=True):
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
