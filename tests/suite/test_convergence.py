"""Reading learning curves, comparing backends over paired seeds, and spreads over seeds."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from suite.records.convergence import Comparison, Spread, band, compare, read_curve, spread
from tasks.task import Array

EPOCHS = 16
TRAIN = (2 * 0.8 ** np.arange(EPOCHS)).tolist()
"""A train loss that falls all the time."""


def wavering(share: float) -> st.SearchStrategy[Array]:
    """Factors (EPOCHS,) within ``share`` of 1."""
    return st.lists(st.floats(1 - share, 1 + share), min_size=EPOCHS, max_size=EPOCHS).map(np.array)


def falling(rate: float, floor: float = 0.0) -> Array:
    losses: Array = floor + (1 - floor) * rate ** np.arange(EPOCHS)
    return losses


@given(wavering(0.01), st.integers(2, 12), st.floats(0.05, 1))
def test_a_validation_loss_that_turns_is_overfitting_from_there(
    noise: Array, best: int, rise: float
) -> None:
    place = np.arange(EPOCHS) - best
    losses = np.where(place < 0, 0.3 - 0.1 * place, 0.3 + rise * place) * noise
    reading = read_curve(TRAIN, losses.tolist())
    assert (reading.label, reading.since) == ("overfitting", best + 2)
    assert f"lowest in epoch {best + 1} " in reading.reason


@given(wavering(0.009))
def test_a_loss_that_has_flattened_is_well_fitted(noise: Array) -> None:
    losses = falling(0.3, floor=0.3) * noise
    assert read_curve(TRAIN, losses.tolist()).label == "well fitted"


@given(wavering(0.01))
def test_a_loss_that_falls_on_is_still_learning(noise: Array) -> None:
    losses = falling(0.95) * noise
    assert read_curve(TRAIN, losses.tolist()).label == "still learning"


@given(wavering(0.009), wavering(0.009))
def test_losses_that_stay_where_they_were_are_not_learning(first: Array, second: Array) -> None:
    reading = read_curve((math.log(10) * first).tolist(), (math.log(10) * second).tolist())
    assert reading.label == "not learning"


@given(wavering(0.01), st.integers(0, EPOCHS - 3))
def test_a_train_loss_that_rises_is_diverging_from_there(noise: Array, best: int) -> None:
    place = np.arange(EPOCHS) - best
    train = np.where(place < 0, 1 - 0.1 * place, 1 + 1.5 * place) * noise
    reading = read_curve(train.tolist(), train.tolist())
    assert (reading.label, reading.since) == ("diverging", best + 2)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_diverging(value: float) -> None:
    reading = read_curve([1.0, 0.9, 0.8], [1.0, value, 0.8])
    assert (reading.label, reading.since) == ("diverging", 2)


def test_a_step_up_in_a_train_loss_that_goes_on_falling_is_no_divergence() -> None:
    train = [*TRAIN[:8], *(loss + 0.4 for loss in TRAIN[8:])]  # a penalty comes in at epoch 9
    assert read_curve(train, falling(0.3, floor=0.3).tolist()).label == "well fitted"


def test_a_rise_of_both_losses_is_no_overfitting() -> None:
    validation = [1.0, 0.6, 0.4, 0.45, 0.5, 0.55]
    assert read_curve([1.0, 0.5, 0.3, 0.32, 0.31, 0.305], validation).label == "well fitted"
    assert read_curve([1.0, 0.5, 0.3, 0.2, 0.1, 0.05], validation).label == "overfitting"


def test_one_bad_epoch_at_the_end_is_no_overfitting() -> None:
    validation = [1.0, 0.5, 0.3, 0.3, 0.29, 0.5]
    assert read_curve(TRAIN[:6], validation).label == "well fitted"
    assert read_curve(TRAIN[:7], [*validation, 0.5]).label == "overfitting"


def test_noise_alone_is_seldom_taken_for_overfitting() -> None:
    rng = np.random.default_rng(0)
    labels = Counter(
        read_curve(TRAIN, (falling(0.5, floor=0.4) * rng.normal(1, 0.05, EPOCHS)).tolist()).label
        for _ in range(500)
    )
    assert labels["well fitted"] > 450
    assert labels["overfitting"] < 25


@pytest.mark.parametrize(
    ("train", "validation", "label"),
    [
        ([0.6], [0.5], "too short to say"),
        ([0.6, 0.4], [0.5, 0.4], "still learning"),
        ([0.6, 0.4], [0.5, 0.6], "too short to say"),
        ([0.6, 0.6], [0.5, 0.5], "too short to say"),
        ([0.6, 0.4, 0.3], [0.5, 0.4, 0.35], "still learning"),
        ([0.6, 0.4, 0.3], [0.5, 0.6, 0.7], "too short to say"),
        ([0.6, 0.4, 0.3], [0.5, 0.5, 0.5], "too short to say"),
        ([0.6, 2.0], [0.5, 3.0], "diverging"),
        ([math.nan], [0.5], "diverging"),
    ],
)
def test_few_epochs_say_little(train: list[float], validation: list[float], label: str) -> None:
    reading = read_curve(train, validation)
    assert reading.label == label
    assert reading.reason


@pytest.mark.parametrize(("train", "validation"), [([], []), ([1.0, 2.0], [1.0])])
def test_what_is_no_curve_is_refused(train: list[float], validation: list[float]) -> None:
    with pytest.raises(ValueError, match="no curve"):
        read_curve(train, validation)


# fmt: off
REAL = {  # what NumPy's runs on the real data gave: train losses, validation losses, reading
    "reviews, 15,000 of them, 20 epochs, seed 0": (
        [.515, .323, .247, .198, .166, .141, .122, .102, .091, .077, .065, .057, .048, .040, .035,
         .031, .026, .023, .019, .016],
        [.390, .315, .283, .273, .276, .312, .289, .324, .319, .344, .357, .413, .420, .446, .445,
         .456, .476, .502, .516, .547], "overfitting since epoch 5"),
    "reviews, 15,000 of them, 20 epochs, seed 2": (
        [.507, .306, .230, .184, .152, .133, .112, .095, .081, .073, .061, .053, .044, .039, .034,
         .025, .026, .015, .020, .017],
        [.399, .310, .277, .335, .300, .301, .302, .317, .334, .354, .369, .389, .454, .437, .461,
         .480, .503, .526, .548, .570], "overfitting since epoch 4"),
    "reviews, stopped early": (
        [.528, .325, .243, .196, .162, .140, .117], [.403, .321, .282, .281, .286, .283, .299],
        "overfitting since epoch 5"),
    "reviews, 4 epochs": (
        [.469, .276, .219, .185], [.349, .289, .280, .293], "well fitted"),
    "pictures, 5 epochs, seed 0": (
        [.583, .415, .366, .336, .317], [.449, .460, .399, .370, .363], "still learning"),
    "pictures, 5 epochs, seed 2": (
        [.583, .411, .367, .339, .318], [.470, .415, .378, .377, .408], "well fitted"),
    "pictures, 20 epochs": (
        [.583, .413, .367, .337, .315, .300, .287, .277, .267, .259, .250, .243, .237, .230, .223,
         .217, .212, .207, .203, .199],
        [.446, .405, .396, .357, .355, .355, .342, .367, .341, .331, .373, .341, .338, .341, .353,
         .331, .326, .394, .359, .347], "well fitted"),
    "characters, 6 epochs": (
        [1.767, 1.477, 1.403, 1.355, 1.318, 1.289], [1.697, 1.618, 1.580, 1.548, 1.527, 1.510],
        "still learning"),
    "autoencoder, whose loss gains a penalty in epoch 11": (
        [50.8, 20.3, 17.6, 16.3, 15.6, 15.0, 14.6, 14.3, 14.0, 13.8, 14.2, 14.0, 13.8, 13.6, 13.5,
         13.4, 13.3, 13.2, 13.0, 13.0],
        [.0292, .0236, .0214, .0207, .0194, .0192, .0183, .0181, .0179, .0198, .0173, .0175, .0170,
         .0172, .0169, .0171, .0167, .0165, .0165, .0164], "well fitted"),
    "few-shot recognition, 12 epochs": (
        [.529, .293, .233, .213, .179, .163, .150, .136, .129, .120, .120, .113],
        [.403, .315, .320, .270, .240, .228, .205, .220, .208, .210, .205, .203], "well fitted"),
}
# fmt: on


@pytest.mark.parametrize("name", REAL)
def test_real_curves_are_read_as_people_read_them(name: str) -> None:
    train, validation, expected = REAL[name]
    assert str(read_curve(train, validation)) == expected


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 0.1, (2, 7)).tolist()
    found = compare(a, b, 0.05)
    expected = stats.ttest_rel(a, b).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert found.pairs == 7


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.001, -0.001, 0.000], "same"),
        ([0.003, 0.0031, 0.003], "same"),  # surely there, surely small
        ([0.03, 0.031, 0.032], "different"),
        ([-0.03, -0.031, -0.032], "different"),
        ([0.006, 0.008, 0.014], "not enough seeds"),  # above 0, perhaps not above the margin
        ([0.009, -0.006, 0.002], "not enough seeds"),
        ([0.03, 0.031], "not enough seeds"),  # beyond the margin in its 90% interval alone
        ([0.03], "not enough seeds"),
        ([0.0], "not enough seeds"),
        ([0.0, 0.0], "same"),
    ],
)
def test_verdicts(differences: list[float], verdict: str) -> None:
    margin = 0.005 if differences != [0.03, 0.031] else 0.0264
    base = [0.5] * len(differences)
    assert compare([0.5 + d for d in differences], base, margin).verdict == verdict


def test_identical_values_are_the_same_whatever_the_margin() -> None:
    found = compare([0.1, 0.7, 0.3], [0.1, 0.7, 0.3], 0.0)
    assert found == Comparison("same", 0.0, 0.0, 0.0, 3)


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0, 2.0], [1.0])])
def test_values_without_partners_are_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        compare(a, b, 0.1)


def verdicts(difference: float, deviation: float, pairs: int) -> dict[str, float]:
    """How often each verdict comes, at a margin of 1, if the true difference is ``difference``."""
    rng = np.random.default_rng(1)
    draws = rng.normal(difference, deviation, (1_500, pairs))
    zeros = [0.0] * pairs
    found = Counter(compare(row, zeros, 1.0).verdict for row in draws.tolist())
    return {verdict: count / len(draws) for verdict, count in found.items()}


@pytest.mark.parametrize("deviation", [0.3, 3.0])
@pytest.mark.parametrize("pairs", [2, 5])
def test_wrong_verdicts_are_as_rare_as_they_should_be(deviation: float, pairs: int) -> None:
    at_the_margin = verdicts(1.0, deviation, pairs)
    assert at_the_margin.get("same", 0) < 0.065
    assert at_the_margin.get("different", 0) < 0.065
    assert verdicts(0.0, deviation, pairs).get("different", 0) < 0.065


def test_enough_seeds_find_out_what_is_so() -> None:
    assert verdicts(0.0, 0.5, 8)["same"] > 0.9
    assert verdicts(2.0, 0.5, 8)["different"] > 0.9


def test_a_spread_is_median_lowest_and_highest() -> None:
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(2.5, 1.0, 10.0)
    assert spread([]) is None


def test_a_band_has_the_epochs_that_every_seed_has() -> None:
    curves = [[3.0, 2.0, 1.0], [5.0, 1.0], [4.0, 4.0, 4.0]]
    assert band(curves) == [Spread(4.0, 3.0, 5.0), Spread(2.0, 1.0, 4.0)]
    assert band([]) == []
