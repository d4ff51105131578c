"""Episodes and runs, judged by embeddings of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks.episodes import Episodes, closeness, interval95, run_error, weighted_difference

EPISODES = Episodes(ways=5, shots=2, queries=3, count=400, seed=0)


@given(st.integers(0, 2**32 - 1))
def test_similarities_follow_their_formulas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, kernel = rng.standard_normal((3, 4)), rng.standard_normal((2, 4)), rng.standard_normal(4)
    learned, close = weighted_difference(kernel)(a, b), closeness(a, b)
    for i, j in np.ndindex(3, 2):
        assert learned[i, j] == pytest.approx(sum(kernel * abs(a[i] - b[j])))
        squared = ((a[i] - b[j]) ** 2).sum()
        assert close[i, j] == pytest.approx((a[i] ** 2).sum() - squared)


def test_classes_that_lie_apart_are_all_recognised() -> None:
    centres = 10 * np.eye(6)[:, None]  # (classes, 1, channels)
    embeddings = centres + np.random.default_rng(0).standard_normal((6, 5, 6))
    for similarity in (closeness, weighted_difference(-np.ones(6))):
        assert (EPISODES.accuracies(similarity, embeddings) == 1).all()


def test_of_embeddings_that_say_nothing_one_in_five_is_right() -> None:
    embeddings = np.random.default_rng(0).standard_normal((30, 20, 4))
    accuracies = EPISODES.accuracies(closeness, embeddings)
    assert accuracies.shape == (400,)
    assert abs(accuracies.mean() - 0.2) < 2 * interval95(accuracies)


def test_more_known_pictures_help() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((10, 1, 8)) + rng.standard_normal((10, 20, 8))
    one, five = (
        Episodes(5, shots, 5, 100, seed=0).accuracies(closeness, embeddings).mean()
        for shots in (1, 5)
    )
    assert one + 0.1 < five < 1


def test_the_known_pictures_are_never_asked_about() -> None:
    """Every picture is alone in its place: known ones would all be recognised, of others none.

    All classes are then equally similar, and the first is chosen.
    """
    embeddings = np.eye(40).reshape(8, 5, 40)
    accuracies = Episodes(4, 2, 3, 200, seed=0).accuracies(closeness, embeddings)
    assert (accuracies == 1 / 4).all()


def test_episodes_depend_on_their_seed_alone() -> None:
    embeddings = np.random.default_rng(0).standard_normal((6, 5, 3))
    one, again = (EPISODES.accuracies(closeness, embeddings) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    other = Episodes(5, 2, 3, 400, seed=1).accuracies(closeness, embeddings)
    assert not np.array_equal(one, other)


def test_run_error_counts_wrong_answers() -> None:
    shown = np.stack([np.eye(4), np.eye(4)])
    answers = np.array([[1, 0, 3, 2], [0, 1, 2, 3]])
    asked = np.take_along_axis(shown, answers[..., None], axis=1)
    assert run_error(closeness, shown, asked, answers) == 0
    asked[0, 2] = asked[0, 1]
    assert run_error(closeness, shown, asked, answers) == pytest.approx(1 / 8)


def test_an_interval_of_95_percent_holds_the_mean_about_as_often() -> None:
    samples = np.random.default_rng(0).random((1000, 50))
    inside = [abs(s.mean() - 0.5) < interval95(s) for s in samples]
    assert 0.92 < np.mean(inside) < 0.97
