"""The border between ``torch.nn`` modules and canonical names and layouts, by layer type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from suite.contract import Array


def parameters(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter of the model with its canonical name, ``<layer>.kernel`` for a weight.

    TypeError for a layer whose parameters have none yet: they would silently not be trained.
    """
    for path, layer in model.named_modules():
        match layer:
            case nn.Linear():
                yield f"{path}.kernel", layer.weight
                yield f"{path}.bias", layer.bias
            case _ if next(layer.parameters(recurse=False), None) is not None:
                raise TypeError(f"no canonical names for the parameters of {layer}")


def buffers(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """What changes without a gradient, with its canonical name: batch-norm statistics."""
    for path, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm1d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            yield f"{path}.mean", layer.running_mean
            yield f"{path}.variance", layer.running_var


def to_canonical(name: str, tensor: torch.Tensor) -> Array:
    """A copy of a parameter, or of its gradient or slot, on the host in canonical layout.

    ``nn.Linear`` keeps its weight as (out, in), the canonical kernel is (in, out).
    """
    array = tensor.detach().cpu().numpy()
    return np.array(array.T if name.endswith(".kernel") else array, order="C")


def from_canonical(name: str, array: Array) -> torch.Tensor:
    """The inverse of ``to_canonical``, as a host tensor."""
    return torch.from_numpy(np.array(array.T if name.endswith(".kernel") else array, order="C"))
