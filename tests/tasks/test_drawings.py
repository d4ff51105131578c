"""Drawings made small: area averaging, and what a distortion does to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks import drawings
from tasks.datasets.omniglot import DRAWINGS, RUN_CHARACTERS, RUNS, SIDE, Omniglot, scribbles
from tasks.drawings import CELL, SMALL, shrink
from tasks.task import Array

seeds = st.integers(0, 2**32 - 1)
NO_SHIFT = np.zeros((1, 2))


def scribble(seed: int, n: int = 1) -> Array:
    return scribbles(np.random.default_rng(seed), n, 1)[:, 0]


def averaging() -> Array:
    """R of the specification."""
    i, j = np.arange(SMALL)[:, None], np.arange(SIDE)
    overlap = np.minimum(CELL * (i + 1), j + 1) - np.maximum(CELL * i, j)
    r: Array = np.maximum(overlap, 0) / CELL
    return r


@given(seeds)
def test_without_a_distortion_it_is_area_averaging(seed: int) -> None:
    ink, r = scribble(seed, 2), averaging()
    np.testing.assert_allclose(r.sum(axis=1), 1)
    small = shrink(ink)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, r @ ink @ r.T, atol=1e-6)
    unmoved = shrink(ink, np.tile(np.eye(2), (2, 1, 1)), np.zeros((2, 2)))
    np.testing.assert_allclose(unmoved, small, atol=1e-6)


@given(seeds)
def test_a_quarter_turn_is_a_quarter_turn(seed: int) -> None:
    ink = scribble(seed)
    turned = shrink(ink, np.array([[[0.0, -1.0], [1.0, 0.0]]]), NO_SHIFT)
    np.testing.assert_allclose(turned[0], np.rot90(shrink(ink)[0]), atol=1e-6)


def test_a_shift_by_a_cell_moves_the_picture_by_one() -> None:
    ink = scribble(0)
    ink[:, -8:] = ink[:, :, :8] = False  # nothing leaves the picture
    moved = shrink(ink, np.eye(2)[None], np.array([[CELL, -CELL]]))
    np.testing.assert_allclose(moved[0], np.roll(shrink(ink)[0], (1, -1), axis=(0, 1)), atol=1e-6)


def test_what_leaves_the_picture_is_gone() -> None:
    assert not shrink(scribble(0), np.eye(2)[None], np.array([[2.0 * SIDE, 0.0]])).any()


@given(seeds)
def test_a_distortion_enlarges_the_ink_as_it_does_areas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ink = scribble(seed)
    ink[:, :20] = ink[:, -20:] = ink[:, :, :20] = ink[:, :, -20:] = False
    maps, shifts = drawings.random_maps(rng, 1)
    before, after = shrink(ink).sum(), shrink(ink, maps, shifts).sum()
    # a little less where squares overlap
    assert 0.85 < after / (before * np.linalg.det(maps[0])) < 1 + 1e-5


def test_distortions_are_small() -> None:
    maps, shifts = drawings.random_maps(np.random.default_rng(0), 1000)
    assert np.linalg.det(maps).min() > 0.5
    assert np.linalg.det(maps).max() < 1.5
    assert 1.9 < np.abs(shifts).max() <= 2
    turn = np.arctan2(maps[:, 1, 0], maps[:, 0, 0])
    assert np.rad2deg(np.abs(turn)).max() < 17  # 10, and the shear


@pytest.fixture(scope="module")
def small() -> Omniglot:
    rng = np.random.default_rng(0)
    alphabets = {name: scribbles(rng, n, DRAWINGS) for name, n in (("A", 2), ("B", 3), ("C", 1))}
    shown, asked = (scribbles(rng, RUNS * RUN_CHARACTERS, 1) for _ in range(2))
    grid = (RUNS, RUN_CHARACTERS, SIDE, SIDE)
    answers = np.tile(np.arange(RUN_CHARACTERS, dtype=np.int32), (RUNS, 1))
    return Omniglot(alphabets, shown.reshape(grid), asked.reshape(grid), answers)


def test_held_out_alphabets_are_not_trained_on(small: Omniglot) -> None:
    found = drawings.pictures(small, ("A", "C"))
    assert found["train"].shape == (3, 20, 4, 28, 28)
    assert found["alphabet"].tolist() == [0, 0, 0]
    assert found["new"].shape == (3, 20, 28, 28)
    np.testing.assert_allclose(found["train"][1, 2, 0], shrink(small.alphabets["B"][1, 2:3])[0])
    np.testing.assert_allclose(found["new"][2, 5], shrink(small.alphabets["C"][0, 5:6])[0])
    assert drawings.pictures(small, ("B",))["alphabet"].tolist() == [0, 0, 1]


def test_the_variants_of_a_drawing_differ_and_are_always_the_same(small: Omniglot) -> None:
    found, again = (drawings.pictures(small, ("A", "C")) for _ in range(2))
    assert drawings.digest(found) == drawings.digest(again)
    assert drawings.digest(drawings.pictures(small, ("B",))) != drawings.digest(found)
    variants = found["train"].reshape(60, 4, -1)
    for one, other in ((0, 1), (0, 2), (1, 3)):
        assert (np.abs(variants[:, one] - variants[:, other]).max(axis=1) > 0.1).all()
