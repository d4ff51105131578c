"""Training of one cell, clocked by phase. Only ``Program.train`` runs inside the phase "train"."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from backends.program import Program
from suite.records.checkpoints import Best, Checkpoints, Snapshot
from suite.records.events import (
    ChunkTimed,
    ChunkTrained,
    EpochEnded,
    Event,
    Resumed,
    Shown,
    Stopped,
)
from suite.worker.clock import Clock
from tasks.task import Array, Chunk, State, Task, Tree

Send = Callable[[Event], None]
"""Tells the parent."""
Turn = Callable[[], bool]
"""Waits for the next turn; False if there is none."""
OWN_PHASES = frozenset(("import", "data", "build", "compile"))
"""Phases that every process goes through itself."""
Call = tuple[str, ...]
"""The kind of a call and the shapes of its arguments: a compiler has one program for each."""


class Diverged(Exception):
    """The loss or a metric is no longer a finite number."""


class Training:
    """A program on its way through the epochs of its task; reports every chunk and epoch.

    It takes a turn for every chunk: what is compared with it works meanwhile, or it does.

    With ``patience``, or else the task's own, training ends after so many epochs without a lower
    validation metric, and goes back to the epoch of the lowest, as it does after the last epoch.

    With ``checkpoints``, it goes on from the last one there is, and makes further ones.
    """

    def __init__(
        self,
        task: Task,
        program: Program,
        seed: int,
        clock: Clock,
        send: Send,
        turn: Turn,
        patience: int | None = None,
        checkpoints: Checkpoints | None = None,
    ):
        self._task, self._program, self._seed = task, program, seed
        self._clock, self._send, self._turn = clock, send, turn
        self._patience, self._checkpoints = patience or task.patience, checkpoints
        self._chunks: list[dict[str, Any]] = []
        self._epochs: list[dict[str, Any]] = []
        """Reports of chunks and of epochs, as they were sent."""
        self._best: Best | None = None
        self._step = 0
        self._steady: dict[Call, list[float]] = {}
        """Seconds of every call but the first, by call, of those that were warmed up."""
        self.compilations: dict[str, int] = {}
        """How often was compiled before the first epoch, and how often again in the epochs."""
        self._tests: list[tuple[Chunk, Any]] = []
        """The test chunks, each with what ``place`` made of it."""

    def run(self, initial: State) -> None:
        """Warms up, returns to ``initial`` and trains all epochs. Raises Diverged."""
        self._warm_up()
        self._warm_up_evaluation()
        self._begin(initial)
        snapshot = self._checkpoints.load(self._task) if self._checkpoints else None
        if snapshot:
            self._go_on_from(snapshot)
        epoch = len(self._epochs)
        while epoch < self._task.config.epochs:
            epoch += 1
            metrics = self._train_and_evaluate(epoch, snapshot)
            snapshot = None
            if self._patience is None:
                continue
            best = self._best = self._better(epoch, metrics)
            if epoch - best.epoch >= self._patience:
                break
        if self._best:
            self._return_to(self._best, epoch)
        again = self._program.compilations() - self.compilations["first"]
        self.compilations["again"] = again
        with self._clock.phase("score"):
            self._show()
        # the first calls did the work of steady ones too, which is no compilation
        steady = sum(statistics.median(seconds) for seconds in self._steady.values() if seconds)
        compiling = self._clock.seconds["compile"] - steady
        self._clock.seconds["compile"] = max(0.0, compiling)

    def _go_on_from(self, snapshot: Snapshot) -> None:
        """Takes over all that another process had come to."""
        with self._clock.phase("transfer"):
            self._program.restore(snapshot.state)
        self._task, self._best, self._step = snapshot.task, snapshot.best, snapshot.steps
        self._chunks, self._epochs = snapshot.chunks, snapshot.epochs
        for phase in set(snapshot.seconds) - OWN_PHASES:
            self._clock.seconds[phase] += snapshot.seconds[phase]
            self._clock.processor_seconds[phase] += snapshot.processor_seconds[phase]
        self._send(Resumed(self._step, self._chunks, self._epochs))

    def _train_and_evaluate(self, epoch: int, snapshot: Snapshot | None) -> Mapping[str, float]:
        """The metrics of an epoch, counted from 1, once they are reported."""
        loss = statistics.fmean(self._train_epoch(epoch, snapshot))
        with self._clock.phase("adapt"):
            self._task = self._task.adapt(epoch - 1, self._predict)
        metrics = {"train_loss": loss, **self._evaluate()}
        if not np.isfinite(list(metrics.values())).all():
            raise Diverged(f"after epoch {epoch} the metrics are {metrics}")
        seconds = self._clock.seconds["train"]
        ended = EpochEnded(epoch, metrics, seconds)
        self._epochs.append(asdict(ended))
        self._send(ended)
        return metrics

    def _better(self, epoch: int, metrics: Mapping[str, float]) -> Best:
        """The best epoch so far, if need be with what it takes to go back to it."""
        best, loss = self._best, metrics[self._task.validation]
        if best and loss >= best.loss:
            return best
        with self._clock.phase("transfer"):
            return Best(epoch, loss, self._program.state(), self._task)

    def _return_to(self, best: Best, last: int) -> None:
        with self._clock.phase("transfer"):
            self._program.restore(best.state)
        self._task = best.task
        self._send(Stopped({"epoch": last, "best": best.epoch}))

    def _show(self) -> None:
        shown = {
            **self._task.heatmaps(self._predict),
            **self._task.pictures(self._program.state),
        }
        texts = dict(self._task.texts(self._predict))
        heatmaps = {
            name: {
                "rows": drawn.rows,
                "columns": drawn.columns,
                "values": drawn.values.astype(np.float64).round(4).tolist(),
                **({"meaning": drawn.meaning} if drawn.meaning else {}),
                **({"axes": drawn.axes} if drawn.axes else {}),
            }
            for name, drawn in shown.items()
        }
        self._send(Shown(texts, heatmaps))

    def _warm_up(self) -> None:
        """Trains once with every shape there is, so that nothing compiles later."""
        shapes = self._task.shapes(self._seed)
        while chunk := self._next(shapes):
            with self._clock.phase("transfer"):
                placed = self._program.place(chunk)
            with self._clock.phase("compile"):
                self._program.train(placed)
            self._steady[_call("train", chunk)] = []

    def _warm_up_evaluation(self) -> None:
        """The same for evaluation, whose data stays in place."""
        chunks = self._task.chunks("test")
        while chunk := self._next(chunks):
            with self._clock.phase("transfer"):
                placed = self._program.place(chunk)
            self._tests.append((chunk, placed))
            if (call := _call("evaluate", chunk)) not in self._steady:
                with self._clock.phase("compile"):
                    self._program.predict(placed)
                self._steady[call] = []

    def _begin(self, initial: State) -> None:
        self._program.restore(initial)
        self.compilations["first"] = self._program.compilations()

    def _train_epoch(self, epoch: int, snapshot: Snapshot | None) -> list[float]:
        """The losses of all its steps, those before ``snapshot`` included."""
        losses = snapshot.losses if snapshot else []
        chunks = self._task.chunks("train", self._seed, epoch - 1)
        chunks = itertools.islice(chunks, snapshot.chunks_of_epoch if snapshot else 0, None)
        chunk = self._next(chunks)
        while chunk:
            self._turn()
            with self._clock.phase("transfer"):
                placed = self._program.place(chunk)
            with self._clock.phase("train") as lap:
                chunk_losses = self._program.train(placed)
            self._steady.get(_call("train", chunk), []).append(lap.seconds)
            self._require_finite(chunk_losses)
            losses += chunk_losses.tolist()
            trained = ChunkTrained(
                epoch,
                self._task.samples(chunk),
                self._task.operations(chunk),
                lap.seconds,
                chunk_losses.tolist(),
            )
            self._chunks.append(asdict(trained))
            self._send(trained)
            self._keep_checkpoint()
            chunk = self._next(chunks)
        return losses

    def _keep_checkpoint(self) -> None:
        """If it is time for one. No phase holds it: it is no part of the work."""
        if self._checkpoints and self._checkpoints.due(self._clock.seconds["train"]):
            clock = self._clock
            position = (self._chunks, self._epochs, clock.seconds, clock.processor_seconds)
            state = self._program.state()
            self._checkpoints.save(Snapshot(*position, state, self._task, self._best))

    def time(self, initial: State) -> None:
        """Warms up, then trains to be timed alone."""
        self._warm_up()
        self._begin(initial)
        self._train_on(itertools.count())

    def go_on(self) -> None:
        """Trains further epochs, to be timed, as long as there is another turn."""
        self._train_on(itertools.count(self._task.config.epochs))

    def _train_on(self, epochs: Iterable[int]) -> None:
        for epoch in epochs:
            for chunk in self._task.chunks("train", self._seed, epoch):
                if not self._turn():
                    return
                placed = self._program.place(chunk)
                with self._clock.phase("train") as lap:
                    losses = self._program.train(placed)
                samples, operations = self._task.samples(chunk), self._task.operations(chunk)
                self._send(ChunkTimed(samples, operations, lap.seconds, losses.tolist()))

    def _next(self, chunks: Any) -> Chunk | None:
        with self._clock.phase("data"):
            return next(chunks, None)

    def _evaluate(self) -> Mapping[str, float]:
        results = []
        for chunk, placed in self._tests:
            with self._clock.phase("evaluate") as lap:
                outputs = self._program.predict(placed)
            self._steady[_call("evaluate", chunk)].append(lap.seconds)
            results.append((chunk, outputs))
        with self._clock.phase("evaluate"):
            results += self._task.search(self._predict)
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


def _call(what: str, chunk: Chunk) -> Call:
    return what, *(f"{name}{array.shape}" for name, array in chunk.items())
