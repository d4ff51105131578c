"""``imdb_text:word2vec`` and ``:word2vec_scratch``: few labels, and where the vectors begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tasks
from tasks import embedding, skipgram
from tasks.embedding import FewLabels, FewLabelsConfig
from tasks.pretrained import Pretrained
from tests.tasks.tiny_imdb_text import BATCH, REVIEWS, STEPS, tiny_data, tiny_skipgram, tiny_task

VARIANTS = ("word2vec", "word2vec_scratch")


def tiny(variant: str, few: int = BATCH * STEPS) -> FewLabels:
    task = tiny_task(variant)
    assert isinstance(task, FewLabels)
    task.config = replace(task.config, train_reviews=few)
    return task


def test_the_vectors_begin_as_learned_with_mean_and_deviation_of_random_ones() -> None:
    task = tiny("word2vec")
    learned = tiny_skipgram().initial(1).params["embedding.kernel"]
    one, other = (task.initial(seed).params for seed in (0, 1))
    begin = one["embedding.kernel"]
    apart = embedding.ROUNDED_BY
    assert 0 < np.abs(begin[: skipgram.RESERVED]).max() <= apart
    words, was = begin[skipgram.RESERVED :], learned[skipgram.RESERVED :]
    np.testing.assert_allclose(words.mean(axis=0), 0, atol=apart)
    assert words.std() == pytest.approx(0.05 / np.sqrt(3), rel=1e-3)  # of U(-.05, .05)
    shifted = was - was.mean(axis=0)
    np.testing.assert_allclose(words / words.std(), shifted / shifted.std(), atol=1e-2)
    difference = np.abs(begin - other["embedding.kernel"])
    assert 0 < difference.max() <= 2 * apart
    assert not np.array_equal(one["hidden.kernel"], other["hidden.kernel"])
    assert task.frozen == ()
    assert len({*words.ravel()}) == words.size  # no two words tie for the maximum
    assert task.provenance.pretrained == "tiny"


def test_random_vectors_depend_on_the_seed() -> None:
    task = tiny("word2vec_scratch")
    one, other = (task.initial(seed).params["embedding.kernel"] for seed in (0, 1))
    assert not np.array_equal(one, other)
    assert task.provenance == tiny_data().provenance


def test_both_variants_learn_from_the_same_batches_and_shapes() -> None:
    one, other = (tiny(variant) for variant in VARIANTS)
    for a, b in zip(one.chunks("train", 2, 1), other.chunks("train", 2, 1), strict=True):
        for name, array in a.items():
            np.testing.assert_array_equal(array, b[name])
    shapes = ({n: leaf.shape for n, leaf in task.params.items()} for task in (one, other))
    assert len({frozenset(shape.items()) for shape in shapes}) == 1


def test_the_seed_says_which_reviews_and_the_epoch_their_order() -> None:
    task = tiny("word2vec_scratch", few=BATCH)
    task.config = replace(task.config, chunk_steps=1)
    assert len(task._labels["train"]) == REVIEWS["train"]
    few = [task._few(seed).tolist() for seed in range(3)]
    assert [len({*own}) for own in few] == [BATCH] * 3
    assert len({frozenset(own) for own in few}) == 3
    orders = [task._order(1, epoch).tolist() for epoch in range(3)]
    assert all(sorted(order) == sorted(few[1]) for order in orders)
    assert len({*map(tuple, orders)}) == 3
    (chunk,) = task.chunks("train", 1, 0)
    np.testing.assert_array_equal(chunk["words"][0], task._words["train"][orders[0]])
    np.testing.assert_array_equal(chunk["labels"][0], task._labels["train"][orders[0]])


def test_the_proof_goes_on_from_epoch_to_epoch() -> None:
    task = tiny("word2vec")
    chunks = task.verification_chunks(3)
    for epoch in range(3):
        for expected in task.chunks("train", 3, epoch):
            np.testing.assert_array_equal(next(chunks)["words"], expected["words"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_loading_asks_for_the_base_only_if_the_vectors_come_from_it(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    config = embedding.config("full", variant)
    assert isinstance(config, FewLabelsConfig)
    learned = np.random.default_rng(0).random((config.rows, config.channels), np.float32)

    def pretrained(make: object, source: str) -> Pretrained:
        calls.append((make, source))
        return Pretrained({"embedding.kernel": learned, "context.table": learned}, "digest")

    monkeypatch.setattr(embedding, "pretrained", pretrained)
    task = tasks.load("imdb_text", "smoke", "generated", variant)
    assert task.label == f"imdb_text:{variant}"
    assert calls == ([(skipgram.base, "generated")] if variant == "word2vec" else [])
    labels = [len(c["labels"].ravel()) for c in task.chunks("train")]
    assert sum(labels) == config.train_reviews == 1_000
