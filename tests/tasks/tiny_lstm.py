"""A tiny character model on random text, for tests that need a whole task."""

from __future__ import annotations

import numpy as np

from tasks.datasets.tiny_shakespeare import TinyShakespeare
from tasks.lstm import LSTM, RNN, LSTMConfig
from tasks.optimizers import Adam, Linear
from tasks.task import Provenance

STREAMS, UNROLL, HIDDEN, STEPS = 3, 5, 4, 6
OPTIMIZER = Adam(1e-2, beta1=0.9, beta2=0.999, epsilon=1e-8, schedule=Linear(2 * STEPS), clip=1.0)


def tiny_task(variant: str | None = None) -> LSTM:
    """65 characters, 3 channels, 4 units; six steps of 3 streams of 5 an epoch, in two chunks."""
    config = LSTMConfig(
        channels=3,
        hidden=HIDDEN,
        kernel_limit=0.5,
        optimizer=OPTIMIZER,
        streams=STREAMS,
        unroll=UNROLL,
        chunk_steps=3,
        epochs=2,
        train_characters=STREAMS * UNROLL * STEPS + 8,  # not a multiple of the streams
        validation_characters=STREAMS * 9 + 2,
        sample_characters=12,
    )
    text = np.random.default_rng(1).integers(0, config.characters, 200, dtype=np.int32)
    kind = RNN if variant else LSTM
    return kind(
        config, "smoke", TinyShakespeare(text, Provenance("tiny_shakespeare", "generated", "tiny"))
    )
