"""Fashion-MNIST multi-layer perceptron: 784 -> Dense 128 ReLU -> Dense 10 softmax.

Mean categorical cross-entropy from logits, RMSprop; 101,770 parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tasks import operations, scaling
from tasks.datasets import fashion_mnist
from tasks.datasets.fashion_mnist import pixels
from tasks.initializers import glorot_uniform, zeros
from tasks.optimizers import RMSprop
from tasks.task import (
    Chunk,
    DataSource,
    Envelope,
    Leaf,
    Precision,
    Target,
    Task,
    Tree,
    rounded_products,
)

OPTIMIZER = RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-7)


@dataclass(frozen=True)
class FashionMLPConfig:
    """Every constant of the task. ``chunk_steps`` divides the steps of an epoch (468 = 9 x 52)."""

    inputs: int = 784
    hidden: int = 128
    classes: int = 10
    optimizer: RMSprop = OPTIMIZER
    batch: int = 128
    chunk_steps: int = 52
    epochs: int = 5
    train_samples: int = 60_000
    test_samples: int = 10_000

    def scaled(self, factor: int) -> FashionMLPConfig:
        return scaling.with_larger_batches(self, factor, "train_samples")


PROFILES = {
    "smoke": FashionMLPConfig(epochs=2, chunk_steps=8, train_samples=4_096, test_samples=1_000),
    "quick": FashionMLPConfig(epochs=1),
    "full": FashionMLPConfig(),
}


class FashionMLP(Task):
    """Chunks are ``images`` (steps, batch, 784) in [0, 1] and ``labels`` (steps, batch).

    Test chunks also hold ``weights`` (steps, batch): 0 where the last batch is padded.
    """

    name = "fashion_mlp"
    config: FashionMLPConfig
    targets = (Target("test_accuracy", low=0.850), Target("train_loss", low=0.305, high=0.330))
    margin = 0.005  # 20 seeds spread by .0053
    validation = "test_loss"
    # float64 parts by rounding alone (1e-15 in the loss after an epoch). So does float32, until a
    # pre-activation falls so near to 0 that rounding flips its ReLU: one flip parts trajectories by
    # 1e-4 to 1e-2. From the verification seed none comes nearer than 1.2e-6 in the 100 steps that
    # are asked for; of seeds 5 to 44 it is the one that stays farthest away. The float32 bands of
    # gradient and state are about ten times what the four backends showed (5e-7 and 7e-7).
    envelopes: Mapping[Precision, Envelope] = {
        "float64": Envelope(steps=100, loss=1e-12, gradient=1e-12, state=1e-12),
        "float32": Envelope(steps=100, loss=1e-6, gradient=5e-6, state=1e-5),
        **rounded_products(loss=2e-2, gradient=1.1e-1),
    }
    verification_seed = 6

    def __init__(self, config: FashionMLPConfig, profile: str, data: fashion_mnist.FashionMNIST):
        self.config = config
        self.profile = profile
        self.optimizer = config.optimizer
        self.provenance = data.provenance
        self.params = {
            "hidden.kernel": Leaf((config.inputs, config.hidden), glorot_uniform),
            "hidden.bias": Leaf((config.hidden,), zeros),
            "output.kernel": Leaf((config.hidden, config.classes), glorot_uniform),
            "output.bias": Leaf((config.classes,), zeros),
        }
        sizes = {"train": config.train_samples, "test": config.test_samples}
        # as bytes: making numbers of an epoch's images takes no longer than copying the numbers
        self._images = {s: data.images[s][:n].reshape(n, -1) for s, n in sizes.items()}
        self._labels = {s: data.labels[s][:n].astype(np.int32) for s, n in sizes.items()}

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        images, labels = self._images[split], self._labels[split]
        batch, chunk_steps = self.config.batch, self.config.chunk_steps
        if split == "train":
            steps = len(images) // batch
            order = np.random.default_rng([seed, epoch]).permutation(len(images))
            rows = order[: steps * batch].reshape(-1, chunk_steps, batch)
            for chunk in rows:
                yield {"images": pixels(images[chunk]), "labels": labels[chunk]}
        else:
            steps = -(-len(images) // batch)
            index = np.arange(steps * batch).reshape(steps, batch)
            weights = (index < len(images)).astype(np.float32)
            index = np.minimum(index, len(images) - 1)  # the padding repeats the last image
            yield {"images": pixels(images[index]), "labels": labels[index], "weights": weights}

    def samples(self, chunk: Chunk) -> int:
        return chunk["labels"].size

    def operations(self, chunk: Chunk) -> float:
        """Per image 2 (2 x 784 x 128 + 3 x 128 x 10): the pixels need no gradient. An update."""
        widths = (self.config.inputs, self.config.hidden, self.config.classes)
        updates = len(chunk["labels"]) * operations.update(self.optimizer, self.params)
        return operations.dense(self.samples(chunk), widths) + updates

    def score(self, results: Iterable[tuple[Chunk, Tree]]) -> Mapping[str, float]:
        loss = correct = total = 0.0
        for chunk, outputs in results:
            logits = outputs["logits"].astype(np.float64)  # (steps, batch, classes)
            labels, weights = chunk["labels"], chunk["weights"]  # (steps, batch)
            logits -= logits.max(axis=-1, keepdims=True)
            log_norm = np.log(np.exp(logits).sum(axis=-1))
            picked = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
            loss += float((weights * (log_norm - picked)).sum())
            correct += float((weights * (logits.argmax(axis=-1) == labels)).sum())
            total += float(weights.sum())
        return {"test_loss": loss / total, "test_accuracy": correct / total}


def config(profile: str, variant: None) -> FashionMLPConfig:
    """The constants of a profile."""
    return PROFILES[profile]


def load(
    constants: FashionMLPConfig, profile: str, source: DataSource, variant: None
) -> FashionMLP:
    """The task on real or generated data."""
    return FashionMLP(constants, profile, fashion_mnist.load(source))
