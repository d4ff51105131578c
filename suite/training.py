"""Training of one cell, clocked by phase. Only ``Program.train`` runs inside the phase "train"."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from suite.clock import Clock
from suite.contract import Array, Chunk, Program, State, Task, Tree

Send = Callable[..., None]


class Diverged(Exception):
    """The loss or a metric is no longer a finite number."""


class Training:
    """A program on its way through the epochs of its task; reports every chunk and epoch."""

    def __init__(self, task: Task, program: Program, seed: int, clock: Clock, send: Send):
        self._task, self._program, self._seed = task, program, seed
        self._clock, self._send = clock, send
        self._step = 0
        self._steady: dict[str, list[float]] = {"train": [], "evaluate": []}
        with clock.phase("data"):
            self._test_chunks = list(task.chunks("test"))
        with clock.phase("transfer"):
            self._tests = [program.place(chunk) for chunk in self._test_chunks]

    def run(self, initial: State) -> None:
        """Warms up, returns to ``initial`` and trains all epochs. Raises Diverged."""
        self._warm_up(initial)
        for epoch in range(self._task.config.epochs):
            loss = statistics.fmean(self._train_epoch(epoch))
            with self._clock.phase("adapt"):
                self._task = self._task.adapt(epoch, self._predict)
            metrics = {"train_loss": loss, **self._evaluate()}
            if not np.isfinite(list(metrics.values())).all():
                raise Diverged(f"after epoch {epoch + 1} the metrics are {metrics}")
            seconds = self._clock.seconds["train"]
            self._send("epoch", epoch=epoch + 1, metrics=metrics, train_seconds=seconds)
        with self._clock.phase("score"):
            self._send("texts", texts=dict(self._task.texts(self._predict)))
        # the first calls did the work of steady ones too, which is no compilation
        steady = sum(statistics.median(seconds) for seconds in self._steady.values())
        compiling = self._clock.seconds["compile"] - steady
        self._clock.seconds["compile"] = max(0.0, compiling)

    def _warm_up(self, initial: State) -> None:
        with self._clock.phase("data"):
            chunk = next(self._task.chunks("train", self._seed))
        with self._clock.phase("transfer"):
            placed = self._program.place(chunk)
        with self._clock.phase("compile"):
            self._program.train(placed)
            self._program.predict(self._tests[0])
        self._program.restore(initial)

    def _train_epoch(self, epoch: int) -> list[float]:
        losses: list[float] = []
        chunks = self._task.chunks("train", self._seed, epoch)
        while chunk := self._next(chunks):
            with self._clock.phase("transfer"):
                placed = self._program.place(chunk)
            with self._clock.phase("train") as lap:
                chunk_losses = self._program.train(placed)
            self._steady["train"].append(lap.seconds)
            self._require_finite(chunk_losses)
            losses += chunk_losses.tolist()
            self._send(
                "chunk",
                epoch=epoch + 1,
                samples=self._task.samples(chunk),
                seconds=lap.seconds,
                losses=chunk_losses.tolist(),
            )
        return losses

    def _next(self, chunks: Any) -> Chunk | None:
        with self._clock.phase("data"):
            return next(chunks, None)

    def _evaluate(self) -> Mapping[str, float]:
        results = []
        for chunk, placed in zip(self._test_chunks, self._tests, strict=True):
            with self._clock.phase("evaluate") as lap:
                outputs = self._program.predict(placed)
            self._steady["evaluate"].append(lap.seconds)
            results.append((chunk, outputs))
        with self._clock.phase("score"):
            return self._task.score(results)

    def _predict(self, chunk: Chunk) -> Tree:
        return self._program.predict(self._program.place(chunk))

    def _require_finite(self, losses: Array) -> None:
        """Counts the steps; Diverged, naming the step, if a loss is not finite."""
        finite = np.isfinite(losses)
        if not finite.all():
            at = int(np.argmin(finite))
            raise Diverged(f"the loss is {losses[at]} at step {self._step + at + 1}")
        self._step += len(losses)
