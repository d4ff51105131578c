"""Chooses a task's verification seed: ``python -m tests.seeds TASK[:VARIANT] ... [--seeds N]``.

Where an input lies at a corner of the model (a ReLU's 0, two equal maxima, a margin just reached),
rounding decides which way its gradient goes, and two right programs differ by far more than they
round. A verification seed must keep clear of corners on every machine, whatever its order of sums.
So the oracle's own first gradients and steps are made again with every parameter moved by a few
roundings of float32 before each of them: the largest error beside the envelope, over some draws, is
the seed's share. Below a third is well; the smallest is best.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import tasks
from backends import numpy as backend
from suite.session.equivalence import compare
from suite.worker.trace import trace
from tasks.task import Array, Chunk, State, Task, Tree

ROUNDINGS = 4 * 2.0**-24
DRAWS = 3


class Moved:
    """A program whose parameters are moved by some roundings before each of its steps, and before
    its gradients are asked for."""

    def __init__(self, program: Any, rng: np.random.Generator):
        self._program, self._rng = program, rng

    def __getattr__(self, name: str) -> Any:
        return getattr(self._program, name)

    def gradients(self, placed: Any) -> tuple[float, Tree]:
        self._move()
        found: tuple[float, Tree] = self._program.gradients(placed)
        return found

    def train(self, placed: list[Chunk]) -> Array:
        losses = []
        for batch in placed:
            self._move()
            losses.append(self._program.train([batch]))
        return np.concatenate(losses)

    def _move(self) -> None:
        state = self._program.state()

        def moved(tree: Tree) -> Tree:
            return {
                name: leaf * (1 + ROUNDINGS * self._rng.uniform(-1, 1, leaf.shape))
                for name, leaf in tree.items()
            }

        slots = {slot: moved(tree) for slot, tree in state.slots.items()}
        self._program.restore(State(moved(state.params), slots, state.buffers, state.step))


def shares(task: Task, seeds: range, draws: int = DRAWS) -> Iterator[tuple[int, float, str]]:
    """Yields seed, its share over so many ``draws``, and the quantity that has it."""
    envelope = task.envelopes["float32"]
    build = importlib.import_module(f"backends.numpy.{task.name}").build
    for seed in seeds:
        initial = task.initial(seed).astype("float64")
        right = trace(task, build(task, initial, None), seed, (envelope.steps,))
        worst, where = 0.0, ""
        for draw in range(draws):
            moved = Moved(build(task, initial, None), np.random.default_rng([seed, draw]))
            for deviation in compare(trace(task, moved, seed, (envelope.steps,)), right, envelope):
                share = np.inf if deviation.error is None else deviation.error / deviation.tolerance
                if share > worst:
                    worst, where = share, f"{deviation.quantity} {deviation.where}"
        yield seed, worst, where


def main() -> None:
    """Prints the share of each seed, on the data that are here and on the generated."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--seeds", type=int, default=40)
    asked = parser.parse_args()
    backend.configure("cpu", 1, "float64")
    for name, variant in tasks.chosen(asked.tasks):
        for source in {tasks.resolve(name, wanted)[0] for wanted in ("generated", "auto")}:
            task = tasks.load(name, "full", source, variant).verified()
            own = task.verification_seed
            for seed, share, where in shares(task, range(own, own + 1)):
                print(f"{task.label} {source} seed {seed} (the present one): {share:.2f} {where}")
            for seed, share, where in shares(task, range(asked.seeds)):
                print(f"{task.label} {source} seed {seed}: {share:.2f} {where}", flush=True)


if __name__ == "__main__":
    main()
