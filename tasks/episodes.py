"""Few-shot recognition: which of some classes, of which few pictures are known, is a picture of?

Everything is judged by embeddings (pictures, channels) and a ``Similarity`` of two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tasks.task import Array

Similarity = Callable[[Array, Array], Array]
"""(n, channels), (m, channels) -> (n, m), larger is more similar."""


def weighted_difference(kernel: Array) -> Similarity:
    """``sum_c kernel_c |a_c - b_c|``, what a siamese network has learned; kernel (channels,)."""

    def similarity(a: Array, b: Array) -> Array:
        difference = a[:, None] - b  # (n, m, channels)
        similar: Array = np.abs(difference, out=difference) @ kernel
        return similar

    return similarity


def closeness(a: Array, b: Array) -> Array:
    """Minus the squared distance of a and b, less ``|a|^2``, which is the same for all b."""
    close: Array = 2 * a @ b.T - (b * b).sum(axis=1)
    return close


def run_error(similarity: Similarity, shown: Array, asked: Array, answers: Array) -> float:
    """The share of wrong answers in runs, each the most similar of the pictures shown.

    ``shown`` and ``asked`` (runs, pictures, channels), ``answers`` (runs, pictures).
    """
    found = [similarity(a, s).argmax(axis=1) for s, a in zip(shown, asked, strict=True)]
    return float((np.stack(found) != answers).mean())


@dataclass(frozen=True)
class Episodes:
    """``ways`` classes, ``shots`` known pictures of each, and ``queries`` more to be recognised."""

    ways: int
    shots: int
    queries: int
    count: int
    seed: int

    def places(self, classes: int, pictures: int) -> tuple[Array, Array]:
        """Places of the known pictures (count, ways, shots) and of those asked about (count, ways,
        queries), among all pictures, class by class."""
        rng = np.random.default_rng([self.seed, self.ways, self.shots])
        drawn = np.empty((self.count, self.ways, self.shots + self.queries), np.int64)
        for places in drawn:
            chosen = rng.permutation(classes)[: self.ways, None]
            order = rng.permuted(np.tile(np.arange(pictures), (self.ways, 1)), axis=1)
            places[:] = chosen * pictures + order[:, : drawn.shape[2]]
        return drawn[..., : self.shots], drawn[..., self.shots :]

    def accuracies(self, similarity: Similarity, embeddings: Array) -> Array:
        """The share of right answers in every episode, (count,).

        ``embeddings`` (classes, pictures, channels). A query is given the class whose known
        picture, or the mean of whose known pictures, is most similar.
        """
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        right = np.repeat(np.arange(self.ways), self.queries)
        found = np.empty(self.count)
        known, asked = self.places(*embeddings.shape[:2])
        for episode, (shown, places) in enumerate(zip(known, asked, strict=True)):
            means = flat[shown].mean(axis=1)  # (ways, channels)
            answers = similarity(flat[places.ravel()], means).argmax(axis=1)
            found[episode] = (answers == right).mean()
        return found


def interval95(values: Array) -> float:
    """Half the width of the 95% interval of the mean of ``values`` (n,), normal approximation."""
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
