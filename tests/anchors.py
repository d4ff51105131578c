"""Makes the anchors of the oracle, ``results/anchors``: ``python -m tests.anchors [TASK ...]``.

Each holds a few numbers of a task's proof as PyTorch computes them in float64: losses, norms of
gradients, states and predictions. Made anew only when a task is meant to change.
"""

from __future__ import annotations

import importlib
import sys

import tasks
from backends import torch as backend
from suite.records import anchors
from suite.records.builder import now
from suite.records.record import write_json
from suite.system.environment import git_revision, package_versions
from suite.worker.trace import trace
from tasks.task import DataSource


def main() -> None:
    """Writes the anchors of the tasks named, or of all in every variant, on the data here."""
    backend.configure("cpu", 1, "float64")
    for name, variant in tasks.chosen(sys.argv[1:] or [tasks.ALL]):
        for source in {tasks.resolve(name, wanted)[0] for wanted in ("generated", "auto")}:
            make(name, variant, source)


def make(name: str, variant: str | None, source: DataSource) -> None:
    """Writes one anchor."""
    task = tasks.load(name, "full", source, variant).verified()
    module = importlib.import_module(f"backends.torch.{name}")
    initial = task.initial(task.verification_seed).astype("float64")
    program = module.build(task, initial, None)
    noted = trace(task, program, task.verification_seed, (anchors.STEPS,))
    made = {
        "backend": "torch",
        "command": f"python -m tests.anchors {task.label}",
        "created": now(),
        "commit": git_revision()["commit"],
        "torch": package_versions()["torch"],
    }
    document = {"made": made, "digest": task.provenance.digest, "steps": anchors.STEPS}
    path = anchors.path_of(task)
    write_json(path, {**document, "values": anchors.values_of(noted)})
    print(path)


if __name__ == "__main__":
    main()
