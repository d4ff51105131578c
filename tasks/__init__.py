"""What is learned: data, architecture constants, initial parameters, batches and score."""

from __future__ import annotations

import importlib
from types import ModuleType

from suite.contract import Config, DataSource, RequestError, Task

DATASETS = {
    "fashion_mlp": "fashion_mnist",
    "imdb_text": "imdb",
    "autoencoder": "fashion_mnist",
    "fewshot": "omniglot",
    "lstm": "tiny_shakespeare",
}
"""Every task with the data set that it learns from."""
VARIANTS: dict[str, tuple[str, ...]] = {
    "imdb_text": ("bow", "bow_l2", "bow_dropout", "bow_batchnorm", "embedding"),
    "autoencoder": ("joint", "plain", "spectral"),
    "fewshot": ("siamese", "triplet"),
}
"""The variants of those tasks that have some, the default first."""
NAMES = tuple(DATASETS)
PROFILES = ("smoke", "quick", "full")
ALL = "all"

Choice = tuple[str, str | None]
"""A task's name and its variant, None for a task that has none."""


def variants(name: str) -> tuple[str | None, ...]:
    """The variants of a task, (None,) where there is only the task itself."""
    return VARIANTS.get(name, (None,))


def choices(wanted: str) -> tuple[Choice, ...]:
    """What ``task``, ``task:variant``, ``task:all`` or ``all`` asks for.

    ``task`` alone is its default variant. RequestError for an unknown task or variant.
    """
    if wanted == ALL:
        return tuple((name, variant) for name in NAMES for variant in variants(name))
    name, colon, variant = wanted.partition(":")
    _require_known(name)
    known = variants(name)
    if not colon:
        return ((name, known[0]),)
    if variant == ALL:
        return tuple((name, v) for v in known)
    if variant not in known:
        there = ", ".join(v for v in known if v) or "none: ask for the task alone"
        raise RequestError(f"{name} has no variant {variant!r}; its variants are: {there}")
    return ((name, variant),)


def load(name: str, profile: str, source: DataSource, variant: str | None = None) -> Task:
    """The task ``name`` with its data in memory, in its default variant unless another is named.

    Raises RequestError for an unknown task, variant or profile, or data that is missing or damaged.
    """
    task: Task = _module(name, profile).load(profile, source, _known_variant(name, variant))
    return task


def config(name: str, profile: str, variant: str | None = None) -> Config:
    """The constants of a task, without its data. RequestError as for ``load``."""
    found: Config = _module(name, profile).config(profile, _known_variant(name, variant))
    return found


def _known_variant(name: str, variant: str | None) -> str | None:
    return choices(f"{name}:{variant}" if variant else name)[0][1]


def _require_known(name: str) -> None:
    if name not in NAMES:
        raise RequestError(f"there is no task {name!r}; the tasks are: {', '.join(NAMES)}")


def _module(name: str, profile: str) -> ModuleType:
    _require_known(name)
    if profile not in PROFILES:
        raise RequestError(
            f"there is no profile {profile!r}; the profiles are: {', '.join(PROFILES)}"
        )
    return importlib.import_module(f"tasks.{name}")
