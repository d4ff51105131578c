"""Translations: beam search over a model's decoding step, BLEU, and all kinds of batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tasks import sentences
from tasks.datasets.multi30k import BOS, EOS, PAD, UNKNOWN
from tasks.task import Array, Chunk, Predict, Tree

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU


def bleu(translations: Sequence[str], references: Sequence[str]) -> float:
    """BLEU [%] of a whole text, one reference a sentence, as in ``bleu_signature``."""
    return float(_metric().corpus_score(translations, [references]).score)


def bleu_signature() -> str:
    """How ``bleu`` computes it, as sacrebleu states it (Post 2018)."""
    metric = _metric()
    metric.corpus_score(["a"], [["a"]])  # the number of references is in the signature
    return str(metric.get_signature())


def _metric() -> BLEU:
    from sacrebleu.metrics.bleu import BLEU  # only who translates needs it

    # force: no warning that a text is tokenized already, as ours is
    return BLEU(lowercase=True, tokenize="13a", force=True)


class Search(Protocol):
    """The constants of a task that beam search reads."""

    @property
    def layers(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def decode_extra(self) -> int: ...
    @property
    def decode_limit(self) -> int: ...
    @property
    def beam(self) -> int: ...
    @property
    def length_penalty(self) -> float: ...


class Batches(Search, Protocol):
    """The constants of a task that ``kinds`` reads."""

    @property
    def buckets(self) -> tuple[int, ...]: ...


def limits(source: Array, extra: int, limit: int) -> Array:
    """How many words a translation may have, end mark included, (n,), of sources (n, S)."""
    return np.asarray(np.minimum((source != PAD).sum(axis=1) - 1 + extra, limit))


def beam_search(constants: Search, chunk: Chunk, predict: Predict) -> Tree:
    """``tokens`` (1, n, words) as greedy decoding gives them, for a chunk's ``source`` (1, n, S).

    Of every sentence the ``beam`` most probable beginnings go on, until as many have ended or
    reached the limit. Of these, that with the highest log p / ((5 + words) / 6)^length_penalty is
    taken (Wu et al. 2016, equation 14). A beam of 1 decodes greedily. ``predict`` answers for
    single steps of decoding.
    """
    beams = _Beams(constants, chunk["source"][0])
    begin = np.full((1, len(beams.best), 1), BOS, np.int32)
    memory = predict({"source": chunk["source"], "inputs": begin})["memory"][0]
    shape = (1, beams.scores.size, constants.layers, constants.decode_limit, constants.width)
    fixed = {name: a[None] for name, a in beams.each(source=chunk["source"][0], memory=memory)}
    cache = dict.fromkeys(("keys", "values"), np.zeros(shape, memory.dtype))
    for place in range(beams.best.shape[1]):
        last, here = beams.last.reshape(1, -1), np.array([place], np.int32)
        outputs = predict({**fixed, **cache, "last": last, "place": here})
        parents = beams.extend(place, outputs["logits"][0])
        if beams.done(place):
            break
        cache = {name: outputs[name][:, parents] for name in cache}
    return {"tokens": beams.best[None]}


def kinds(
    constants: Batches, german: Array, english: Array, words: int
) -> Iterator[tuple[str, Chunk]]:
    """A small chunk of every kind that a model makes predictions of, by the kind's name.

    Of the shortest, the middle and the longest pair of sentences (n, any) in two languages, and a
    row that fills the batch up. ``words`` is the number of English ones.
    """
    lengths = sentences.lengths(german, english)
    rows = np.argsort(lengths, kind="stable")[[0, len(lengths) // 2, -1]]
    bucket = sentences.bucket_of(lengths[rows[-1]], constants.buckets)
    pairs = sentences.pairs(german[rows], english[rows], bucket)
    scored = {n: sentences.filled(a, len(rows) + 1, n != "targets") for n, a in pairs.items()}
    source = {"source": scored["source"]}
    yield "scoring", scored
    yield "attention", {**source, "inputs": scored["inputs"]}
    yield "greedy decoding", source
    yield "next word", {**source, **_within_a_search(constants, source["source"].shape[1:], words)}


def _within_a_search(constants: Search, shape: tuple[int, ...], words: int) -> Tree:
    """Arrays that a step of beam search may hand on beside its source, of that ``shape`` (n, S).

    They are made up, of the size that normalised activations have: the real ones depend on the
    backend that computes them.
    """
    rng, place = np.random.default_rng(0), min(5, constants.decode_limit - 1)
    cache = (1, shape[0], constants.layers, constants.decode_limit, constants.width)
    keys, values = rng.standard_normal((2, *cache), np.float32)
    for array in (keys, values):
        array[..., place:, :] = 0  # as long as nothing stands there
    return {
        "memory": rng.standard_normal((1, *shape, constants.width), np.float32),
        "last": rng.integers(UNKNOWN + 1, words, (1, shape[0]), np.int32),
        "place": np.array([place], np.int32),
        "keys": keys,
        "values": values,
    }


class _Beams:
    """The beginnings of n translations, ``beam`` of each, and the best that has ended."""

    def __init__(self, constants: Search, source: Array):
        n, beam = len(source), constants.beam
        self._alpha = constants.length_penalty
        self._limits = limits(source, constants.decode_extra, constants.decode_limit)  # (n,)
        self.scores = np.full((n, beam), -np.inf)
        self.scores[:, 0] = 0  # all begin alike: one goes on
        self.last = np.full((n, beam), BOS, np.int32)
        words = self._limits.max()
        self._begun = np.zeros((n, beam, words), np.int32)
        self.best = np.zeros((n, words), np.int32)
        self._best_scores = np.full(n, -np.inf)
        self._ended = np.zeros(n, np.intp)

    def each(self, **arrays: Array) -> Iterator[tuple[str, Array]]:
        """Arrays (n, ...) as (n * beam, ...), a row for every beginning."""
        for name, array in arrays.items():
            yield name, np.repeat(array, self.scores.shape[1], axis=0)

    def extend(self, place: int, logits: Array) -> Array:
        """Adds word number ``place`` by the ``logits`` (n * beam, words) for it.

        Returns which rows the beginnings kept have grown from, (n * beam,).
        """
        n, beam = self.scores.shape
        totals = self.scores[:, :, None] + _log_probabilities(logits).reshape(n, beam, -1)
        words = totals.shape[2]
        totals = totals.reshape(n, -1)
        # at most one way to end for each beginning: among twice as many, enough go on
        top = np.argpartition(-totals, 2 * beam - 1, axis=1)[:, : 2 * beam]
        found = np.take_along_axis(totals, top, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        top, found = (np.take_along_axis(a, order, axis=1) for a in (top, found))
        parents, chosen = np.divmod(top, words)  # (n, 2 beam)
        ends = (chosen == EOS) | (self._limits == place + 1)[:, None]
        self._finish(place, np.where(ends, found, -np.inf)[:, :beam], parents, chosen)
        kept = np.argsort(ends, axis=1, kind="stable")[:, :beam]
        rows = np.arange(n)[:, None]
        live = np.where(ends, -np.inf, found)[rows, kept]
        self.scores = np.where((self._ended < beam)[:, None], live, -np.inf)
        self.last = chosen[rows, kept].astype(np.int32)
        grown = parents[rows, kept]
        self._begun = self._begun[rows, grown]
        self._begun[:, :, place] = self.last
        return (rows * beam + grown).reshape(-1)

    def _finish(self, place: int, scores: Array, parents: Array, chosen: Array) -> None:
        """Keeps the best of what ended, scores (n, beam), where it beats the best until now."""
        self._ended += np.isfinite(scores).sum(axis=1)
        scores = scores / self._penalty(place + 1)
        rows, best = np.arange(len(scores)), scores.argmax(axis=1)
        better = np.flatnonzero(scores[rows, best] > self._best_scores)
        column = best[better]
        self._best_scores[better] = scores[better, column]
        self.best[better] = self._begun[better, parents[better, column]]
        self.best[better, place] = chosen[better, column]

    def done(self, place: int) -> bool:
        """Tells if no beginning can end better than the best that has ended: scores only fall."""
        hope = self.scores.max(axis=1) / self._penalty(self._limits)
        return bool((hope <= self._best_scores).all())

    def _penalty(self, words: int | Array) -> Array:
        return np.asarray(((5 + words) / 6) ** self._alpha)


def _log_probabilities(logits: Array) -> Array:
    """log softmax of logits (n, words) in float64, with what is never written excepted."""
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
    z[:, [PAD, BOS, UNKNOWN]] = -np.inf
    return z
