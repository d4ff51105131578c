"""``imdb_text:skipgram`` as a task: its pairs, its random words, its score and its texts."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import log_expit

import tasks
from tasks import skipgram
from tasks.datasets.imdb import IMDB
from tasks.skipgram import RESERVED, SIZES, SkipGram, SkipGramConfig
from tasks.task import Array, Chunk, Tree
from tests.tasks.tiny_imdb_text import BATCH, ROWS, STEPS, WORDS, tiny_data, tiny_skipgram


def kept_reviews(split: str) -> list[list[int]]:
    """The tiny reviews as rows of the table, without words that are not known."""
    data = tiny_data()
    return [
        [int(w) + RESERVED for w in data.words[split][start:end] if 0 <= w < WORDS]
        for start, end in pairwise(data.offsets[split])
    ]


def near(split: str, window: int) -> set[tuple[int, int]]:
    """All pairs of a word and one at most ``window`` places away in the same review."""
    return {
        (review[i], review[j])
        for review in kept_reviews(split)
        for i in range(len(review))
        for j in range(max(i - window, 0), min(i + window + 1, len(review)))
        if i != j
    }


def pairs(chunk: Chunk) -> list[tuple[int, int]]:
    words, neighbours = chunk["words"].ravel(), chunk["contexts"][..., 0].ravel()
    return [(int(word), int(other)) for word, other in zip(words, neighbours, strict=True)]


@pytest.mark.parametrize("split", ["train", "test"])
def test_pairs_are_of_neighbours_in_one_review(split: str) -> None:
    task = tiny_skipgram(window=2)
    found: set[tuple[int, int]] = set()
    for epoch in range(400):
        for chunk in task.chunks(split, 1, epoch):
            found |= {*pairs(chunk)}
    assert found <= near(split, 2)
    if split == "train":  # the test pairs are the same every time
        assert found == near(split, 2)


def test_distances_are_drawn_as_often_as_windows_of_all_sizes_have_them() -> None:
    """A window's size is drawn from 1 to the largest, and each of its places counts once."""
    distances = Counter(tiny_skipgram(window=3)._distances.tolist())
    windows = Counter(d for size in (1, 2, 3) for d in range(-size, size + 1) if d)
    assert distances == windows


def repeated(words: Array, threshold: float) -> SkipGram:
    """A task on one review, twice."""
    given = dict.fromkeys(("train", "test"), words.astype(np.int32))
    offsets = dict.fromkeys(("train", "test"), np.array([0, len(words)]))
    labels = dict.fromkeys(("train", "test"), np.zeros(1, np.uint8))
    data = IMDB(given, offsets, labels, tiny_data().provenance)
    config = SkipGramConfig(
        skipgram.config("full").optimizer, 1, 10, threshold=threshold, chunk_steps=10
    )
    return SkipGram(config, "full", data)


def test_frequent_words_are_left_out_and_random_ones_drawn_by_the_power_of_three_quarters() -> None:
    counts = np.array([100_000, 6_250, 1_000])
    text = np.random.default_rng(0).permutation(np.repeat(np.arange(3), counts))
    (chunk,) = repeated(text, threshold=1e-2).chunks("train")
    # f = .93, .058, .0093: the first two stay at sqrt(.01 / f), the last always
    frequency = counts / counts.sum()
    stays = np.minimum(np.sqrt(1e-2 / frequency), 1) * counts
    seen = np.bincount(chunk["words"].ravel(), minlength=5)[RESERVED:]
    np.testing.assert_allclose(seen / seen.sum(), stays / stays.sum(), atol=0.02)
    drawn = np.bincount(chunk["contexts"][..., 1:].ravel(), minlength=5)
    assert not drawn[:RESERVED].any()
    expected = counts**0.75 / (counts**0.75).sum()
    np.testing.assert_allclose(drawn[RESERVED:] / drawn.sum(), expected, atol=0.005)


def test_a_word_that_stays_is_in_one_pair_of_an_epoch_while_there_are_enough() -> None:
    words = np.arange(4_900)  # each once
    task = repeated(words, threshold=1.0)
    (chunk,) = task.chunks("train")
    counts = np.bincount(chunk["words"].ravel(), minlength=5_000)
    assert chunk["words"].shape == (10, 4_096)
    # 40,960 pairs of less than 4,900 words that have a neighbour at the distance drawn
    used = counts[counts > 0]
    assert used.max() - used.min() <= 1
    assert len(used) > 4_800


def test_seed_and_epoch_say_what_is_drawn() -> None:
    task = tiny_skipgram()

    def drawn(seed: int, epoch: int) -> bytes:
        (chunk,) = task.chunks("train", seed, epoch)
        assert chunk["words"].shape == (STEPS, BATCH)
        assert chunk["contexts"].shape == (STEPS, BATCH, 3)
        assert {a.dtype for a in chunk.values()} == {np.dtype(np.int32)}
        return chunk["words"].tobytes() + chunk["contexts"].tobytes()

    assert drawn(1, 2) == drawn(1, 2)
    assert len({drawn(1, 2), drawn(1, 3), drawn(2, 2)}) == 3
    (one,), (other,) = task.chunks("test", 1, 2), task.chunks("test", 2, 3)
    assert all(np.array_equal(a, other[name]) for name, a in one.items())


def test_an_excerpt_chooses_rows_of_both_tables_several_times() -> None:
    (chunk,) = tiny_skipgram().chunks("train")
    few = tiny_skipgram().excerpt({name: a[0] for name, a in chunk.items()})
    assert {name: a.shape for name, a in few.items()} == {"words": (8,), "contexts": (8, 3)}
    for name in few:
        assert min(Counter(few[name].ravel().tolist()).values()) >= 2


def test_the_score_is_the_mean_of_the_formula() -> None:
    z = 5 * np.random.default_rng(0).standard_normal((2, BATCH, 3))
    own = -log_expit(z[..., 0]) - log_expit(-z[..., 1]) - log_expit(-z[..., 2])
    (chunk,) = tiny_skipgram().chunks("test")
    assert tiny_skipgram().score([(chunk, {"logits": z})]) == {
        "test_loss": pytest.approx(own.mean())
    }


def test_the_nearest_words_are_those_whose_vectors_point_the_same_way() -> None:
    """However long they are."""
    vectors = np.zeros((ROWS, 4))
    angles = np.linspace(0, 1, WORDS) ** 2
    vectors[RESERVED:, 0], vectors[RESERVED:, 1] = np.cos(angles), np.sin(angles)
    vectors[RESERVED:] *= np.arange(1, WORDS + 1)[:, None]

    def predict(chunk: Chunk) -> Tree:
        return {"vectors": vectors[chunk["words"]], "logits": chunk["contexts"]}

    texts = tiny_skipgram().texts(predict)
    assert [*texts] == ["nearest to great", "nearest to war"]  # the others are no words here
    nearest = [f"word {rank}" for rank in range(2, 9)]
    assert texts["nearest to great"] == ", ".join(["war", *nearest])
    assert texts["nearest to war"] == ", ".join(["great", *nearest])


def test_generated_data_have_no_words_to_show() -> None:
    task = SkipGram(tiny_skipgram().config, "smoke", _without_words())
    assert task.texts(lambda chunk: pytest.fail("asked")) == {}


def _without_words() -> IMDB:
    data = tiny_data()
    return IMDB(data.words, data.offsets, data.labels, data.provenance)


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks_and_its_rate_ends_at_0(profile: str) -> None:
    config = skipgram.config(profile)
    assert config.epoch_steps % config.chunk_steps == 0
    epochs, steps = SIZES[profile]
    assert config.optimizer.rates(epochs * steps, 1) == 0 < config.optimizer.rates(steps, 1)


def test_the_base_is_the_full_profile_or_short_where_words_have_no_company() -> None:
    assert skipgram.base("generated").config.epochs == 1
    assert skipgram.base("generated").label == "imdb_text:skipgram"
