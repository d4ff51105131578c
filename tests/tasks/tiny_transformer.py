"""A tiny translation task on random sentences, for tests that need a whole task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tasks.datasets.multi30k import SPECIAL, Multi30k
from tasks.optimizers import Adam, Linear
from tasks.task import Array, Chunk, Provenance
from tasks.transformer import Transformer, TransformerConfig

BATCH, STEPS = 3, 8
GERMAN, ENGLISH = 11, 13
SCHEDULE = Linear(2 * STEPS, warmup=3)
CONFIG = TransformerConfig(
    width=8,
    layers=2,
    heads=2,
    hidden=12,
    optimizer=Adam(1e-2, beta1=0.9, beta2=0.98, epsilon=1e-9, schedule=SCHEDULE, clip=1.0),
    batch=BATCH,
    buckets=(6, 8),
    epoch_steps=STEPS,
    chunk_steps=2,
    epochs=2,
    validation_pairs=4,
    test_pairs=5,
    decode_batch=4,
    decode_extra=2,
    decode_limit=9,
)


class Scored(Transformer):
    """Is asked for one kind of prediction alone: each further one compiles for seconds."""

    def evaluation_kinds(self) -> Iterator[tuple[str, Chunk]]:
        return itertools.islice(super().evaluation_kinds(), 1)


def tiny_task(
    variant: str | None = None,
    config: TransformerConfig = CONFIG,
    kind: type[Transformer] = Transformer,
) -> Transformer:
    """Width 8, two heads; eight steps of 3 pairs an epoch, in four chunks of two buckets."""
    rng = np.random.default_rng(1)

    def sentences(n: int, words: int) -> Array:
        lengths = rng.integers(1, 8, (n, 1))
        numbers = rng.integers(3, words, (n, 7), dtype=np.int32)
        return np.where(np.arange(7) < lengths, numbers, 0).astype(np.int32)

    splits = {"train": config.batch * config.epoch_steps + 2, "val": 4, "test": 5}
    german = {split: sentences(n, GERMAN) for split, n in splits.items()}
    english = {split: sentences(n, ENGLISH) for split, n in splits.items()}
    vocabularies = tuple(
        (*SPECIAL, *(f"{letter}{i}" for i in range(4, n)))
        for letter, n in (("g", GERMAN), ("e", ENGLISH))
    )
    references = tuple(
        " ".join(vocabularies[1][number] for number in row if number) for row in english["test"]
    )
    data = Multi30k(
        german,
        english,
        (vocabularies[0], vocabularies[1]),
        references,
        Provenance("multi30k", "generated", "tiny"),
    )
    config = replace(config, dropout=0.1 if variant == "dropout" else 0.0)
    return kind(config, "smoke", variant, data)
