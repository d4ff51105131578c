"""Relations: each is told of the difference that it stands for, and of no other."""

from __future__ import annotations

import numpy as np
import pytest

from suite.causes.difference import Difference, error
from suite.causes.relations import padding, relation
from tasks.task import Array

A: Array = np.random.default_rng(0).standard_normal((8, 12))
SQUARE: Array = A[:, :8]
ROUNDING = 1e-12


def gates(a: Array, order: tuple[int, ...]) -> Array:
    parts = np.split(a, len(order), axis=1)
    return np.concatenate([parts[i] for i in order], axis=1)


def cut(a: Array) -> Array:
    return (a.astype("f4").view("u4") & np.uint32(0xFFFF0000)).view("f4")


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (A * 3, "it is 3 times it"),
        (A / 7 * (1 + 1e-15), "it is 0.142857 times it"),
        (-A, "its sign is the other"),
        (0 * A, "it is 0"),
        (A + 0.25, "0.25 is added to all entries"),
        (A.T, "it is transposed"),
        (gates(A, (0, 2, 1, 3)), "its 4 blocks along axis 1 are in the order 1, 3, 2, 4"),
        (gates(A, (1, 0)), "its 2 blocks along axis 1 are in the order 2, 1"),
        (np.roll(A, 1, axis=0) + np.eye(8, 12) * (np.arange(8) == 0)[:, None], "late along axis 0"),
        (A.astype("f4"), "it is rounded to float32"),
        (cut(A), "it is rounded to bfloat16"),
        (A + (np.arange(8) == 2)[:, None] * A**2, "it is equal but at 1 of 8 entries along axis 0"),
    ],
)
def test_a_relation_is_told(own: Array, said: str) -> None:
    assert said in str(relation(own, A, ROUNDING))


def test_a_square_array_may_be_transposed_too() -> None:
    assert relation(SQUARE.T, SQUARE, ROUNDING) == "it is transposed"


@pytest.mark.parametrize("own", [A, A * (1 + 1e-15), np.exp(A), A + A**2 / 1e4, A * np.nan])
def test_of_no_difference_and_of_an_unknown_one_nothing_is_told(own: Array) -> None:
    assert relation(own, A, ROUNDING) is None


def test_an_error_beyond_rounding_is_no_factor() -> None:
    assert "times" not in str(relation(3 * A + 1e-8 * A**2, A, ROUNDING))


def test_padding_may_be_all_that_differs() -> None:
    mask = np.arange(12) < np.array([12, 3, 5, 7, 9, 11, 2, 4])[:, None]
    assert padding(np.where(mask, A, 1.0), A, mask, ROUNDING)
    assert padding(np.where(mask, A, 1.0) + 1e-3, A, mask, ROUNDING) is None
    assert padding(A, A, mask, ROUNDING) is None


def test_an_explanation_leaves_a_thousandth_and_no_more_than_the_proof_allows() -> None:
    small = Difference({"": A + 1e-6}, {"": A}, 1e-7)
    assert small.size == error(A + 1e-6, A) > small.allowed
    assert small.explains(small.size / 1001)
    assert not small.explains(small.size / 999)
    assert not Difference({"": 2 * A}, {"": A}, 1e-7).explains(2e-7)
