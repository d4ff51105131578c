"""The film review task: its chunks against the reviews, its sizes, its score."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import log_expit
from sklearn.feature_extraction.text import TfidfTransformer

import tasks
from tasks import embedding
from tasks.datasets import imdb
from tasks.imdb_text import BAGS, VARIANTS, BagOfWords, config
from tasks.task import Array, Chunk
from tests.tasks.tiny_imdb_text import BATCH, REVIEWS, STEPS, tiny_data, tiny_task


def bags(chunk: Chunk) -> list[list[int]]:
    """The words of every review of a chunk."""
    return [
        words[start:end].tolist()
        for words, offsets in zip(chunk["words"], chunk["offsets"], strict=True)
        for start, end in pairwise(offsets)
    ]


def tiny_reviews(split: str) -> list[Array]:
    """The tiny data's reviews in the task's order."""
    data = tiny_data()
    chosen = np.random.default_rng(0).permutation(REVIEWS[split])
    offsets = data.offsets[split]
    return [data.words[split][offsets[i] : offsets[i + 1]] for i in chosen]


def test_the_variants_are_those_that_the_suite_lists() -> None:
    assert tasks.VARIANTS["imdb_text"] == VARIANTS


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        ("bow", 10_000 * 16 + 16 + 16 * 16 + 16 + 16 + 1),
        ("tfidf", 10_000 * 16 + 16 + 16 * 16 + 16 + 16 + 1),
        ("bow_batchnorm", 10_000 * 16 + 16 + 16 * 16 + 16 + 16 + 1 + 4 * 16),
        ("embedding", 5_000 * 20 + 20 * 10 + 10 + 10 + 1),
    ],
)
def test_it_has_the_parameters_of_the_specification(variant: str, count: int) -> None:
    state = tasks.load("imdb_text", "smoke", "generated", variant).initial(0)
    assert sum(leaf.size for leaf in state.params.values()) == count
    for name, leaf in state.params.items():
        if name == "embedding.kernel":
            assert 0.0499 < np.abs(leaf).max() <= 0.05
        elif name.endswith(".kernel"):
            limit = np.sqrt(6 / sum(leaf.shape))
            assert 0.5 * limit < np.abs(leaf).max() <= limit
        else:
            assert (leaf == name.endswith(".scale")).all()
    for name, leaf in state.buffers.items():
        assert (leaf == name.endswith(".variance")).all()
    assert len(state.buffers) == (4 if variant == "bow_batchnorm" else 0)


@pytest.mark.parametrize("variant", [*BAGS, *embedding.VARIANTS])
@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str, variant: str) -> None:
    chosen: Any = config(profile, variant)
    assert chosen.train_reviews // chosen.batch % chosen.chunk_steps == 0


def test_a_bag_has_each_known_word_of_its_review_once() -> None:
    (chunk,) = tiny_task("bow").chunks("test")
    expected = [sorted({w for w in r.tolist() if 0 <= w < 12}) for r in tiny_reviews("test")]
    padding = [expected[-1]] * (2 * BATCH - len(expected))
    assert bags(chunk) == expected + padding
    np.testing.assert_array_equal(chunk["weights"].ravel(), [1.0] * 10 + [0.0] * 6)


def dense(chunk: Chunk) -> Array:
    """The values of a tiny chunk as a matrix (reviews, 12)."""
    found = np.zeros((BATCH * len(chunk["words"]) + 1, 12))
    for step, (words, reviews) in enumerate(zip(chunk["words"], chunk["reviews"], strict=True)):
        real = reviews < BATCH
        rows = step * BATCH + reviews[real]
        np.add.at(found, (rows, words[real]), chunk["values"][step][real])
        assert not chunk["values"][step][~real].any()
    return found[:-1]


def counts(split: str) -> Array:
    """How often each of the tiny reviews has each of the 12 words."""
    return np.array(
        [np.bincount(r[(r >= 0) & (r < 12)], minlength=12) for r in tiny_reviews(split)]
    )


def test_the_weights_of_words_are_those_of_scikit_learn() -> None:
    task = tiny_task("tfidf")
    (trained,), (tested,) = task.chunks("train"), task.chunks("test")
    reference = TfidfTransformer().fit(counts("train"))
    rows = np.random.default_rng([0, 0]).permutation(REVIEWS["train"])[: BATCH * STEPS]
    expected = reference.transform(counts("train")[rows]).toarray()
    assert counts("train").max() > 1
    np.testing.assert_allclose(dense(trained), expected, rtol=1e-6)
    expected = reference.transform(counts("test")).toarray()
    np.testing.assert_allclose(dense(tested)[: len(expected)], expected, rtol=1e-6)


def test_held_out_reviews_are_of_the_training_set_and_not_trained_on() -> None:
    task = tiny_task("bow_validation")
    reviews = [sorted({w for w in r.tolist() if 0 <= w < 12}) for r in tiny_reviews("train")]
    (trained,) = task.chunks("train")
    (held_out,) = task.chunks("test")
    assert sorted(bags(trained)) == sorted(reviews[: BATCH * STEPS])
    assert bags(held_out)[:3] == reviews[BATCH * STEPS :]
    np.testing.assert_array_equal(held_out["weights"].ravel(), [1.0] * 3 + [0.0] * 5)
    scores = task.score([(held_out, {"logits": np.zeros((1, BATCH))})])
    assert set(scores) == {"val_loss", "val_accuracy"}
    full: Any = config("full", "bow_validation")
    assert (full.train_reviews, full.test_reviews, full.epochs) == (15_000, 10_000, 20)


def test_reviews_name_the_bag_of_each_word_and_the_padding_none() -> None:
    for split in ("train", "test"):
        for chunk in tiny_task("bow").chunks(split):
            for words, reviews, offsets in zip(
                chunk["words"], chunk["reviews"], chunk["offsets"], strict=True
            ):
                lengths = np.diff(offsets)
                np.testing.assert_array_equal(
                    reviews[: offsets[-1]], np.repeat(np.arange(BATCH), lengths)
                )
                assert (reviews[offsets[-1] :] == BATCH).all()
                assert not words[offsets[-1] :].any()


def test_a_text_is_its_last_known_words_padded_in_front() -> None:
    (chunk,) = tiny_task("embedding").chunks("test")
    for row, review in zip(chunk["words"].reshape(-1, 5), tiny_reviews("test"), strict=False):
        known = [w + 2 for w in review.tolist() if 0 <= w < 12][-5:]
        assert row.tolist() == [0] * (5 - len(known)) + known


@pytest.mark.parametrize("variant", ["bow", "embedding"])
def test_an_epoch_is_a_permutation_of_reviews_with_their_labels(variant: str) -> None:
    def pairs(seed: int, epoch: int) -> list[tuple[bytes, float]]:
        task = tiny_task(variant)
        found = []
        for chunk in task.chunks("train", seed, epoch):
            texts = bags(chunk) if "offsets" in chunk else chunk["words"].reshape(-1, 5).tolist()
            found += [(bytes(t), y) for t, y in zip(texts, chunk["labels"].ravel(), strict=True)]
        assert len(found) == BATCH * STEPS
        return found

    task = tiny_task(variant)
    reviews = [set(r[(r >= 0) & (r < 12)].tolist()) for r in tiny_reviews("train")]
    labels = tiny_data().labels["train"][np.random.default_rng(0).permutation(REVIEWS["train"])]
    order = np.random.default_rng([3, 1]).permutation(REVIEWS["train"])[: BATCH * STEPS]
    assert [y for _, y in pairs(3, 1)] == labels[order].tolist()
    if variant == "bow":
        assert [set(text) for text, _ in pairs(3, 1)] == [reviews[i] for i in order]
    assert pairs(3, 1) != pairs(3, 2)
    assert pairs(3, 1) != pairs(4, 1)
    assert sum(map(task.samples, task.chunks("train"))) == BATCH * STEPS


def test_a_batch_beyond_the_capacity_gets_a_multiple_of_it() -> None:
    # one review in a hundred is long: the batches with several are far from the ordinary
    lengths = np.where(np.arange(1000) % 100 == 0, 5_000, 5)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    words = (np.arange(offsets[-1]) % 5_000).astype(np.int32)
    data = imdb.IMDB(
        words=dict.fromkeys(imdb.SPLITS, words),
        offsets=dict.fromkeys(imdb.SPLITS, offsets),
        labels=dict.fromkeys(imdb.SPLITS, np.zeros(1000, np.uint8)),
        provenance=tiny_data().provenance,
    )
    chosen = replace(BAGS["bow"], batch=4, chunk_steps=1)
    task = BagOfWords(chosen, "smoke", "bow", data)
    widths = {chunk["words"].shape[1] for chunk in task.chunks("train")}
    capacity = min(widths)
    assert widths == {capacity, 2 * capacity}
    words_seen = sum(int(chunk["offsets"][0, -1]) for chunk in task.chunks("train"))
    assert words_seen == lengths.sum()


def test_score_agrees_with_scipy_and_ignores_the_padding() -> None:
    task = tiny_task("bow")
    (chunk,) = task.chunks("test")
    logits = 5 * np.random.default_rng(0).standard_normal((2, BATCH))
    flat, labels = logits.ravel()[:10], chunk["labels"].ravel()[:10]
    found = task.score([(chunk, {"logits": logits})])
    loss = -np.where(labels == 1, log_expit(flat), log_expit(-flat)).mean()
    assert found["test_loss"] == pytest.approx(loss)
    assert found["test_accuracy"] == pytest.approx(((flat > 0) == (labels == 1)).mean())


def test_an_excerpt_is_the_first_eight_reviews() -> None:
    (chunk,) = tiny_task("bow").chunks("test")
    batch = {name: a[0] for name, a in chunk.items()}
    small = tiny_task("bow").excerpt(batch)
    one = {name: a[None] for name, a in small.items()}
    assert bags(one) == bags(chunk)[:8]
    assert len(small["reviews"]) == len(small["words"]) == small["offsets"][-1]
    assert len(small["labels"]) == 8
