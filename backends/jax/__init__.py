"""JAX: pure functions, one jit per chunk."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from backends.program import Unavailable
from tasks.task import Array, Precision

TITLE = "JAX"
FRAMEWORK = "jax"
PACKAGES = (
    *("jax", "jaxlib", "optax"),
    *(f"jax-cuda{release}-{part}" for release in (12, 13) for part in ("plugin", "pjrt")),
)
DEVICES = ("cpu", "cuda")
ONLY_ON: Mapping[str, str] = {}
MODES = ("jit",)
PRODUCTS = {"tf32": "tensorfloat32", "bfloat16": "BF16_BF16_F32"}
"""JAX's names for how products of float32 may round."""
rounded = False
"""True if products are of bfloat16; set by ``configure``."""


def available(mode: str = MODES[0]) -> str | None:
    for module in (FRAMEWORK, "optax"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed: pip install 'tetragrad[jax]'"
    return None


def environment(device: str, threads: int) -> Mapping[str, str]:
    # NPROC is what sizes XLA's CPU thread pools; no XLA flag does
    return {
        "JAX_PLATFORMS": device,
        "NPROC": str(threads),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def configure(device: str, threads: int, precision: Precision, mode: str = MODES[0]) -> None:
    if precision == "tf32" and device == "cpu":
        raise Unavailable("TF32 is a format of NVIDIA's tensor cores: --device cuda")
    import jax

    globals()["rounded"] = precision == "bfloat16"
    jax.config.update("jax_enable_x64", precision == "float64")
    jax.config.update("jax_default_matmul_precision", PRODUCTS.get(precision, "highest"))
    try:
        jax.devices(device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: no plugin for the platform
        reason = str(error).splitlines()[0] if str(error) else "no plugin for it is installed"
        raise Unavailable(f"JAX has no device {device!r} here: {reason}") from None


def describe() -> dict[str, Any]:
    import os

    import jax

    threads = {"NPROC": int(os.environ["NPROC"]), "eigen_pool": _eigen_pool()}
    precision = {"default_matmul_precision": jax.config.jax_default_matmul_precision}  # type: ignore[attr-defined]
    devices = [str(d) for d in jax.devices()]
    return {"devices": devices, "threads": threads, "precision": precision}


def _eigen_pool(tasks: Path = Path("/proc/self/task")) -> int | str:
    """The threads that XLA has begun on the CPU, by their name (Linux)."""
    names = []
    try:
        for task in tasks.iterdir():
            with suppress(OSError):  # a thread may end while it is read
                names.append((task / "comm").read_bytes().strip())
    except OSError:
        pass
    return names.count(b"tf_XLAEigen") if names else "not readable"


def repeatable(device: str, threads: int) -> str | None:
    return None if device == "cpu" else "some kernels on a GPU add in an order that varies"


def product(a: Array, b: Array) -> Array:
    import jax
    import numpy as np

    return np.asarray(jax.jit(jax.numpy.matmul)(a, b))


def multiplier(a: Array, b: Array) -> Callable[[], object]:
    import jax

    x, y = (jax.numpy.asarray(f, jax.numpy.bfloat16 if rounded else None) for f in (a, b))
    multiply = jax.jit(jax.numpy.matmul)
    return lambda: multiply(x, y).block_until_ready()


def start_device_clock() -> Callable[[], float] | None:
    return None
