"""PyTorch: ``torch.nn`` modules and autograd, run eagerly, compiled, or as CUDA graphs."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from backends.program import Unavailable
from tasks.task import Array, Precision

TITLE = "PyTorch"
FRAMEWORK = "torch"
PACKAGES = ("torch", "triton")
DEVICES = ("cpu", "cuda")
ONLY_ON: Mapping[str, str] = {"graph": "cuda"}
MODES = ("eager", "compile", "graph")
device = "cpu"
"""Where programs are built, set by ``configure``: a default device of torch's slows every call."""
mode = MODES[0]
"""How they are run, set by ``configure``."""
SWITCHES: Mapping[str, str] = {"denormals": "flushed to zero", "optimiser": "plain"}
fused = True
"""False if Adam is to be formulas, one after the other, instead of one kernel; see ``flip``."""
autocast = False
"""True if products are of bfloat16; set by ``configure``."""


def available(mode: str = MODES[0]) -> str | None:
    if importlib.util.find_spec(FRAMEWORK) is None:
        return "PyTorch is not installed: pip install 'tetragrad[torch]'"
    if mode == "compile" and _compiler() is None:
        wanted = os.environ.get("CXX") or "g++ or clang++"
        return (
            f"torch.compile needs a C++ compiler and there is no {wanted}: "
            "install one (apt install g++) or name one in CXX"
        )
    return None


def _compiler() -> str | None:
    """The C++ compiler that kernels are built with: $CXX if it is set, or else what is there."""
    named = os.environ.get("CXX")
    candidates = [named] if named else ["g++", "clang++"]
    return next((name for name in candidates if shutil.which(name)), None)


def _version(compiler: str | None) -> str:
    """The first line of what a compiler says of itself: the bits of kernels depend on it."""
    import subprocess

    try:
        done = subprocess.run([str(compiler), "--version"], capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "not readable"
    return done.stdout.decode(errors="replace").partition("\n")[0].strip() or "not readable"


def environment(device: str, threads: int) -> Mapping[str, str]:
    # of itself torch.compile looks for one compiler alone, and compiles with all cores
    compiler = _compiler()
    found = {"CXX": compiler} if compiler else {}
    return {**found, "TORCHINDUCTOR_COMPILE_THREADS": str(threads)}


def configure(device: str, threads: int, precision: Precision, mode: str = MODES[0]) -> None:
    if mode == "graph" and device == "cpu":
        raise Unavailable("torch:graph replays CUDA graphs, which the CPU has not: --device cuda")
    if precision == "tf32" and device == "cpu":
        raise Unavailable("TF32 is a format of NVIDIA's tensor cores: --device cuda")
    import torch

    globals().update(device=device, mode=mode, autocast=precision == "bfloat16", fused=True)
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != threads:  # which can be set once, before any work
        torch.set_num_interop_threads(threads)
    if mode == "compile":
        import torch._dynamo

        torch._dynamo.config.trace_autograd_ops = True  # gradients are part of the step
        # an index that depends on the data, such as those of the real words, ends no graph
        torch._dynamo.config.capture_scalar_outputs = True
        torch._dynamo.config.capture_dynamic_output_shape_ops = True
        # every shape is compiled for itself; one too many must not be run eagerly in silence
        torch._dynamo.config.recompile_limit = 64
        torch._dynamo.config.fail_on_recompile_limit_hit = True
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: built without CUDA
        raise Unavailable(f"PyTorch has no device {device!r} here: {error}") from None


def flip(switch: str) -> None:
    import torch

    if switch == "optimiser":
        globals()["fused"] = False
    elif not torch.set_flush_denormal(True):  # of this thread, and of those that it will begin
        raise Unavailable("this processor cannot flush denormals to zero")


def describe() -> dict[str, Any]:
    import torch

    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    threads = {"intra_op": torch.get_num_threads(), "inter_op": torch.get_num_interop_threads()}
    precision = {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cuda.matmul.allow_tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn.allow_tf32": torch.backends.cudnn.allow_tf32,
        "autocast": "bfloat16" if autocast else "off",
    }
    compiler = {"compiler": _version(_compiler())} if mode == "compile" else {}
    return {"devices": ["cpu", *cuda], "threads": threads, "precision": precision, **compiler}


def repeatable(device: str, threads: int) -> str | None:
    return None if device == "cpu" else "some kernels on a GPU add in an order that varies"


def product(a: Array, b: Array) -> Array:
    import torch

    x, y = (torch.from_numpy(factor).to(device) for factor in (a, b))
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        found: Array = (x @ y).to(x.dtype).cpu().numpy()
    return found


def multiplier(a: Array, b: Array) -> Callable[[], object]:
    import torch

    rounded = torch.bfloat16 if autocast else None
    x, y = (torch.from_numpy(factor).to(device, rounded) for factor in (a, b))

    def multiply() -> object:
        found = x @ y
        if device == "cuda":
            torch.cuda.synchronize()
        return found

    return multiply


def start_device_clock() -> Callable[[], float] | None:
    if device == "cpu":
        return None
    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()

    def stop() -> float:
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000

    return stop
