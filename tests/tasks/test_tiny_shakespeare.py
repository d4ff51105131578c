"""Tiny Shakespeare: numbers and characters, the stand-in, the real file if there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks import datasets
from tasks.datasets import tiny_shakespeare
from tasks.datasets.tiny_shakespeare import ALPHABET, CHARACTERS, decode, encode


@given(st.text(ALPHABET))
def test_text_round_trips(text: str) -> None:
    assert decode(encode(text)) == text


def test_a_character_of_another_kind_is_refused() -> None:
    with pytest.raises(KeyError, match="@"):
        encode("to be @")


def test_the_alphabet_is_sorted() -> None:
    assert len(ALPHABET) == 65
    assert sorted(set(ALPHABET)) == list(ALPHABET)


def test_the_stand_in_has_the_real_length_and_can_be_learned() -> None:
    data = tiny_shakespeare.generated()
    assert data.text.shape == (CHARACTERS,)
    assert data.text.dtype == np.int32
    counts = np.bincount(data.text, minlength=65)
    assert counts.shape == (65,)
    assert counts.min() > CHARACTERS / 65 / 10  # every character is there, and often
    assert data.provenance.source == "generated"
    # what is left to guess, given the character before, and given the two before
    first = entropy(np.stack([data.text[:-1], data.text[1:]]))
    second = entropy(np.stack([data.text[:-2], data.text[1:-1], data.text[2:]]))
    assert first == pytest.approx(1.27, abs=0.02)
    assert second == pytest.approx(1.02, abs=0.02)


def entropy(windows: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> float:
    """Entropy of the last row given those before [nats]."""
    place = np.ravel_multi_index(tuple(windows), (65,) * len(windows))
    counts = np.bincount(place, minlength=65 ** len(windows)).reshape(-1, 65)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    logs = np.log(np.where(counts, shares, 1))
    return float(-(counts * logs).sum() / counts.sum())


def test_the_stand_in_is_deterministic() -> None:
    one, again = tiny_shakespeare.generated(), tiny_shakespeare.generated()
    assert one.provenance == again.provenance
    assert tiny_shakespeare.generated(seed=1).provenance.digest != one.provenance.digest


def test_the_real_file_is_read_and_known_by_its_digest() -> None:
    if datasets.missing(tiny_shakespeare.SOURCE):
        pytest.skip(f"no tiny Shakespeare in {datasets.data_directory()}")
    data = tiny_shakespeare.load("real")
    assert data.text.shape == (CHARACTERS,)
    assert set(data.text.tolist()) == set(range(65))
    assert decode(data.text[:14]) == "First Citizen:"
    assert data.provenance.source == "real"
