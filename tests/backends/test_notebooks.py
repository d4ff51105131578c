"""The notebooks of the documentation print what they have kept, each backend in its process."""

from __future__ import annotations

import pytest

import backends
from docs.handbook.notebooks import FOLDER, cells, printed
from tests.backends.conftest import Call
from tests.notebooks import differing, run


@pytest.mark.parametrize("backend", backends.NAMES)
def test_the_perceptron_learns_the_same_in_every_backend(call: Call, backend: str) -> None:
    assert call(backend, "float32", differing, FOLDER / "perceptron.ipynb") == []


def test_every_backend_has_a_cell_that_says_so() -> None:
    kept = [printed(c) for c in cells(FOLDER / "perceptron.ipynb") if c["cell_type"] == "code"]
    for backend in backends.NAMES:
        assert f"{backend}: 11 mistakes, the same neuron as by hand: True\n" in kept


def test_the_gradient_and_its_check() -> None:
    pairs = [(printed(c), text) for c, text in run(FOLDER / "gradient.ipynb", ("numpy",))]
    assert [text for _, text in pairs] == [kept for kept, _ in pairs]
    assert "bias: WRONG" in "".join(text for _, text in pairs)
