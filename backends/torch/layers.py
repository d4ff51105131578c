"""The border between ``torch.nn`` modules and canonical names and layouts, by layer type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from backends.torch.attention import TiedDense
from backends.torch.kept import Kept
from backends.torch.recurrent import LSTM, RNN
from backends.torch.text import BagDense
from tasks.task import Array

TABLES = ("embedding", "bag")
"""Layers whose weight has a row for every word, as the canonical kernel does. That of an embedding
of another name is called ``<layer>.table``."""


def parameters(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter of the model once, with its canonical name, ``<layer>.kernel`` for a weight.

    Those of a layer that is not known here keep their own name and layout, ``<layer>.<name>``. What
    two layers share has the name in the first.
    """
    seen: set[int] = set()
    for name, parameter in _named(model):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield name, parameter


def _named(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for path, layer in model.named_modules():
        match layer:
            case nn.Linear() | nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
                yield f"{path}.kernel", layer.weight
                if layer.bias is not None:
                    yield f"{path}.bias", layer.bias
            case BagDense():
                yield f"{path}.kernel", layer.weight
                yield f"{path}.bias", layer.bias
            case nn.Embedding() | nn.EmbeddingBag():
                leaf = "kernel" if path.rpartition(".")[2] in TABLES else "table"
                yield f"{path}.{leaf}", layer.weight
            case nn.modules.batchnorm._BatchNorm() | nn.LayerNorm():
                if layer.elementwise_affine if isinstance(layer, nn.LayerNorm) else layer.affine:
                    yield f"{path}.scale", layer.weight
                    yield f"{path}.offset", layer.bias
            case TiedDense():
                yield f"{path}.bias", layer.bias
            case LSTM() | RNN():
                yield f"{path}.kernel", layer.weight_ih_l0
                yield f"{path}.recurrent", layer.weight_hh_l0
                yield f"{path}.bias", layer.bias_ih_l0
            case _:
                yield from _own(path, layer)


def _own(path: str, layer: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """By its own names. TypeError for one that would be taken for another layout."""
    for name, parameter in layer.named_parameters(path, recurse=False):
        if parameter.ndim > 1 and _is_turned(name):
            raise TypeError(f"{name} is not in the layout of nn.Linear; call it otherwise")
        yield name, parameter


def buffers(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors that change without a gradient, each with its canonical name.

    They are batch-norm statistics and what a model keeps, such as carried state.
    """
    for path, layer in model.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.track_running_stats:
            assert layer.running_mean is not None
            assert layer.running_var is not None
            yield f"{path}.mean", layer.running_mean
            yield f"{path}.variance", layer.running_var
        if isinstance(layer, Kept):
            for name, buffer in layer.named_buffers(recurse=False):
                yield f"{path}.{name}", buffer


def to_canonical(name: str, tensor: torch.Tensor) -> Array:
    """A copy of a parameter, or of its gradient or slot, on the host in canonical layout.

    ``nn.Linear``, ``LSTM`` and ``RNN`` keep their weights as (out, in), ``nn.Conv2d`` as (out, in,
    height, width); the canonical kernels are (in, out) and (height, width, in, out). Those of
    ``TABLES`` are the same.
    """
    array = tensor.detach().cpu().numpy()
    if _is_turned(name):
        array = array.transpose(*range(2, array.ndim), 1, 0)
    return np.array(array, order="C")


def shape_of(name: str, tensor: torch.Tensor) -> tuple[int, ...]:
    """A parameter's shape in canonical layout."""
    shape = tuple(tensor.shape)
    return (*shape[2:], shape[1], shape[0]) if _is_turned(name) else shape


def from_canonical(name: str, array: Array) -> torch.Tensor:
    """The inverse of ``to_canonical``, as a host tensor."""
    if _is_turned(name):
        array = array.transpose(-1, -2, *range(array.ndim - 2))
    return torch.from_numpy(np.array(array, order="C"))


def _is_turned(name: str) -> bool:
    layer, _, leaf = name.rpartition(".")
    return leaf in ("kernel", "recurrent") and layer.rpartition(".")[2] not in TABLES
