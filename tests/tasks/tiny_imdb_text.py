"""Tiny variants of the film review task on random words, for tests that need a whole task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tasks.datasets.imdb import IMDB, UNKNOWN
from tasks.imdb_text import VARIANTS, BagConfig, BagOfWords, Embedding
from tasks.task import Provenance

REVIEWS = {"train": 27, "test": 10}
BATCH, STEPS = 8, 3


def tiny_data(vocabulary: int = 16, reviews: Mapping[str, int] = REVIEWS) -> IMDB:
    """Reviews of 0 to 12 words, some of which the vocabulary lacks."""
    rng = np.random.default_rng(1)
    words, offsets = {}, {}
    for split, count in reviews.items():
        offsets[split] = np.concatenate([[0], np.cumsum(rng.integers(0, 13, count))])
        words[split] = rng.integers(UNKNOWN, vocabulary, offsets[split][-1], dtype=np.int32)
    labels = {split: np.arange(n) * 2 // n for split, n in reviews.items()}
    return IMDB(words, offsets, labels, Provenance("imdb", "generated", "tiny"))


def tiny_task(variant: str) -> BagOfWords | Embedding:
    """Twelve words, three units, three steps of batch 8 an epoch in one chunk, 10 test reviews."""
    full = VARIANTS[variant]
    full = replace(full, batch=BATCH, chunk_steps=STEPS, hidden=3)
    if isinstance(full, BagConfig):
        trained = BATCH * STEPS if full.held_out else full.train_reviews
        full = replace(full, words=12, train_reviews=trained)
        return BagOfWords(full, "smoke", variant, tiny_data())
    config = replace(full, rows=14, channels=4, length=5)
    return Embedding(config, "smoke", variant, tiny_data())
