"""The products that a machine's rate is measured with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import backends
from tasks.task import Precision
from tests.backends.conftest import Call


def both(backend: str) -> list[Any]:
    """The product of two matrices at the highest rate, and as programs compute it."""
    rng = np.random.default_rng(0)
    a, b = rng.random((5, 70), np.float32), rng.random((70, 3), np.float32)
    loaded = backends.load(backend)
    fast: Any = loaded.multiplier(a, b)()
    return [
        np.asarray(fast.float() if backend == "torch" else fast).astype(np.float32),
        loaded.product(a, b),
        a @ b,
    ]


@pytest.mark.parametrize("backend", backends.NAMES)
def test_the_fast_product_is_the_product(call: Call, backend: str) -> None:
    fast, usual, exact = call(backend, "float32", both)
    np.testing.assert_allclose(fast, exact, rtol=1e-6)
    np.testing.assert_allclose(usual, exact, rtol=1e-6)


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_its_factors_are_rounded(call: Call, backend: str) -> None:
    precision: Precision = "bfloat16"
    fast, _, exact = call(backend, precision, both)
    np.testing.assert_allclose(fast, exact, rtol=2e-2)
    assert not np.allclose(fast, exact, rtol=1e-4)
