"""Every task in a tiny configuration, for tests that all of them have to pass."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace

import tasks
import tests.tiny
from tasks.task import Task
from tests.tasks import tiny_transformer


def tiny(choice: tasks.Choice) -> Task:
    """The task of ``tests.tasks.tiny_<name>``; one that has no such module, in its smoke profile.

    ``transformer:base`` is the transformer with other constants, and a tiny one of it the same.
    """
    name, variant = choice
    if name == "fashion_mlp":
        return tests.tiny.tiny_transfer(variant) if variant else tests.tiny.tiny_task()
    if name == "transformer":  # in one shape: every other one compiles for seconds
        small = replace(tiny_transformer.CONFIG, layers=1, buckets=(8,))
        return tiny_transformer.tiny_task(variant, small)
    module = f"tests.tasks.tiny_{name}"
    if importlib.util.find_spec(module) is None:
        return tasks.load(name, "smoke", "generated", variant)
    task: Task = importlib.import_module(module).tiny_task(variant)
    return task
