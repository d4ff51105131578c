"""Dropout in Keras: by a mask that comes with the batch, or else as ``keras.layers.Dropout``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf


class Dropout(keras.layers.Dropout):
    """``keras.layers.Dropout`` by the name of what it follows, which can be told what to keep.

    Scaled in training, not in evaluation: Srivastava et al. 2014, section 10.
    """

    draws = True
    """True if it drops where it is not told what to keep."""
    record: Callable[[str, tf.Tensor], None] | None = None
    """Takes the factors of its input's entries, while they are ``recorded``."""

    def __init__(self, rate: float, layer: str):
        super().__init__(rate)
        self.layer = layer

    def call(
        self, inputs: tf.Tensor, kept: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """``inputs``, of which it drops what is not ``kept``, a mask of the same shape, if given.

        While it is recorded, ``inputs`` become ones, so that nothing that follows is right.
        """
        x = inputs if self.record is None else tf.ones_like(inputs)
        if kept is not None and self.rate:
            y = x * tf.cast(kept, x.dtype) / (1 - self.rate)
        else:
            y = super().call(x, training=training) if self.draws else x
        if self.record is not None:
            self.record(self.layer, y)
        return y


@contextmanager
def recorded(dropouts: Sequence[Dropout]) -> Iterator[dict[str, tf.Tensor]]:
    """Records by layer the factors that these layers multiply by in what is traced meanwhile."""
    record: dict[str, tf.Tensor] = {}
    for dropout in dropouts:
        dropout.record = record.__setitem__  # of a dictionary, Keras would make a copy
    try:
        yield record
    finally:
        for dropout in dropouts:
            dropout.record = None
