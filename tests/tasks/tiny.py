"""Every task in a tiny configuration, for tests that all of them have to pass."""

from __future__ import annotations

import importlib
import importlib.util

import tasks
import tests.tiny
from tasks.task import Task


def tiny(choice: tasks.Choice) -> Task:
    """The task of ``tests.tasks.tiny_<name>``; one that has no such module, in its smoke profile.

    ``transformer:base`` is the transformer with other constants, and a tiny one of it the same.
    """
    name, variant = choice
    if name == "fashion_mlp":
        return tests.tiny.tiny_task()
    module = f"tests.tasks.tiny_{name}"
    if importlib.util.find_spec(module) is None:
        return tasks.load(name, "smoke", "generated", variant)
    task: Task = importlib.import_module(module).tiny_task(variant)
    return task
