"""Measures every engine against the hand-written loops, interleaved.

``python -m tests.reference_loops [rounds] [threads]``: each contestant is a process of its own that
stays alive and trains the same batches when its turn comes; every round runs all of them once, in
a new random order, and after so many rounds all are started afresh, four times. Printed: samples/s,
and the engine's rate over each loop's, as median and 95% bootstrap interval over all rounds.
"""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import backends
import tasks
from suite.environment import worker_environment
from suite.statistics import median_interval

LOOPS = {
    "numpy": ("numpy_loop", "sklearn_mlp"),
    "torch": ("torch_loop",),
    "tensorflow": ("tensorflow_loop", "keras_fit"),
    "jax": ("jax_loop",),
}
ENGINE = "engine"
CONTESTANTS = [(backend, name) for backend, loops in LOOPS.items() for name in (ENGINE, *loops)]
SEED = 7
RESTARTS = 4


def contestant(backend: str, name: str, threads: int) -> None:
    """The child: prepares, then runs once for every line on standard input, printing seconds."""
    backends.load(backend).configure("cpu", threads, "float32")
    task = tasks.load("fashion_mlp", "full", "real")
    chunk, state = next(task.chunks("train", SEED)), task.initial(SEED)
    run: Callable[[], object]
    if name == ENGINE:
        program = importlib.import_module(f"backends.{backend}.fashion_mlp").build(task, state)
        placed = program.place(chunk)

        def run() -> object:
            return program.train(placed)
    else:
        module = importlib.import_module(f"tests.reference_loops.{name}")
        run = module.prepare(chunk["images"], chunk["labels"], state.params)
    for _ in range(5):
        run()
    print(chunk["labels"].size, flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, flush=True)


def measure(rounds: int, threads: int) -> dict[tuple[str, str], list[float]]:
    """Starts the contestants, gives them their turns, returns samples/s round by round."""
    processes = {
        (backend, name): subprocess.Popen(
            [sys.executable, "-m", "tests.reference_loops", backend, name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(backend, "cpu", threads),
            text=True,
        )
        for backend, name in CONTESTANTS
    }
    samples = {key: int(_line(p)) for key, p in processes.items()}
    rates: dict[tuple[str, str], list[float]] = {key: [] for key in CONTESTANTS}
    for _ in range(rounds):
        for key in random.sample(CONTESTANTS, len(CONTESTANTS)):
            process = processes[key]
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
            rates[key].append(samples[key] / float(_line(process)))
    for process in processes.values():
        process.communicate()
    return rates


def main(rounds: int, threads: int) -> None:
    """Measures with fresh processes several times, for luck in memory layout, and prints."""
    runs = [measure(rounds, threads) for _ in range(RESTARTS)]
    rates = {key: [rate for run in runs for rate in run[key]] for key in CONTESTANTS}
    for backend, name in CONTESTANTS:
        print(f"{backend:11}{name:16}{np.median(rates[backend, name]):10,.0f} samples/s", end="")
        if name != ENGINE:
            ratio = np.divide(rates[backend, ENGINE], rates[backend, name])
            middle, low, high = median_interval(ratio.tolist())
            print(f"   engine / loop {middle:.3f} [{low:.3f}, {high:.3f}]", end="")
        print()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended early")
    return line


if __name__ == "__main__":
    if len(sys.argv) == 4:
        contestant(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main(*(int(a) for a in (sys.argv[1:] + ["30", "1"][len(sys.argv) - 1 :])))
