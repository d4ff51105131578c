"""Beam search against all sentences there are, and BLEU."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from tasks import translation
from tasks.datasets.multi30k import EOS, PAD
from tasks.task import Array, Chunk, Tree

WORDS, LIMIT = 7, 4  # three words that can be written, besides those that are special


@dataclass(frozen=True)
class Constants:
    """A search as wide as there are sentences finds the best of all."""

    beam: int
    layers: int = 1
    width: int = 1
    decode_extra: int = 2
    decode_limit: int = LIMIT
    length_penalty: float = 0.6


class Model:
    """A model of two source words. Its cache holds, place by place, the words that were written."""

    def __init__(self, seed: int):
        # by source, by place, by the word before: the probabilities of the next one
        self._logits = 3 * np.random.default_rng(seed).normal(size=(9, LIMIT, WORDS, WORDS))

    def logits(self, source: int, begun: tuple[int, ...]) -> Array:
        # what was written first still counts, so that a wrong parent's cache would show
        first = begun[1] if len(begun) > 1 else 0
        found: Array = self._logits[(source + first) % 9, len(begun) - 1, begun[-1]]
        return found

    def __call__(self, chunk: Chunk) -> Tree:
        if "inputs" in chunk:
            return {"memory": chunk["source"][..., :1].astype(float)[..., None]}
        place, last = int(chunk["place"][0]), chunk["last"][0]
        keys = chunk["keys"].copy()
        keys[0, :, 0, place, 0] = last
        begun = keys[0, :, 0, : place + 1, 0].astype(int)
        sources = chunk["memory"][0, :, 0, 0].astype(int)
        logits = [self.logits(s, tuple(b)) for s, b in zip(sources, begun, strict=True)]
        return {"logits": np.stack(logits)[None], "keys": keys, "values": chunk["values"]}


def score(model: Model, source: int, sentence: tuple[int, ...], alpha: float) -> float:
    total = 0.0
    begun: tuple[int, ...] = (1,)
    for word in sentence:
        z = model.logits(source, begun)
        total += z[word] - np.log(np.exp(z).sum())
        begun = (*begun, word)
    return float(total / ((5 + len(sentence)) / 6) ** alpha)


def all_sentences(limit: int) -> list[tuple[int, ...]]:
    """Those that end before the limit, and those that are cut there."""
    written = range(4, WORDS)
    return [
        (*words, *end)
        for length in range(limit + 1)
        for words in itertools.product(written, repeat=length)
        for end in ([(EOS,)] if length < limit else [()])
    ]


def sources() -> Array:
    """Two sentences, of two words and of one: they may have four words and three."""
    return np.array([[[5, 4, EOS], [6, EOS, PAD]]], np.int32)


@pytest.mark.parametrize("seed", range(8))
def test_a_search_that_is_wide_enough_finds_the_best_sentence_of_all(seed: int) -> None:
    model = Model(seed)
    (found,) = translation.beam_search(Constants(beam=100), {"source": sources()}, model)["tokens"]
    for row, (source, limit) in zip(found, ((5, 4), (6, 3)), strict=True):
        best = max(all_sentences(limit), key=lambda s: score(model, source, s, 0.6))
        assert tuple(row[row != PAD]) == best
        assert not row[len(best) :].any()


def test_a_wider_search_finds_no_worse_sentences() -> None:
    totals: Mapping[int, list[float]] = {1: [], 3: [], 100: []}
    for seed, width in itertools.product(range(20), totals):
        model = Model(seed)
        chunk = {"source": sources()}
        (found,) = translation.beam_search(Constants(beam=width), chunk, model)["tokens"]
        totals[width].append(score(model, 5, tuple(found[0][found[0] != PAD]), 0.6))
    one, three, all_ = (np.array(found) for found in totals.values())
    assert one.mean() < three.mean() < all_.mean()
    assert (all_ >= np.maximum(one, three) - 1e-12).all()


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_it_searches_as_written_out_for_one_sentence(width: int) -> None:
    for seed in range(20):
        model, chunk = Model(seed), {"source": sources()}
        (found,) = translation.beam_search(Constants(beam=width), chunk, model)["tokens"]
        for row, (source, limit) in zip(found, ((5, 4), (6, 3)), strict=True):
            assert tuple(row[row != PAD]) == written_out(model, source, limit, width)


def written_out(model: Model, source: int, limit: int, width: int) -> tuple[int, ...]:
    begun: list[tuple[int, ...]] = [()]
    ended: list[tuple[int, ...]] = []
    while len(ended) < width and begun:
        longer = [(*words, word) for words in begun for word in (EOS, *range(4, WORDS))]
        longer.sort(key=lambda words: -score(model, source, words, 0))
        stopped = [words[-1] == EOS or len(words) == limit for words in longer]
        ended += [words for words, stop in zip(longer[:width], stopped, strict=False) if stop]
        begun = [words for words, stop in zip(longer, stopped, strict=True) if not stop][:width]
    return max(ended, key=lambda words: score(model, source, words, 0.6))


def test_bleu_is_that_of_the_text_without_case_and_says_how() -> None:
    references = ["A man sleeps on the green sofa.", "Two dogs run through deep snow."]
    assert translation.bleu([r.lower() for r in references], references) == pytest.approx(100)
    worse = translation.bleu(["a man sleeps on a sofa .", "two dogs run"], references)
    assert 5 < worse < 60
    assert translation.bleu_signature().startswith("nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|")
