"""Tiny variants of few-shot recognition on marked pictures, for tests that need a whole task."""

from __future__ import annotations

import numpy as np

from tasks.fewshot import Fewshot, Siamese, SiameseConfig, Triplet, TripletConfig
from tasks.finetune import Finetune, FinetuneConfig
from tasks.optimizers import Adam, Cosine
from tasks.pretrained import Pretrained
from tasks.task import Array, Leaf, Provenance

SIDE = 9  # 9, 5, 3, 2, 1: odd and even sides
ALPHABETS = (3, 4)
CHARACTERS, DRAWINGS, VARIANTS = sum(ALPHABETS), 5, 2
CLASSES, PER_CLASS = 3, 2
RUNS = 3
EPISODES = {
    **{"episodes": 4, "ways": 3, "shots": 2, "queries": 3},
    "optimizer": Adam(2e-2, 0.9, 0.999, 1e-8),
}


def picture(rng: np.random.Generator, *shape: int) -> Array:
    return rng.random((*shape, SIDE, SIDE), dtype=np.float32)


def tiny_pictures() -> dict[str, Array]:
    """Noise; in training the upper left corner holds the picture's number over all."""
    rng = np.random.default_rng(1)
    train = picture(rng, CHARACTERS, DRAWINGS, VARIANTS)
    count = train[..., 0, 0].size
    train[..., :: SIDE - 1, :: SIDE - 1] = 0
    train[..., 0, 0] = np.arange(1, count + 1).reshape(train.shape[:3]) / count
    return {
        "train": train,
        "alphabet": np.repeat(np.arange(len(ALPHABETS)), ALPHABETS),
        "new": picture(rng, 6, DRAWINGS),
        "shown": picture(rng, RUNS, 4),
        "asked": picture(rng, RUNS, 4),
        "answers": rng.permuted(np.tile(np.arange(4, dtype=np.int32), (RUNS, 1)), axis=1),
    }


def tiny_task(variant: str, one_alphabet: float = 1.0) -> Fewshot:
    """Three classes of two drawings, 9 x 9, four steps an epoch in two chunks, 54 test pictures."""
    shared = {
        "optimizer": Adam(2e-3, 0.9, 0.999, 1e-8, schedule=Cosine(8)),
        "epochs": 2,
        "epoch_steps": 4,
        "chunk_steps": 2,
        "one_alphabet": one_alphabet,
        "classes": CLASSES,
        "per_class": PER_CLASS,
        "channels": (3, 4, 5, 4),
        "embedding": 5,
        "side": SIDE,
        "episodes": 10,
        "queries": 2,
        "ways_shots": ((2, 1), (3, 2)),
    }
    provenance = Provenance("omniglot", "generated", "tiny")
    task: Fewshot
    if variant == "finetune":
        fine = FinetuneConfig(**{**shared, **EPISODES})  # type: ignore[arg-type]
        return Finetune(fine, "smoke", tiny_pictures(), provenance, tiny_base())
    if variant == "siamese":
        config = SiameseConfig(**shared, different_pairs=7)  # type: ignore[arg-type]
        task = Siamese(config, "smoke", tiny_pictures(), provenance)
    else:
        triplet = TripletConfig(**shared)  # type: ignore[arg-type]
        task = Triplet(triplet, "smoke", tiny_pictures(), provenance)
    # Of so few units all may be dead at once, and without biases what they feed is then at the kink
    # of its ReLU, where differences mean nothing and rounding decides.
    awake = {name: Leaf(leaf.shape, _above_0) for name, leaf in task.params.items()}
    biases = {name: leaf for name, leaf in awake.items() if name.endswith(".bias")}
    task.params = {**task.params, **biases}
    return task


def tiny_base() -> Pretrained:
    """A triplet network that learned nothing, and embeddings of the six new characters."""
    embeddings = np.random.default_rng(2).standard_normal((6, DRAWINGS, 5)).astype(np.float32)
    return Pretrained(tiny_task("triplet").initial(1).params, "tiny", {"embeddings": embeddings})


def _above_0(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(0.1, 0.5, shape)
