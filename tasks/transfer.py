"""Transfer learning on Fashion-MNIST: five kinds of clothes, of which there are 100 images.

``fashion_mlp:transfer`` has the hidden layer of a network that learned the classes 0 to 4. It stays
as it is, and an output layer is trained for the classes 5 to 9: "freeze some of the layers (usually
the first layers) and continue the training [...] with our new dataset", as the lecture on transfer
learning has it. ``fashion_mlp:scratch`` trains all of the network on the same images.

The latter is a variant, and no metric of the former, since it is a model of its own: proved in
every backend, trained and timed, and a row of the table beside the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tasks import operations
from tasks.datasets import fashion_mnist
from tasks.datasets.fashion_mnist import FashionMNIST, pixels
from tasks.fashion_mlp import FashionMLP, FashionMLPConfig
from tasks.pretrained import Pretrained, pretrained
from tasks.task import Array, Chunk, DataSource, Envelope, Precision, Target

FROZEN = ("hidden.kernel", "hidden.bias")


@dataclass(frozen=True)
class ClassesConfig(FashionMLPConfig):
    """Constants of a network for ``classes`` classes from ``first_class`` on."""

    first_class: int = 0


@dataclass(frozen=True)
class TransferConfig(ClassesConfig):
    """Constants of both variants. An epoch passes over the images several times."""

    classes: int = 5
    first_class: int = 5
    per_class: int = 20
    """Training images of each class."""
    passes: int = 10
    train_samples: int = 100
    test_samples: int = 5_000
    batch: int = 20
    chunk_steps: int = 50
    epochs: int = 10
    learning_rate: float | None = 3e-3

    @property
    def steps(self) -> tuple[int, int]:
        return self.passes * (self.train_samples // self.batch), self.chunk_steps

    def scaled(self, factor: int) -> TransferConfig:
        raise ValueError(f"it learns from {self.train_samples} images alone")


PROFILES = {
    "smoke": TransferConfig(epochs=2, test_samples=1_000),
    "quick": TransferConfig(epochs=5),
    "full": TransferConfig(),
}
JUDGED = {"transfer": (0.787, 0.013), "scratch": (0.821, 0.011)}
"""By variant the lowest test accuracy and the margin, from five seeds with NumPy: .826 +- .013 and
.854 +- .011, of which the target is the mean less three of the deviations."""
BASE = ClassesConfig(classes=5, train_samples=29_568, test_samples=5_000, chunk_steps=77)
"""Constants of the network whose hidden layer is transferred. Its images are 3 x 77 steps; there
are 30,000, of generated data somewhat fewer."""


def of_classes(config: ClassesConfig, data: FashionMNIST) -> FashionMNIST:
    """The images of the classes of ``config``, which are counted from 0."""
    images, labels = {}, {}
    for split, own in data.labels.items():
        kind = own.astype(np.int32) - config.first_class
        chosen = (kind >= 0) & (kind < config.classes)
        images[split], labels[split] = data.images[split][chosen], kind[chosen]
    return FashionMNIST(images, labels, data.provenance)


def base(source: DataSource) -> FashionMLP:
    """The network that learns the classes 0 to 4, from nearly all of their images."""
    return FashionMLP(BASE, "full", of_classes(BASE, fashion_mnist.load(source)))


class Transfer(FashionMLP):
    """Chunks are those of ``fashion_mlp``, the classes counted from 0. Which images of each class
    there are to learn from, the seed says.

    The frozen layer is computed in every step, as for images that are changed on the way: what it
    makes of the 100 images is not kept.
    """

    config: TransferConfig
    # As for fashion_mlp. Float32 is compared in 20 steps only, to ten times what was seen: the rate
    # is three times as high, and errors are larger beside a loss that falls fast.
    envelopes: Mapping[Precision, Envelope] = {
        **FashionMLP.envelopes,
        "float32": Envelope(steps=20, loss=5e-6, gradient=5e-6, state=5e-5),
    }
    verification_seed = 5  # of 10 for scratch it stays farthest from a flip; transfer has none

    def __init__(
        self,
        config: TransferConfig,
        profile: str,
        data: FashionMNIST,
        learned: Pretrained | None,
    ):
        """``data`` are of all classes; without ``learned``, the hidden layer is trained too."""
        own = of_classes(config, data)
        super().__init__(config, profile, own)
        self.variant = "transfer" if learned else "scratch"
        lowest, self.margin = JUDGED[self.variant]
        self.targets = (Target("test_accuracy", low=lowest),)
        last = config.first_class + config.classes
        self.class_names = fashion_mnist.CLASS_NAMES[config.first_class : last]
        self._images["train"] = own.images["train"].reshape(-1, config.inputs)
        self._labels["train"] = own.labels["train"]
        if learned:
            self.params = {**self.params, **learned.leaves(FROZEN)}
            self.frozen = FROZEN
            self.provenance = learned.provenance(data.provenance)

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        if split != "train":
            yield from super().chunks(split, seed, epoch)
            return
        c, rng, few = self.config, np.random.default_rng([seed, epoch]), self._few(seed)
        order = np.concatenate([rng.permutation(few) for _ in range(c.passes)])
        for rows in order.reshape(-1, c.chunk_steps, c.batch):
            yield {"images": pixels(self._images[split][rows]), "labels": self._labels[split][rows]}

    def _few(self, seed: int) -> Array:
        """The places of the images that are learned from, (train_samples,)."""
        # spawn_key keeps this stream apart from those of initial states and permutations
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
        kinds = (np.flatnonzero(self._labels["train"] == k) for k in range(self.config.classes))
        return np.concatenate([rng.permutation(kind)[: self.config.per_class] for kind in kinds])

    def operations(self, chunk: Chunk) -> float:
        """The frozen layer counts with its product alone, without a gradient."""
        if not self.frozen:
            return super().operations(chunk)
        n, c = self.samples(chunk), self.config
        (width,) = c.widths
        total = operations.product(n, c.inputs, width, gradients=0)
        total += operations.product(n, width, c.classes, gradients=1)
        return total + len(chunk["labels"]) * operations.update(self.optimizer, self.trained)


def load(constants: FashionMLPConfig, profile: str, source: DataSource, variant: str) -> Transfer:
    """The variant on real or generated data; ``transfer`` with the layer that the base learned."""
    assert isinstance(constants, TransferConfig)
    learned = pretrained(base, source) if variant == "transfer" else None
    return Transfer(constants, profile, fashion_mnist.load(source), learned)
