"""Tiny variants of the film review task on random words, for tests that need a whole task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tasks import embedding, skipgram
from tasks.datasets.imdb import IMDB, UNKNOWN
from tasks.embedding import Embedding, FewLabels, FewLabelsConfig
from tasks.imdb_text import BAGS, BagOfWords
from tasks.pretrained import Pretrained
from tasks.skipgram import SkipGram
from tasks.task import Provenance

REVIEWS = {"train": 27, "test": 10}
BATCH, STEPS = 8, 3
WORDS = 12
ROWS = WORDS + skipgram.RESERVED


def tiny_data(vocabulary: int = 16, reviews: Mapping[str, int] = REVIEWS) -> IMDB:
    """Reviews of 0 to 12 words, some of which the vocabulary lacks."""
    rng = np.random.default_rng(1)
    words, offsets = {}, {}
    for split, count in reviews.items():
        offsets[split] = np.concatenate([[0], np.cumsum(rng.integers(0, 13, count))])
        words[split] = rng.integers(UNKNOWN, vocabulary, offsets[split][-1], dtype=np.int32)
    labels = {split: np.arange(n) * 2 // n for split, n in reviews.items()}
    names = ("great", "war", *(f"word {rank}" for rank in range(2, vocabulary)))
    return IMDB(words, offsets, labels, Provenance("imdb", "generated", "tiny"), names)


def tiny_task(variant: str) -> BagOfWords | Embedding | SkipGram:
    """Twelve words, three units, three steps of batch 8 an epoch in one chunk, 10 test reviews."""
    if variant == "skipgram":
        return tiny_skipgram()
    if variant in BAGS:
        full = replace(BAGS[variant], words=WORDS, batch=BATCH, chunk_steps=STEPS, hidden=3)
        trained = BATCH * STEPS if full.held_out else full.train_reviews
        return BagOfWords(replace(full, train_reviews=trained), "smoke", variant, tiny_data())
    config = replace(
        embedding.VARIANTS[variant],
        rows=ROWS,
        channels=4,
        length=5,
        hidden=3,
        batch=BATCH,
        chunk_steps=STEPS,
        epochs=2,
    )
    if not isinstance(config, FewLabelsConfig):
        return Embedding(config, "smoke", variant, tiny_data())
    learned = Pretrained(tiny_skipgram().initial(1).params, "tiny")
    few = replace(config, train_reviews=BATCH * STEPS)
    return FewLabels(few, "smoke", tiny_data(), learned if variant == "word2vec" else None)


def tiny_skipgram(window: int = 3) -> SkipGram:
    """Pairs of twelve words some places apart, none of which is too frequent."""
    config = replace(
        skipgram.config("smoke"),
        rows=ROWS,
        channels=4,
        window=window,
        negatives=2,
        threshold=1.0,
        batch=BATCH,
        epoch_steps=STEPS,
        chunk_steps=STEPS,
        test_steps=2,
    )
    return SkipGram(config, "smoke", tiny_data())
