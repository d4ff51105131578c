"""Fashion-MNIST: the idx parser against hostile input, the stand-in, the real files if there."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tasks import datasets
from tasks.datasets import fashion_mnist
from tasks.task import Array, RequestError
from tests.tasks.archives import idx


@given(arrays(np.uint8, array_shapes(max_dims=3, min_side=0, max_side=6)))
def test_idx_round_trips(values: Array) -> None:
    np.testing.assert_array_equal(fashion_mnist.decode_idx(idx(values), values.ndim), values)


@given(st.binary(max_size=64), st.integers(1, 3), st.booleans())
def test_any_other_bytes_are_refused(junk: bytes, axes: int, zipped: bool) -> None:
    with pytest.raises(RequestError):
        fashion_mnist.decode_idx(gzip.compress(junk) if zipped else junk, axes)


@given(st.integers(0, 60))
def test_a_file_cut_anywhere_is_refused(cut: int) -> None:
    whole = idx(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    with pytest.raises(RequestError):
        fashion_mnist.decode_idx(whole[: min(cut, len(whole) - 1)], 3)


def test_absurd_lengths_are_refused_without_allocating_them() -> None:
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    with pytest.raises(RequestError, match="0 values follow"):
        fashion_mnist.decode_idx(gzip.compress(header), 3)


def test_the_stand_in_has_the_real_shapes_and_can_be_learned() -> None:
    data = fashion_mnist.generated()
    for split, n in fashion_mnist.SAMPLES.items():
        assert data.images[split].shape == (n, 28, 28)
        assert data.images[split].dtype == np.uint8
        assert sorted(np.unique(data.labels[split])) == list(range(10))
    assert data.provenance.source == "generated"
    # the nearest class mean, the simplest of models: far above chance, far from perfect
    images = {s: data.images[s].reshape(-1, 784).astype(np.float64) for s in data.images}
    means = np.stack([images["train"][data.labels["train"] == c].mean(axis=0) for c in range(10)])
    distances = (means**2).sum(axis=1) - 2 * images["test"] @ means.T
    accuracy = (distances.argmin(axis=1) == data.labels["test"]).mean()
    assert 0.5 < accuracy < 0.9


def test_the_stand_in_is_deterministic() -> None:
    one, again = fashion_mnist.generated(), fashion_mnist.generated()
    assert one.provenance == again.provenance
    assert fashion_mnist.generated(seed=1).provenance.digest != one.provenance.digest


def test_the_real_files_are_read_and_known_by_their_digest() -> None:
    if datasets.missing(fashion_mnist.SOURCE):
        pytest.skip(f"no Fashion-MNIST in {datasets.data_directory()}")
    data = fashion_mnist.load("real")
    assert data.images["train"].shape == (60_000, 28, 28)
    np.testing.assert_array_equal(np.bincount(data.labels["test"]), [1_000] * 10)
    np.testing.assert_array_equal(data.labels["train"][:5], [9, 0, 0, 3, 0])
    assert data.provenance.source == "real"
