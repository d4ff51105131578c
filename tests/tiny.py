"""A tiny Fashion-MNIST perceptron on random pictures, for tests that need a whole task."""

from __future__ import annotations

import numpy as np

from tasks.datasets.fashion_mnist import FashionMNIST
from tasks.fashion_mlp import FashionMLP, FashionMLPConfig
from tasks.optimizers import Optimizer, RMSprop
from tasks.task import Provenance

RMSPROP = RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-7)
SIDE, HIDDEN, BATCH, STEPS = 4, 6, 8, 12


def tiny_task(optimizer: Optimizer = RMSPROP, chunk_steps: int = 4) -> FashionMLP:
    """16 -> 6 -> 10, twelve steps of batch 8 an epoch, 20 test pictures; any optimiser."""
    rng = np.random.default_rng(1)
    sizes = {"train": BATCH * STEPS + 3, "test": 20}  # neither is a multiple of the batch
    data = FashionMNIST(
        images={s: rng.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8) for s, n in sizes.items()},
        labels={s: rng.integers(0, 10, n, dtype=np.uint8) for s, n in sizes.items()},
        provenance=Provenance("fashion_mnist", "generated", "tiny"),
    )
    config = FashionMLPConfig(
        inputs=SIDE * SIDE,
        hidden=HIDDEN,
        batch=BATCH,
        chunk_steps=chunk_steps,
        train_samples=sizes["train"],
        test_samples=sizes["test"],
    )
    task = FashionMLP(config, "smoke", data)
    task.optimizer = optimizer
    return task
