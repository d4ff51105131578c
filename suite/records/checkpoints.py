"""Checkpoints: where the training of a cell stands, kept while it runs, so that it can go on.

One file for each cell, ``results/checkpoints/<session>/<cell>.npz``: arrays without pickle, and a
JSON document as bytes. It is replaced whole; it only saves time, so that one which is damaged, or
of another specification, is left alone and training begins anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from suite.system.files import replaced
from tasks.task import Array, State, Task, Tree

DOCUMENT = "document"


@dataclass(frozen=True)
class Best:
    """The epoch (from 1) of the lowest validation metric, and the model at its end.

    A task that alternates, such as one with cluster centres, belongs to its state.
    """

    epoch: int
    loss: float
    state: State
    task: Task


@dataclass(frozen=True)
class Snapshot:
    """Where training stands between two chunks, and what it takes to go on from there."""

    chunks: list[dict[str, Any]]
    """Those trained, as they were reported."""
    epochs: list[dict[str, Any]]
    """Those ended, as they were reported."""
    seconds: Mapping[str, float]
    """By phase."""
    processor_seconds: Mapping[str, float]
    """By phase, of all threads."""
    state: State
    task: Task
    """With what it has found so far, if it alternates."""
    best: Best | None = None

    @property
    def losses(self) -> list[float]:
        """Losses of the epoch that training is in, step by step."""
        return [loss for chunk in self._begun for loss in chunk["losses"]]

    @property
    def chunks_of_epoch(self) -> int:
        """How many chunks of the epoch that training stands in are trained."""
        return len(self._begun)

    @property
    def steps(self) -> int:
        """How many steps are trained in all."""
        return sum(len(chunk["losses"]) for chunk in self.chunks)

    @property
    def _begun(self) -> list[dict[str, Any]]:
        return [chunk for chunk in self.chunks if chunk["epoch"] == len(self.epochs) + 1]


@dataclass
class Checkpoints:
    """The file of one cell, written every ``every`` [s] of training.

    ``facts`` are what must be the same for training to go on.
    """

    path: Path
    every: float
    facts: Any
    _last: float = field(default=0.0, init=False)

    def due(self, train_seconds: float) -> bool:
        """Tells if it is time for the next one."""
        return train_seconds - self._last >= self.every

    def save(self, snapshot: Snapshot) -> None:
        """Replaces the file, or says on standard error why it cannot."""
        self._last = snapshot.seconds["train"]
        document: dict[str, Any] = {
            "key": self._key,
            "chunks": snapshot.chunks,
            "epochs": snapshot.epochs,
            "seconds": dict(snapshot.seconds),
            "processor_seconds": dict(snapshot.processor_seconds),
        }
        arrays = {**_packed("now", snapshot.state, snapshot.task)}
        if snapshot.best:
            document["best"] = {"epoch": snapshot.best.epoch, "loss": snapshot.best.loss}
            arrays |= _packed("best", snapshot.best.state, snapshot.best.task)
        arrays[DOCUMENT] = np.frombuffer(json.dumps(document).encode(), np.uint8)
        try:
            _write(self.path, arrays)
        except OSError as error:
            print(f"no checkpoint: {error}", file=sys.stderr)

    def load(self, task: Task) -> Snapshot | None:
        """Where training stood, or None if there is nothing to go on from."""
        try:
            # opened here, since np.load does not close what it cannot read
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = dict(file)
            document = json.loads(arrays.pop(DOCUMENT).tobytes())
            if document["key"] != self._key:
                return None
            best = None
            if found := document.get("best"):
                best = Best(found["epoch"], found["loss"], *_unpacked("best", arrays, task))
            snapshot = Snapshot(
                *(document["chunks"], document["epochs"]),
                *(document["seconds"], document["processor_seconds"]),
                *_unpacked("now", arrays, task),
                best,
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            print(f"{self.path} cannot be read ({error}): training begins anew", file=sys.stderr)
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            print(f"{self.path} is damaged ({error}): training begins anew", file=sys.stderr)
            return None
        self._last = snapshot.seconds["train"]
        return snapshot

    @property
    def _key(self) -> str:
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()


def path_of(results: Path, session: str, label: str) -> Path:
    """Where the checkpoint of a cell lies."""
    return results / "checkpoints" / session / f"{label}.npz"


def discard(path: Path) -> None:
    """Deletes a checkpoint, and its folder after the last."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _packed(prefix: str, state: State, task: Task) -> dict[str, Array]:
    trees = {
        "params": state.params,
        "buffers": state.buffers,
        "adapted": task.adapted(),
        **{f"slots.{slot}": tree for slot, tree in state.slots.items()},
    }
    arrays = {f"{prefix}/{kind}/{n}": a for kind, tree in trees.items() for n, a in tree.items()}
    return {**arrays, f"{prefix}/step": np.array(state.step)}


def _unpacked(prefix: str, arrays: Tree, task: Task) -> tuple[State, Task]:
    def tree(kind: str) -> Tree:
        return dict(_under(f"{prefix}/{kind}/", arrays))

    slots = {slot: tree(f"slots.{slot}") for slot in task.optimizer.slots}
    state = State(tree("params"), slots, tree("buffers"), int(arrays[f"{prefix}/step"]))
    return state, task.with_adapted(tree("adapted"))


def _under(prefix: str, arrays: Tree) -> Iterator[tuple[str, Array]]:
    for name, array in arrays.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), array


def _write(path: Path, arrays: Tree) -> None:
    with replaced(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
