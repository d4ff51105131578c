"""What is learned: data, architecture constants, initial parameters, batches and score."""

from __future__ import annotations

import importlib
from types import ModuleType

from suite.contract import Config, DataSource, RequestError, Task

DATASETS = {"fashion_mlp": "fashion_mnist"}
"""Every task with the data set that it learns from."""
NAMES = tuple(DATASETS)
PROFILES = ("smoke", "quick", "full")


def load(name: str, profile: str, source: DataSource) -> Task:
    """The task ``name`` with its data in memory.

    Raises RequestError for an unknown task or profile, or data that is missing or damaged.
    """
    task: Task = _module(name, profile).load(profile, source)
    return task


def config(name: str, profile: str) -> Config:
    """The constants of a task, without its data. RequestError as for ``load``."""
    found: Config = _module(name, profile).PROFILES[profile]
    return found


def _module(name: str, profile: str) -> ModuleType:
    if name not in NAMES:
        raise RequestError(f"there is no task {name!r}; the tasks are: {', '.join(NAMES)}")
    if profile not in PROFILES:
        raise RequestError(
            f"there is no profile {profile!r}; the profiles are: {', '.join(PROFILES)}"
        )
    return importlib.import_module(f"tasks.{name}")
