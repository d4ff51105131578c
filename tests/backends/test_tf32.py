"""TF32 is set for a GPU where it is asked for and nowhere else, be there a GPU or not."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import pytest

import backends
from backends.program import Unavailable
from tasks.task import Precision
from tests.backends import fake_cupy
from tests.backends.conftest import Call


def flags_of(backend: str) -> list[dict[str, Any]]:
    """Reports of its precision once it was set up for a GPU: for float32, then for tf32."""
    module, found = backends.load(backend), []
    precisions: tuple[Precision, ...] = ("float32", "tf32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", fake_cupy.cupy())
        for precision in precisions:
            with suppress(Unavailable):  # for want of the device: what was set stays so
                module.configure("cuda", 1, precision)
            found.append(_said(backend))
    os.environ.pop("CUPY_TF32", None)
    return found


def _said(backend: str) -> dict[str, Any]:
    if backend != "jax":
        found: dict[str, Any] = backends.load(backend).describe()["precision"]
        return found
    import jax

    own: Any = jax.config
    return {"default_matmul_precision": own.jax_default_matmul_precision}


@pytest.mark.parametrize(
    ("backend", "flags"),
    [
        ("numpy", {"CUPY_TF32": ("0", "1")}),
        ("torch", {f"{part}.allow_tf32": (False, True) for part in ("cuda.matmul", "cudnn")}),
        ("tensorflow", {"tensor_float_32_execution": (False, True)}),
        ("jax", {"default_matmul_precision": ("highest", "tensorfloat32")}),
    ],
)
def test_tf32_is_off_unless_it_is_asked_for(
    call: Call, backend: str, flags: dict[str, tuple[Any, Any]]
) -> None:
    off, on = call(backend, "float32", flags_of)
    assert {flag: (off[flag], on[flag]) for flag in flags} == flags
