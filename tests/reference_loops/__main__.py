"""Measures the engines against the hand-written loops, and what a user would write, interleaved.

``python -m tests.reference_loops TASK [rounds] [threads]``: each contestant is a process of its own
that stays alive and trains the same batches when its turn comes; every round runs all of them once,
in a new random order, and after so many rounds all are started afresh, four times. Printed:
samples/s, the engine's rate over each loop's and NumPy's engine over the other engines', as median
and 95% bootstrap interval over all rounds.
"""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import backends
import tasks
from suite.records.statistics import median_interval
from suite.system.environment import worker_environment

ENGINE = "engine"
SEED = 7
RESTARTS = 4
KERAS = "keras_fit"
ON_KERAS = ("torch", "tensorflow", "jax")
Contestant = tuple[str, str]
"""A backend, and its engine or the name of a loop's module."""


def folder(label: str) -> str:
    """The folder of the loops: a variant's own, or else the task's."""
    own = label.replace(":", "_")
    return own if (Path(__file__).parent / own).is_dir() else label.partition(":")[0]


def contestants(label: str) -> list[Contestant]:
    """Every backend's engine and loops."""
    loops = sorted(f.stem for f in (Path(__file__).parent / folder(label)).glob("*_*.py"))

    def is_of(backend: str, loop: str) -> bool:
        return loop.startswith(backend) or (loop == KERAS and backend in ON_KERAS)

    return [
        (backend, name)
        for backend in backends.NAMES
        for name in (ENGINE, *(loop for loop in loops if is_of(backend, loop)))
    ]


def contestant(label: str, backend: str, name: str, threads: int) -> None:
    """The child: prepares, then runs once for every line on standard input, printing seconds."""
    backends.load(backend).configure("cpu", threads, "float32")
    ((task_name, variant),) = tasks.choices(label)
    task = tasks.load(task_name, "full", "real", variant)
    chunk, state = next(task.chunks("train", SEED)), task.initial(SEED)
    run: Callable[[], object]
    if name == ENGINE:
        module = importlib.import_module(f"backends.{backend}.{task_name}")
        program = module.build(task, state, SEED)
        placed = program.place(chunk)

        def run() -> object:
            return program.train(placed)
    else:
        os.environ["KERAS_BACKEND"] = backend  # read when Keras is imported
        module = importlib.import_module(f"tests.reference_loops.{folder(label)}.{name}")
        run = module.prepare(chunk, state.params)
    for _ in range(3):
        run()
    print(task.samples(chunk), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, flush=True)


def measure(label: str, rounds: int, threads: int) -> dict[Contestant, list[float]]:
    """Starts the contestants, gives them their turns, returns samples/s round by round."""
    keys = contestants(label)
    processes = {
        (backend, name): subprocess.Popen(
            [sys.executable, "-m", "tests.reference_loops", label, backend, name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=worker_environment(backend, "cpu", threads),
            text=True,
        )
        for backend, name in keys
    }
    samples = {key: int(_line(p)) for key, p in processes.items()}
    rates: dict[Contestant, list[float]] = {key: [] for key in keys}
    for _ in range(rounds):
        for key in random.sample(keys, len(keys)):
            process = processes[key]
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
            rates[key].append(samples[key] / float(_line(process)))
    for process in processes.values():
        process.communicate()
    return rates


def main(label: str, rounds: int = 30, threads: int = 1) -> None:
    """Measures with fresh processes several times, for luck in memory layout, and prints."""
    runs = [measure(label, rounds, threads) for _ in range(RESTARTS)]
    rates = {key: [rate for run in runs for rate in run[key]] for key in runs[0]}
    for (backend, name), own in rates.items():
        base, what = (ENGINE, "engine / this") if name != ENGINE else ("", "NumPy's engine / this")
        over = rates[backend, base] if base else rates["numpy", ENGINE]
        middle, low, high = median_interval(np.divide(over, own).tolist())
        print(f"{backend:11}{name:22}{np.median(own):10,.0f} samples/s   ", end="")
        print(f"{what} {middle:.3f} [{low:.3f}, {high:.3f}]")


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended early")
    return line


if __name__ == "__main__":
    if len(sys.argv) == 5:
        _, task_label, own_backend, own_name, own_threads = sys.argv
        contestant(task_label, own_backend, own_name, int(own_threads))
    elif len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        main(sys.argv[1], *map(int, sys.argv[2:]))
    else:
        raise SystemExit(__doc__)
