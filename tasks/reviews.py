"""Film reviews with labels: the part that the classifiers of ``imdb_text`` share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.datasets import imdb
from tasks.task import Array, Chunk, Dropout, Envelope, Precision, Target, Task, Tree

Part = tuple[str, int, int]
"""A split of the data, and from which to which of its shuffled reviews."""


@dataclass(frozen=True)
class Judged:
    """How a variant is judged, and how backends are compared."""

    accuracy: float
    """The lowest that is right."""
    margin: float
    """About the deviation that was measured."""
    seed: int
    """The comparison begins from it. It keeps clear of corners on real and on generated data: the
    largest error of moved parameters is a third of the envelope or less (``tests.seeds``)."""
    envelopes: Mapping[Precision, Envelope]


def envelopes(
    steps: int, state: float, rounded: Mapping[Precision, Envelope]
) -> Mapping[Precision, Envelope]:
    """Those of a variant whose float32 state may part by ``state`` within ``steps``.

    float64 parts by rounding alone. So does float32, unless the input of a ReLU falls so near to 0
    that rounding flips it, which the verification seeds avoid. The gradients of the output's bias
    and of the last normalisation's offset are sums over the batch that nearly cancel, so that
    rounding is large relative to them. The float32 bands are about ten times what the backends
    showed: 3e-7 in the loss, 6e-6 in the gradient.
    """
    return {
        "float64": Envelope(steps, loss=1e-12, gradient=1e-12, state=1e-12),
        "float32": Envelope(steps, loss=3e-6, gradient=5e-5, state=state),
        **rounded,
    }


class Reviews(Task):
    """The part that the classifiers share: labels, their order, the score."""

    name = "imdb_text"
    unit = "reviews/s"
    config: Any

    def __init__(
        self,
        config: Any,
        profile: str,
        variant: str,
        data: imdb.IMDB,
        judged: Judged,
        parts: Mapping[str, Part],
        scored: str = "test",
    ):
        """``parts`` says of which reviews "train" and "test" are; metrics are called after what is
        ``scored``."""
        self.config, self.profile, self.variant = config, profile, variant
        self.optimizer = config.optimizer
        self.provenance = data.provenance
        self.envelopes = judged.envelopes
        self.verification_seed = judged.seed
        self.margin = judged.margin
        self.targets = (Target(f"{scored}_accuracy", low=judged.accuracy),)
        self.validation = f"{scored}_loss"
        self._scored = scored
        self._labels: dict[str, Array] = {}
        for split, (source, start, end) in parts.items():
            # the archive has all unfavourable reviews first
            chosen = np.random.default_rng(0).permutation(len(data.labels[source]))[start:end]
            self._labels[split] = data.labels[source][chosen].astype(np.float32)
            self._prepare(split, data.words[source], data.offsets[source], chosen)

    def _prepare(self, split: str, words: Array, offsets: Array, chosen: Array) -> None:
        """Keeps of the reviews ``chosen`` what chunks are made of."""
        raise NotImplementedError

    def _inputs(self, split: str, rows: Array) -> Chunk:
        """The model's input for the reviews ``rows`` (steps, batch)."""
        raise NotImplementedError

    def _order(self, seed: int, epoch: int) -> Array:
        """The reviews that an epoch trains on, one after another."""
        return np.random.default_rng([seed, epoch]).permutation(len(self._labels["train"]))

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        labels, batch = self._labels[split], self.config.batch
        if split == "train":
            order = self._order(seed, epoch)
            steps = len(order) // batch
            for rows in order[: steps * batch].reshape(-1, self.config.chunk_steps, batch):
                yield {**self._inputs(split, rows), "labels": labels[rows]}
        else:
            steps = -(-len(labels) // batch)
            rows = np.arange(steps * batch).reshape(steps, batch)
            weights = (rows < len(labels)).astype(np.float32)
            rows = np.minimum(rows, len(labels) - 1)  # the padding repeats the last review
            yield {**self._inputs(split, rows), "labels": labels[rows], "weights": weights}

    def samples(self, chunk: Chunk) -> int:
        return chunk["labels"].size

    def score(self, results: Iterable[tuple[Chunk, Tree]]) -> Mapping[str, float]:
        loss = correct = total = 0.0
        for chunk, outputs in results:
            logits = outputs["logits"].astype(np.float64)  # (steps, batch)
            labels, weights = chunk["labels"], chunk["weights"]
            # -log sigmoid(z) = log(1 + e^-z) for a favourable review, log(1 + e^z) for the others
            loss += float((weights * np.logaddexp(0, (1 - 2 * labels) * logits)).sum())
            correct += float((weights * ((logits > 0) == (labels > 0))).sum())
            total += float(weights.sum())
        return {f"{self._scored}_loss": loss / total, f"{self._scored}_accuracy": correct / total}


def dropped(rate: float, chunk: Chunk, channels: int) -> Dropout:
    """A layer that drops channels of every review of a chunk."""
    return Dropout(rate, np.ones(chunk["labels"].shape, bool), channels)
