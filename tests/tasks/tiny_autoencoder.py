"""Tiny autoencoders on random pictures, for tests that need a whole task."""

from __future__ import annotations

import numpy as np

from tasks.autoencoder import Autoencoder, AutoencoderConfig, JointAutoencoder, JointConfig
from tasks.task import Array, Provenance

INPUTS, CODE, BATCH, STEPS, CLUSTERS = 12, 3, 8, 6, 4
TRAIN, TEST = BATCH * STEPS + 5, 20  # the last incomplete batch is dropped
CONSTANTS = {
    "inputs": INPUTS,
    "code": CODE,
    "batch": BATCH,
    "chunk_steps": 3,
    "epochs": 4,
    "train_samples": TRAIN,
    "test_samples": TEST,
    "test_batch": 5,
    "clusters": CLUSTERS,
}


def tiny_data() -> tuple[dict[str, Array], dict[str, Array]]:
    rng = np.random.default_rng(1)
    inputs = {s: rng.random((n, INPUTS), dtype=np.float32) for s, n in sizes().items()}
    return inputs, {"test": rng.permutation(TEST) % CLUSTERS}


def sizes() -> dict[str, int]:
    return {"train": TRAIN, "test": TEST}


def tiny_joint() -> JointAutoencoder:
    """12-7-3-7-12, six steps an epoch in two chunks; the first two epochs are plain."""
    config = JointConfig(**CONSTANTS, hidden=(7,), plain_epochs=2, kmeans_samples=30)  # type: ignore[arg-type]
    return JointAutoencoder(config, "joint", "smoke", *tiny_data(), PROVENANCE)


def tiny_task(variant: str) -> Autoencoder:
    """As ``tiny_joint``, with the penalty on; ``spectral`` with two hidden layers."""
    if variant == "joint":
        rng = np.random.default_rng(2)
        adapted = tiny_joint().adapt(
            1, lambda chunk: {"codes": rng.standard_normal((*chunk["labels"].shape, CODE))}
        )
        assert isinstance(adapted, JointAutoencoder)
        return adapted
    hidden = (7, 5) if variant == "spectral" else (7,)
    config = AutoencoderConfig(**CONSTANTS, hidden=hidden)  # type: ignore[arg-type]
    return Autoencoder(config, variant, "smoke", *tiny_data(), PROVENANCE)


PROVENANCE = Provenance("fashion_mnist", "generated", "tiny")
