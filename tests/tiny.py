"""A tiny Fashion-MNIST perceptron on random pictures, for tests that need a whole task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tasks.datasets.fashion_mnist import FashionMNIST
from tasks.fashion_mlp import FashionMLP, FashionMLPConfig
from tasks.optimizers import Optimizer, RMSprop
from tasks.options import OPTIONS
from tasks.pretrained import Pretrained
from tasks.task import Provenance
from tasks.transfer import Transfer, TransferConfig

RMSPROP = RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-7)
SIDE, HIDDEN, BATCH, STEPS = 4, 6, 8, 12
SIZES = {"train": BATCH * STEPS + 3, "test": 20}  # neither is a multiple of the batch


def tiny_task(optimizer: Optimizer = RMSPROP, chunk_steps: int = 4) -> FashionMLP:
    """16 -> 6 -> 10, twelve steps of batch 8 an epoch, 20 test pictures; any optimiser."""
    task = FashionMLP(_config(chunk_steps), "smoke", tiny_data())
    task.optimizer = optimizer
    return task


def chosen_task(**options: str) -> FashionMLP:
    """The same in one epoch, with options as texts."""
    read = OPTIONS["fashion_mlp"]
    chosen = {name: read[name](text) for name, text in options.items()}
    config = replace(_config(4), **{"epochs": 1, **chosen})
    return FashionMLP(config, "smoke", tiny_data())


def tiny_transfer(variant: str) -> Transfer:
    """16 -> 6 -> 5, eight steps of batch 5 an epoch, in two chunks; 20 training pictures."""
    config = TransferConfig(
        inputs=SIDE * SIDE,
        hidden=HIDDEN,
        per_class=4,
        passes=2,
        train_samples=20,
        test_samples=SIZES["test"],
        batch=5,
        chunk_steps=4,
        epochs=2,
    )
    drawn = tiny_task().initial(1).params
    learned = Pretrained({**drawn, "hidden.bias": drawn["hidden.kernel"][0]}, "tiny")
    return Transfer(config, "smoke", tiny_data(), learned if variant == "transfer" else None)


def tiny_data() -> FashionMNIST:
    """Random pictures, the same at every call; no two are alike."""
    rng = np.random.default_rng(1)
    return FashionMNIST(
        images={s: rng.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8) for s, n in SIZES.items()},
        labels={s: rng.integers(0, 10, n, dtype=np.uint8) for s, n in SIZES.items()},
        provenance=Provenance("fashion_mnist", "generated", "tiny"),
    )


def _config(chunk_steps: int) -> FashionMLPConfig:
    return FashionMLPConfig(
        inputs=SIDE * SIDE,
        hidden=HIDDEN,
        batch=BATCH,
        chunk_steps=chunk_steps,
        train_samples=SIZES["train"],
        test_samples=SIZES["test"],
    )
