"""State of a model that changes without a gradient, beside the statistics of layers."""

from __future__ import annotations

import torch
from torch import nn


class Kept(nn.Module):
    """Buffers by name, of these shapes: part of a program's ``State``."""

    def __init__(self, **shapes: tuple[int, ...]):
        super().__init__()
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
