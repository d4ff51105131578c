"""The specification of a task as a document: all its constants, its data, its targets."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.optimizers import ADDED
from tasks.task import Task


def about(task: Task) -> dict[str, Any]:
    """The fields of a record that the task alone decides."""

    def bound(value: float) -> float | None:
        return value if np.isfinite(value) else None

    return {
        "specification": {
            **_constants(task.config),
            "optimizer": _named(task.optimizer),
            "parameters": sum(math.prod(leaf.shape) for leaf in task.params.values()),
            **({"frozen": list(task.frozen)} if task.frozen else {}),
            **({"signatures": dict(task.signatures)} if task.signatures else {}),
        },
        "provenance": {
            name: value
            for name, value in dataclasses.asdict(task.provenance).items()
            if value is not None  # as records of before have it
        },
        "unit": task.unit,
        "targets": [
            {"metric": t.metric, "low": bound(t.low), "high": bound(t.high)} for t in task.targets
        ],
        "margin": task.margin,
        "validation": task.validation,
        "lecture": dataclasses.asdict(task.lecture) if task.lecture and _printed(task) else None,
    }


def _printed(task: Task) -> bool:
    """Tells if a task is what a lecture prints figures of: whole, and with real data."""
    return (task.profile, task.provenance.source) == ("full", "real")


def _named(constants: Any) -> Any:
    """A dataclass as a document that says its name: which optimiser, which schedule."""
    if not dataclasses.is_dataclass(constants):
        return constants
    return {"name": type(constants).__name__, **_constants(constants)}


def _constants(constants: Any) -> dict[str, Any]:
    """The fields of a dataclass by name; of those ``ADDED``, the ones that were chosen."""
    values = {f: getattr(constants, f.name) for f in dataclasses.fields(constants)}
    return {
        f.name: _named(value)
        for f, value in values.items()
        if not (ADDED.keys() <= f.metadata.keys() and value == f.default)
    }


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"optimizer": {"rho": .9}}`` as ``{"optimizer.rho": .9}``."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Constants that are not the same in two specifications, each in words with both values.

    How a library computed a metric, by its signature, is no constant.
    """
    missing = "not there"
    before, after = (
        {name: value for name, value in flat(tree).items() if not name.startswith("signatures.")}
        for tree in (then, json.loads(json.dumps(now)))
    )
    return [
        f"{name} was {before.get(name, missing)} and is {after.get(name, missing)}"
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or before[name] != after[name]
    ]
