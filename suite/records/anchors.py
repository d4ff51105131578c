"""Anchors: a few numbers of a task's proof that another backend than the oracle has made.

They hold NumPy where it stands alone: a wrong margin or a wrong beta2 in it would agree with
itself. One JSON file for each task, variant and kind of data, in ``results/anchors``, which belongs
to the source; ``python -m tests.anchors`` makes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from suite.records.verdict import AGAIN, RESTORED, UNFROZEN, Deviation
from suite.system.git import ROOT
from tasks.task import Task, Tree

FOLDER = ROOT / "results" / "anchors"
STEPS = 10
"""Steps of the trace that an anchor is made of."""
TOLERANCE = 1e-10
"""Relative. NumPy and PyTorch showed 2.4e-14 at most, over nine tasks and variants; 1e-8 added to a
norm in NumPy alone is 2.7e-8."""


def path_of(task: Task) -> Path:
    """Where the anchor of a task on its kind of data lies."""
    return FOLDER / f"{task.label.replace(':', '-')}-{task.provenance.source}.json"


def values_of(trace: Tree) -> dict[str, Any]:
    """The numbers of a trace that an anchor keeps: losses, and norms of all else, by name."""
    norms = {
        name: float(np.linalg.norm(array.astype(np.float64)))
        for name, array in trace.items()
        if name not in ("loss", "initial loss") and not name.startswith((AGAIN, UNFROZEN, RESTORED))
    }
    return {"loss": trace["loss"].tolist(), **norms}


def compare(task: Task, trace: Tree) -> tuple[Deviation, ...]:
    """Holds the oracle's trace against the anchor; nothing where there is none for these data, or
    options make it the trace of another model."""
    path = path_of(task)
    if task.options or not path.is_file():
        return ()
    anchor = json.loads(path.read_text(encoding="utf-8"))
    if anchor["digest"] != task.provenance.digest:
        return ()
    own, errors = values_of(trace), {}
    for name, value in anchor["values"].items():
        there = np.asarray(value)
        here = np.asarray(own.get(name, np.nan))
        if name == "loss":
            here = here[: len(there)]
        apart = np.abs(here - there) if here.shape == there.shape else np.inf
        scale = max(float(np.abs(there).max()), 1e-300)
        errors[name] = float(np.max(apart)) / scale
    worst = max(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    passed = bool(errors[worst] <= TOLERANCE)
    where = f"{worst}, as {anchor['made']['backend']} computed it"
    losses = np.asarray(anchor["values"]["loss"])
    apart = np.abs(np.asarray(own["loss"])[: len(losses)] - losses) / np.abs(losses).max()
    if (apart > TOLERANCE).any():
        where += f"; the loss from step {int(np.argmax(apart > TOLERANCE)) + 1} on"
    return (Deviation("anchor", errors[worst], TOLERANCE, where, passed),)
