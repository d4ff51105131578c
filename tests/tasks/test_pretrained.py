"""Pretrained states: made once by the oracle, kept, and the same bits for everyone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backends.numpy import fashion_mlp
from tasks import pretrained as module
from tasks.pretrained import SEED, Pretrained, digest, pretrained, rounded
from tasks.task import Provenance, RequestError
from tests.tasks import tiny_base


@given(st.floats(-1e30, 1e30).filter(lambda x: x == 0 or abs(x) > 1e-30))
def test_numbers_are_rounded_to_the_nearest_with_eleven_digits(number: float) -> None:
    (found,) = rounded(np.array([number]))
    assert found.dtype == np.float32
    assert abs(float(found) - number) <= 2.0**-11 * abs(number)
    mantissa, _ = np.frexp(float(found))
    assert float(mantissa * 2**11).is_integer()
    assert rounded(found) == found


def test_the_digest_is_of_names_shapes_and_numbers() -> None:
    one = {"a": np.zeros((2, 3), np.float32), "b": np.ones(2, np.float32)}
    assert digest(one) == digest(dict(reversed(one.items())))
    others = [
        {"a": one["a"], "c": one["b"]},
        {**one, "a": one["a"].T},
        {**one, "b": np.array([1, 2], np.float32)},
    ]
    assert len({digest(tree) for tree in (one, *others)}) == 4


def test_it_is_trained_by_the_oracle_in_float64_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))
    found = pretrained(tiny_base.base, "generated")
    task = tiny_base.base("generated")
    program = fashion_mlp.build(task, task.initial(SEED).astype("float64"), SEED)
    for chunk in task.chunks("train", SEED, 0):
        program.train(program.place(chunk))
    for name, leaf in program.state().params.items():
        np.testing.assert_array_equal(found.params[name], rounded(leaf))
    assert found.digest == digest(found.params)
    monkeypatch.setattr(module, "_made", None)  # which would fail
    again = pretrained(tiny_base.base, "generated")
    assert again.digest == found.digest


def test_a_state_that_cannot_be_made_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "MAKER", "tests.tasks.no_such_module")
    with pytest.raises(RequestError, match=r"tests\.tasks\.tiny_base could not be made.*no_such"):
        pretrained(tiny_base.base, "generated")
    assert not any(tmp_path.rglob("*.npy"))


def test_the_data_s_digest_is_of_the_state_too() -> None:
    data = Provenance("fashion_mnist", "generated", "data")
    one, other = (Pretrained({}, name).provenance(data) for name in ("one", "other"))
    assert len({data.digest, one.digest, other.digest}) == 3
    assert (one.dataset, one.source, one.pretrained) == ("fashion_mnist", "generated", "one")
