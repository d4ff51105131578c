"""Rates that the machine attains: of matrix products, and of copying in memory.

Efficiency is measured against the first. For float32 on the CPU it is that of NumPy's BLAS, which
is there whatever else is installed, so that it is one number for all and takes no framework's
import. The frameworks' own are hardly faster: on a core of an AMD EPYC, at the best of the sizes,
NumPy's came to 101 to 104 GFLOP/s, PyTorch's to 102, TensorFlow's to 100 and JAX's to 96.
On other devices and in other precisions it is the highest that any of those compared attains.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from suite.system.readings import readable
from tasks.task import Array

SIDES = {"cpu": (256, 384, 512, 768, 1024, 1536), "cuda": (1024, 2048, 4096, 8192)}
"""Sides of the square matrices: which is fastest depends on the caches; a card needs large ones."""
SECONDS = 0.2
"""Seconds of measuring at each size, and of copying."""
LEAST_RUNS, MOST_SECONDS = 5, 1.0
"""Runs at each size, unless they take longer: a precision that is emulated is hundreds of times as
slow."""
COPIED = 256 << 20
"""Bytes of the array that is copied, if four times the last-level cache are not more."""


Multiplier = Callable[[Array, Array], Callable[[], object]]
"""See ``Backend.multiplier``."""


def attainable(multiplier: Multiplier, device: str, dtype: str, threads: int) -> dict[str, float]:
    """``matmul`` [operations/s] and, on the CPU, ``copy`` [bytes/s, read and written].

    With this process's threads, which its libraries were given before it began.
    """
    found = {"matmul": matmul_rate(multiplier, SIDES[device], dtype)}
    return found | ({"copy": copy_rate(threads)} if device == "cpu" else {})


def matmul_rate(multiplier: Multiplier, sides: Sequence[int], dtype: str) -> float:
    """Operations per second of a product, 2 n^3, at the size n at which it is highest."""
    rates = []
    for n in sides:
        factor = np.random.default_rng(0).random((n, n), np.float32).astype(dtype)
        rates.append(2 * n**3 / _median_seconds(multiplier(factor, factor)))
    return max(rates)


def copy_rate(threads: int) -> float:
    """Bytes read and written per second, each thread copying its part."""
    cache = readable(lambda: os.sysconf("SC_LEVEL3_CACHE_SIZE")) or 0
    source = np.ones(max(COPIED, 4 * cache), np.uint8)
    target = np.empty_like(source)
    pairs = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        # copying lets the other threads go on
        seconds = _median_seconds(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))
    return 2 * source.nbytes / seconds


def _median_seconds(work: Callable[[], object]) -> float:
    """The median over runs of ``SECONDS`` in all, after a first one: ``LEAST_RUNS`` at least, or
    what ``MOST_SECONDS`` allow."""
    work()
    laps: list[float] = []
    while sum(laps) < SECONDS or (len(laps) < LEAST_RUNS and sum(laps) < MOST_SECONDS):
        begin = time.perf_counter()
        work()
        laps.append(time.perf_counter() - begin)
    return float(np.median(laps))
