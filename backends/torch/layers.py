"""The border between ``torch.nn`` modules and canonical names and layouts, by layer type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from backends.torch.attention import TiedDense
from backends.torch.recurrent import LSTM, Carry
from backends.torch.text import BagDense
from tasks.task import Array

TABLES = ("embedding", "bag")
"""Layers whose weight has a row for every word, as the canonical kernel does."""


def parameters(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter of the model with its canonical name, ``<layer>.kernel`` for a weight.

    TypeError for a layer whose parameters have none yet: they would silently not be trained.
    """
    for path, layer in model.named_modules():
        match layer:
            case nn.Linear() | nn.Conv2d():
                assert layer.bias is not None
                yield f"{path}.kernel", layer.weight
                yield f"{path}.bias", layer.bias
            case BagDense():
                yield f"{path}.kernel", layer.weight
                yield f"{path}.bias", layer.bias
            case nn.Embedding() | nn.EmbeddingBag():
                yield f"{path}.kernel", layer.weight
            case nn.BatchNorm1d() | nn.LayerNorm():
                yield f"{path}.scale", layer.weight
                yield f"{path}.offset", layer.bias
            case TiedDense():
                yield f"{path}.bias", layer.bias
            case LSTM():
                yield f"{path}.kernel", layer.weight_ih_l0
                yield f"{path}.recurrent", layer.weight_hh_l0
                yield f"{path}.bias", layer.bias_ih_l0
            case _ if next(layer.parameters(recurse=False), None) is not None:
                raise TypeError(f"no canonical names for the parameters of {layer}")


def buffers(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors that change without a gradient, each with its canonical name.

    They are batch-norm statistics and carried state.
    """
    for path, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm1d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            yield f"{path}.mean", layer.running_mean
            yield f"{path}.variance", layer.running_var
        if isinstance(layer, Carry):
            yield f"{path}.hidden", layer.hidden
            yield f"{path}.cell", layer.cell


def to_canonical(name: str, tensor: torch.Tensor) -> Array:
    """A copy of a parameter, or of its gradient or slot, on the host in canonical layout.

    ``nn.Linear`` and ``LSTM`` keep their weights as (out, in), ``nn.Conv2d`` as (out, in,
    height, width); the canonical kernels are (in, out) and (height, width, in, out). Those of
    ``TABLES`` are the same.
    """
    array = tensor.detach().cpu().numpy()
    if _is_turned(name):
        array = array.transpose(*range(2, array.ndim), 1, 0)
    return np.array(array, order="C")


def from_canonical(name: str, array: Array) -> torch.Tensor:
    """The inverse of ``to_canonical``, as a host tensor."""
    if _is_turned(name):
        array = array.transpose(-1, -2, *range(array.ndim - 2))
    return torch.from_numpy(np.array(array, order="C"))


def _is_turned(name: str) -> bool:
    layer, _, leaf = name.rpartition(".")
    return leaf in ("kernel", "recurrent") and layer.rpartition(".")[2] not in TABLES
