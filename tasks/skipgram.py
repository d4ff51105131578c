"""Skip-gram with negative sampling: vectors of words, learned from the company that they keep.

A pair is a word c and a neighbour o of it in a review. The model tells o from words k that were
drawn at random: the loss of a pair is ``-log sigmoid(u_o . v_c) - sum over k of
log sigmoid(-u_k . v_c)``, with vectors v of words and u of neighbours (Mikolov et al., "Distributed
representations of words and phrases and their compositionality", 2013, equation 4). No label is
used. v is what ``imdb_text:word2vec`` begins with, see ``tasks.embedding``.

As in the paper, frequent words are left out at random before neighbours are counted (section 2.3),
and random words are drawn by their frequency to the power of 3/4 (section 2.2), o itself too. All
of this NumPy draws once for all backends: the random words are part of the batch.

Both tables are small beside a batch of pairs. So their gradients are dense, and Adam updates all
rows, those without a gradient too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tasks import operations, scaling
from tasks.datasets import imdb
from tasks.initializers import uniform
from tasks.optimizers import Adam, Linear
from tasks.task import (
    Array,
    Chunk,
    DataSource,
    Envelope,
    Leaf,
    Precision,
    Predict,
    Target,
    Task,
    Tree,
    rounded_products,
)

ROWS, CHANNELS, LIMIT = 5_000, 20, 0.05
"""The size of the tables, and how far their entries begin from 0: those of the classifier."""
RESERVED = 2
"""Rows before that of the most frequent word, which no pair has."""
DRAWN_FROM = 1 << 20
"""Entries of the list of words that random ones are drawn from."""
TEST_SEED = 2**31 - 1
"""The seed of the pairs of test reviews."""
SHOWN = ("great", "terrible", "funny", "actor", "war", "music")
"""Words whose nearest words are shown."""
NEAREST = 8


@dataclass(frozen=True)
class SkipGramConfig:
    """Constants of the model. An epoch begins with another choice of frequent words.

    Those of the text were chosen by what the vectors are worth to the classifier, on training
    reviews whose labels it had not learned from.
    """

    optimizer: Adam
    epochs: int
    epoch_steps: int
    rows: int = ROWS
    """Words are numbered by frequency from 2 on; others are left out."""
    channels: int = CHANNELS
    window: int = 15
    """The largest distance of a neighbour; distance d is drawn ``window`` + 1 - d times as often
    as the largest one."""
    negatives: int = 5
    """Random words of a pair."""
    threshold: float = 1e-5
    """A word of frequency f stays with probability sqrt(threshold / f)."""
    batch: int = 4_096
    """Pairs."""
    chunk_steps: int = 50
    test_steps: int = 25

    def scaled(self, factor: int) -> SkipGramConfig:
        steps, chunk_steps = scaling.fewer_steps(self.epoch_steps // factor, self.chunk_steps)
        batch = self.batch * factor
        return replace(self, batch=batch, epoch_steps=steps, chunk_steps=chunk_steps)


SIZES = {"smoke": (2, 50), "quick": (10, 150), "full": (40, 150)}
"""Epochs and their steps by profile."""
GENERATED = (1, 50)
"""Those of the base on generated data, in which words have hardly any company."""
HIGHEST, MARGIN = 2.5786, 0.0005
"""The test loss that is allowed, and the margin. Five seeds with NumPy had 2.5779 +- .0002: the
former is the mean and three of the deviations."""


def config(profile: str) -> SkipGramConfig:
    """The constants of a profile: a rate that falls to 0 within its steps."""
    constants = _sized(*SIZES[profile])
    return replace(constants, test_steps=5) if profile == "smoke" else constants


def _sized(epochs: int, epoch_steps: int) -> SkipGramConfig:
    adam = Adam(1e-2, beta1=0.9, beta2=0.999, epsilon=1e-8, schedule=Linear(epochs * epoch_steps))
    return SkipGramConfig(adam, epochs, epoch_steps)


class SkipGram(Task):
    """Chunks are ``words`` (steps, batch) and ``contexts`` (steps, batch, 1 + negatives), of each
    pair the neighbour first, then random words; rows of the tables.

    Outputs are ``logits``, of the shape of ``contexts``, and ``vectors`` (steps, batch, channels)
    of the words.
    """

    name, variant, unit = "imdb_text", "skipgram", "pairs/s"
    config: SkipGramConfig
    margin = MARGIN
    validation = "test_loss"
    targets = (Target("test_loss", high=HIGHEST),)
    # Backends part by rounding alone, by a tenth of what is allowed or less: in float64 by 4e-16 in
    # the loss and 2e-14 in the state, in float32 by 1e-7, 5e-7 in the gradients, 1e-5 in the state.
    envelopes: Mapping[Precision, Envelope] = {
        "float64": Envelope(steps=50, loss=1e-13, gradient=1e-13, state=1e-12),
        "float32": Envelope(steps=50, loss=2e-6, gradient=5e-6, state=1.5e-4),
        **rounded_products(loss=2.5e-4, gradient=5e-2),
    }
    verification_seed = 0

    def __init__(self, config: SkipGramConfig, profile: str, data: imdb.IMDB):
        self.config, self.profile = config, profile
        self.optimizer = config.optimizer
        self.provenance = data.provenance
        self._vocabulary = data.vocabulary
        table = Leaf((config.rows, config.channels), uniform(LIMIT))
        self.params = {"embedding.kernel": table, "context.table": table}
        self._texts = {split: self._known(data, split) for split in imdb.SPLITS}
        counts = np.bincount(self._texts["train"][0], minlength=config.rows)
        frequency = np.maximum(counts, 1) / counts.sum()
        self._stays = np.sqrt(config.threshold / frequency)
        self._drawn_from = _drawn_from(counts)
        near = np.arange(1, config.window + 1).repeat(np.arange(config.window, 0, -1))
        self._distances = np.concatenate([near, -near])

    def _known(self, data: imdb.IMDB, split: str) -> tuple[Array, Array]:
        """The known words of a split's reviews, one after another, and the review of each."""
        words, offsets = data.words[split], data.offsets[split]
        known = (words >= 0) & (words < self.config.rows - RESERVED)
        reviews = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
        return words[known] + np.int32(RESERVED), reviews[known]

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        c = self.config
        if split == "train":
            rng, steps, length = np.random.default_rng([seed, epoch]), c.epoch_steps, c.chunk_steps
        else:
            rng, steps, length = np.random.default_rng(TEST_SEED), c.test_steps, c.test_steps
        words, neighbours = self._pairs(split, rng, steps * c.batch)
        for part in np.arange(steps * c.batch).reshape(-1, length, c.batch):
            drawn = rng.integers(0, DRAWN_FROM, (*part.shape, c.negatives))
            found = [neighbours[part][..., None], self._drawn_from[drawn]]
            yield {"words": words[part], "contexts": np.concatenate(found, axis=-1)}

    def _pairs(self, split: str, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Words (count,), each at most once while there are enough, and a neighbour of each."""
        words, reviews = self._texts[split]
        stays = rng.random(len(words)) < self._stays[words]
        words, reviews = words[stays], reviews[stays]
        place = np.arange(len(words))
        there = place + self._distances[rng.integers(0, len(self._distances), len(words))]
        inside = (there >= 0) & (there < len(words))
        inside &= reviews[np.where(inside, there, 0)] == reviews
        chosen = np.resize(rng.permutation(place[inside]), count)
        return words[chosen], words[there[chosen]]

    def excerpt(self, batch: Tree) -> Tree:
        """Four pairs, and the same words again, with neighbours and random words in reverse: so
        that rows of both tables are chosen several times."""
        words, contexts = batch["words"][:4], batch["contexts"][:4]
        return {
            "words": np.concatenate([words, words]),
            "contexts": np.concatenate([contexts, contexts[:, ::-1]]),
        }

    def samples(self, chunk: Chunk) -> int:
        return chunk["words"].size

    def operations(self, chunk: Chunk) -> float:
        """Per pair 6 c (1 + k), for c channels and k random words: a product and two gradients. An
        update of all rows."""
        total = operations.product(chunk["contexts"].size, self.config.channels, 1)
        return total + len(chunk["words"]) * operations.update(self.optimizer, self.params)

    def score(self, results: Iterable[tuple[Chunk, Tree]]) -> Mapping[str, float]:
        """The mean loss of a pair [nats]."""
        losses = []
        for _, outputs in results:
            z = outputs["logits"].astype(np.float64)
            z[..., 0] *= -1  # -log sigmoid(z) = log(1 + e^-z)
            losses.append(np.logaddexp(0, z).sum(axis=-1))
        return {"test_loss": float(np.mean(losses))}

    def texts(self, predict: Predict) -> Mapping[str, str]:
        """The words whose vectors point about the same way; generated data have no words."""
        known = self._vocabulary[: self.config.rows - RESERVED]
        shown = [word for word in SHOWN if word in known]
        if not shown:
            return {}
        v = self._vectors(predict)[RESERVED:]
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        found = {}
        for word in shown:
            own = known.index(word)
            order = np.argsort(-(v @ v[own]), kind="stable")
            nearest = order[order != own][:NEAREST]
            found[f"nearest to {word}"] = ", ".join(known[i] for i in nearest)
        return found

    def _vectors(self, predict: Predict) -> Array:
        """The vectors of all rows (rows, channels), float64."""
        c = self.config
        words = np.resize(np.arange(c.rows, dtype=np.int32), (-(-c.rows // c.batch), c.batch))
        contexts = np.zeros((*words.shape, 1 + c.negatives), np.int32)
        found = predict({"words": words, "contexts": contexts})["vectors"].astype(np.float64)
        vectors: Array = found.reshape(-1, c.channels)[: c.rows]
        return vectors


def _drawn_from(counts: Array) -> Array:
    """Rows, each as often as its ``counts`` (rows,) to the power of 3/4 have it, DRAWN_FROM in all.

    The power is made of square roots, which have the same bits everywhere.
    """
    roots = np.sqrt(np.sqrt(counts))
    powers = roots * roots * roots
    ends = np.rint(np.cumsum(powers) * (DRAWN_FROM / powers.sum())).astype(np.int64)
    return np.repeat(np.arange(len(counts), dtype=np.int32), np.diff(ends, prepend=0))


def base(source: DataSource) -> SkipGram:
    """The model whose vectors ``word2vec`` begins with: that of the full profile."""
    constants = config("full") if source == "real" else _sized(*GENERATED)
    return SkipGram(constants, "full", imdb.load(source))


def load(constants: SkipGramConfig, profile: str, source: DataSource) -> SkipGram:
    """The variant on real or generated data."""
    return SkipGram(constants, profile, imdb.load(source))
