"""State of a model that changes without a gradient, beside the statistics of layers."""

from __future__ import annotations

from collections.abc import Sequence

import keras


class Kept(keras.layers.Layer):
    """Variables by name, of these shapes: part of a program's ``State``."""

    def __init__(self, name: str, **shapes: Sequence[int]):
        super().__init__(name=name, trainable=False)
        for own, shape in shapes.items():
            weight = self.add_weight(shape=shape, name=own, trainable=False, initializer="zeros")
            setattr(self, own, weight)
