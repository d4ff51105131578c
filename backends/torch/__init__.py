"""PyTorch: ``torch.nn`` modules and autograd."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from suite.contract import Array, Precision, Unavailable

FRAMEWORK = "torch"
MODE = "eager"
device = "cpu"
"""Where programs are built, set by ``configure``: a default device of torch's slows every call."""


def available() -> str | None:
    if importlib.util.find_spec(FRAMEWORK) is None:
        return "PyTorch is not installed: pip install 'tetragrad[torch]'"
    return None


def environment(device: str, threads: int) -> Mapping[str, str]:
    return {}


def configure(device: str, threads: int, precision: Precision) -> None:
    import torch

    globals()["device"] = device
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: built without CUDA
        raise Unavailable(f"PyTorch has no device {device!r} here: {error}") from None


def describe() -> dict[str, Any]:
    import torch

    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    threads = {"intra_op": torch.get_num_threads(), "inter_op": torch.get_num_interop_threads()}
    precision = {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cuda.matmul.allow_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn.allow_tf32": torch.backends.cudnn.allow_tf32,
    }
    return {"devices": ["cpu", *cuda], "threads": threads, "precision": precision}


def product(a: Array, b: Array) -> Array:
    import torch

    x, y = (torch.from_numpy(factor).to(device) for factor in (a, b))
    found: Array = (x @ y).cpu().numpy()
    return found
