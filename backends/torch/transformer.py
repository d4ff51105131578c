"""Encoder-decoder transformer in PyTorch, on ``F.scaled_dot_product_attention``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

import backends.torch
from backends.torch.attention import (
    CrossAttention,
    DotProductAttention,
    Embedding,
    FeedForward,
    Layout,
    Past,
    SelfAttention,
    Source,
    TiedDense,
)
from backends.torch.dropout import Dropout
from backends.torch.engine import Batch, Program
from backends.torch.taps import tap
from tasks.task import State, Task

PAD, BEGIN, END, UNKNOWN = range(4)
_Layer = TypeVar("_Layer", bound=nn.Module)


class _EncoderLayer(nn.Module):
    def __init__(self, config: Any, name: str):
        super().__init__()
        self.self = SelfAttention(config.width, config.heads, config.norm_epsilon)
        self.feedforward = FeedForward(config.width, config.hidden, config.norm_epsilon)
        self.self_dropout = Dropout(config.dropout, f"{name}.self")
        self.feedforward_dropout = Dropout(config.dropout, f"{name}.feedforward")

    def forward(self, x: torch.Tensor, layout: Layout, mask: torch.Tensor) -> torch.Tensor:
        x = tap("self", x + layout.drop(self.self_dropout, self.self(x, layout, mask)))
        y: torch.Tensor = x + layout.drop(self.feedforward_dropout, self.feedforward(x))
        return tap("feedforward", y)


class _DecoderLayer(nn.Module):
    def __init__(self, config: Any, name: str):
        super().__init__()
        self.self = SelfAttention(config.width, config.heads, config.norm_epsilon)
        self.cross = CrossAttention(config.width, config.heads, config.norm_epsilon)
        self.feedforward = FeedForward(config.width, config.hidden, config.norm_epsilon)
        self.self_dropout = Dropout(config.dropout, f"{name}.self")
        self.cross_dropout = Dropout(config.dropout, f"{name}.cross")
        self.feedforward_dropout = Dropout(config.dropout, f"{name}.feedforward")

    def forward(
        self,
        x: torch.Tensor,
        layout: Layout,
        mask: torch.Tensor | None,
        source: Source,
        past: Past | None = None,
    ) -> torch.Tensor:
        x = tap("self", x + layout.drop(self.self_dropout, self.self(x, layout, mask, past)))
        x = tap("cross", x + layout.drop(self.cross_dropout, self.cross(x, layout, source)))
        y: torch.Tensor = x + layout.drop(self.feedforward_dropout, self.feedforward(x))
        return tap("feedforward", y)


class _Stack(nn.Module, Generic[_Layer]):
    """The part that encoder and decoder share: embedded words, numbered layers, a layer norm."""

    def __init__(self, config: Any, words: int, name: str, layer: type[_Layer]):
        super().__init__()
        longest = max(config.buckets[-1], config.decode_limit) + 1
        self.embedding = Embedding(words, config.width, longest)
        self.dropout = Dropout(config.dropout, f"{name}.embedding")
        self.layers: list[_Layer] = [layer(config, f"{name}.{i}") for i in range(config.layers)]
        for number, module in enumerate(self.layers):
            self.add_module(str(number), module)
        self.norm = nn.LayerNorm(config.width, config.norm_epsilon)


class _Encoder(_Stack[_EncoderLayer]):
    def forward(self, ids: torch.Tensor, layout: Layout, mask: torch.Tensor) -> torch.Tensor:
        """(rows, width) from words (n, S)."""
        x = layout.drop(self.dropout, layout.pack(self.embedding(ids)))
        for layer in self.layers:
            x = layer(x, layout, mask)
        y: torch.Tensor = self.norm(x)
        return y


class _Decoder(_Stack[_DecoderLayer]):
    def sources(self, memory: torch.Tensor, layout: Layout, mask: torch.Tensor) -> list[Source]:
        """Every layer's source to attend to, from the encoder's output ``memory`` (rows, width)."""
        return [layer.cross.source(memory, layout, mask) for layer in self.layers]

    def forward(self, ids: torch.Tensor, layout: Layout, sources: list[Source]) -> torch.Tensor:
        """(rows, width) from words (n, T)."""
        x = layout.drop(self.dropout, layout.pack(self.embedding(ids)))
        mask = x.new_full((ids.shape[1], ids.shape[1]), -torch.inf).triu(diagonal=1)
        for layer, source in zip(self.layers, sources, strict=True):
            x = layer(x, layout, mask, source)
        y: torch.Tensor = self.norm(x)
        return y

    def step(
        self,
        last: torch.Tensor,
        place: int,
        sources: list[Source],
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> torch.Tensor:
        """(n, width) from the word ``last`` (n,) at ``place`` and the positions before it.

        Its own keys and values go into ``keys`` and ``values`` (n, layers, limit, width).
        """
        layout = Layout((len(last), 1))
        x = layout.pack(self.embedding(last[:, None], place))
        for number, (layer, source) in enumerate(zip(self.layers, sources, strict=True)):
            x = layer(x, layout, None, source, Past(keys[:, number], values[:, number], place))
        y: torch.Tensor = self.norm(x)
        return y


class _Transformer(nn.Module):
    def __init__(self, config: Any, german: int, english: int):
        super().__init__()
        self.encoder = _Encoder(config, german, "encoder", _EncoderLayer)
        self.decoder = _Decoder(config, english, "decoder", _DecoderLayer)
        self.output = TiedDense(english)

    def forward(
        self, source: torch.Tensor, inputs: torch.Tensor, source_layout: Layout, layout: Layout
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's and the decoder's output, (rows, width) each, from (n, S) and (n, T)."""
        mask = self.mask(source)
        memory = self.encoder(source, source_layout, mask)
        sources = self.decoder.sources(memory, source_layout, mask)
        return memory, self.decoder(inputs, layout, sources)

    def mask(self, source: torch.Tensor) -> torch.Tensor:
        """(n, 1, 1, S): minus infinity at the padding of (n, S)."""
        zeros = self.output.bias.new_zeros(source.shape)
        return zeros.masked_fill_(source == PAD, -torch.inf)[:, None, None]

    def logits(self, y: torch.Tensor) -> torch.Tensor:
        """(rows, English words) from the decoder's output (rows, width)."""
        logits: torch.Tensor = self.output(y, self.decoder.embedding.weight)
        return logits


def forward(config: Any, model: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """Outputs that the keys of the batch ask for, see ``tasks.transformer.Transformer``."""
    assert isinstance(model, _Transformer)
    if "targets" in batch:
        return {"nats": _nats(model, batch)}
    if "inputs" in batch:
        return _with_weights(model, batch["source"], batch["inputs"])
    if "memory" in batch:
        return _step(model, batch)
    return {"tokens": _greedy(config, model, batch["source"])}


def loss(config: Any, model: nn.Module, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy, with label smoothing, of the targets (n, T) that are no padding."""
    assert isinstance(model, _Transformer)
    # of shapes that depend on the words, one takes minutes to compile, and a graph knows but one
    y, targets, layout = _rows(model, batch, padded=backends.torch.mode != "eager")
    embedding, smoothing = model.decoder.embedding.weight, config.label_smoothing
    return model.output.loss(y, embedding, targets, layout.weights(y), smoothing)


def _rows(
    model: _Transformer, batch: Batch, padded: bool = False
) -> tuple[torch.Tensor, torch.Tensor, Layout]:
    """The decoder's output (rows, width) and the targets (rows,) where these are no padding.

    There too if ``padded``.
    """
    source, targets = batch["source"], batch["targets"]
    layout = Layout(targets.shape, targets != PAD, padded, batch)
    source_layout = Layout(source.shape, source != PAD, padded, batch)
    _, y = model(source, batch["inputs"], source_layout, layout)
    return y, layout.pack(targets).long(), layout


def _nats(model: _Transformer, batch: Batch) -> torch.Tensor:
    """Cross-entropies (n, T), 0 at padding."""
    y, targets, layout = _rows(model, batch)
    return layout.spread(F.cross_entropy(model.logits(y), targets, reduction="none"))


def _with_weights(
    model: _Transformer, source: torch.Tensor, inputs: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Logits, the encoder's output and all attention weights of (n, S) and (n, T)."""
    layouts = Layout(source.shape), Layout(inputs.shape)
    kinds: dict[str, list[DotProductAttention]] = {
        "encoder": [layer.self.attend for layer in model.encoder.layers],
        "decoder": [layer.self.attend for layer in model.decoder.layers],
        "cross": [layer.cross.attend for layer in model.decoder.layers],
    }
    with _recorded([module for modules in kinds.values() for module in modules]) as weights:
        memory, y = model(source, inputs, *layouts)
    outputs = {
        f"attention.{kind}": torch.stack([weights[module] for module in modules], dim=1)
        for kind, modules in kinds.items()
    }
    spread = layouts[0].spread(memory), layouts[1].spread(model.logits(y))
    return {**outputs, "memory": spread[0], "logits": spread[1]}


@contextmanager
def _recorded(modules: list[DotProductAttention]) -> Iterator[Mapping[nn.Module, torch.Tensor]]:
    """The attention weights (n, heads, T, S) of what ``modules`` compute meanwhile."""
    weights: dict[nn.Module, torch.Tensor] = {}

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, DotProductAttention)
        q, k, _, mask = inputs
        weights[module] = module.weights(q, k, mask)

    hooks = [module.register_forward_pre_hook(record) for module in modules]
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


def _step(model: _Transformer, batch: Batch) -> dict[str, torch.Tensor]:
    """One step of decoding."""
    source, keys, values = batch["source"], batch["keys"].clone(), batch["values"].clone()
    layout = Layout(source.shape)
    sources = model.decoder.sources(layout.pack(batch["memory"]), layout, model.mask(source))
    y = model.decoder.step(batch["last"], int(batch["place"]), sources, keys, values)
    return {"logits": model.logits(y), "keys": keys, "values": values}


def _greedy(config: Any, model: _Transformer, source: torch.Tensor) -> torch.Tensor:
    """The most probable word after word, (n, limit), for sentences (n, S)."""
    layout, mask = Layout(source.shape, source != PAD), model.mask(source)
    sources = model.decoder.sources(model.encoder(source, layout, mask), layout, mask)
    n, length = source.shape
    limit = min(length - 1 + config.decode_extra, config.decode_limit)
    limits = ((source != PAD).sum(dim=1) - 1 + config.decode_extra).clamp(max=limit)
    keys, values = mask.new_zeros(2, n, config.layers, limit, config.width)
    tokens, last = source.new_zeros(n, limit), source.new_full((n,), BEGIN)
    going = limits > 0
    for place in range(limit):
        logits = model.logits(model.decoder.step(last, place, sources, keys, values))
        logits[:, [PAD, BEGIN, UNKNOWN]] = -torch.inf
        last = torch.where(going, logits.argmax(dim=1), PAD)
        tokens[:, place] = last
        going = (last > END) & (place + 1 < limits)
        if not going.any():
            break
    return tokens


def _canonical(batch: Batch, name: str, x: torch.Tensor) -> torch.Tensor:
    """A tap as sentences (n, T, ...), 0 at padding: of the source, or of the targets."""
    if not x.ndim:
        return x
    of_source = name.startswith("encoder") or ".cross.key" in name or ".cross.value" in name
    real = batch["source" if of_source else "targets"] != PAD
    if len(x) == real.sum():
        return Layout(real.shape, real).spread(x)
    return x.view(*real.shape, -1) * real[..., None]


def build(task: Task, state: State, seed: int | None) -> Program:
    """The program that trains this model from ``state``."""
    words = (len(state.params[f"{stack}.embedding.kernel"]) for stack in ("encoder", "decoder"))
    model = _Transformer(task.config, *words)
    given = partial(forward, task.config), partial(loss, task.config)
    return Program(task, state, seed, model, *given, _canonical)
