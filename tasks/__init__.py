"""The tasks to learn: data, architecture constants, initial parameters, batches and score."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType

from tasks.options import MODEL, OPTIONS, positive
from tasks.task import Config, DataSource, RequestError, Task, nearest

DATASETS = {
    "fashion_mlp": "fashion_mnist",
    "imdb_text": "imdb",
    "autoencoder": "fashion_mnist",
    "fewshot": "omniglot",
    "lstm": "tiny_shakespeare",
    "transformer": "multi30k",
}
"""Every task with the data set that it learns from."""
VARIANTS: dict[str, tuple[str | None, ...]] = {
    "imdb_text": ("bow", "bow_l2", "bow_dropout", "bow_batchnorm", "bow_validation", "embedding"),
    "autoencoder": ("joint", "plain", "spectral"),
    "fewshot": ("siamese", "triplet"),
    "transformer": (None, "dropout", "base"),
}
"""The variants of those tasks that have some, the default first; None is the task itself."""
NO_OPTIONS: Mapping[str, str] = {}
BATCH_SCALE = "batch_scale"
"""An option of every task whose batches can be larger, by ``Config.scaled``: for timing alone."""
NAMES = tuple(DATASETS)
PACKAGES = ("numpy", "scipy", "scikit-learn", "sacrebleu")
"""Distributions that tasks compute with, on whose versions metrics depend."""
PROFILES = ("smoke", "quick", "full")
ALL = "all"

Choice = tuple[str, str | None]
"""A task's name and its variant, None for a task that has none."""


def variants(name: str) -> tuple[str | None, ...]:
    """The variants of a task, (None,) where there is only the task itself."""
    return VARIANTS.get(name, (None,))


def choices(wanted: str) -> tuple[Choice, ...]:
    """Returns the choices that ``task``, ``task:variant``, ``task:all`` or ``all`` asks for.

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
        like = nearest(variant, [v for v in known if v])
        raise RequestError(f"{name} has no variant {variant!r}{like}; its variants are: {there}")
    return ((name, variant),)


def chosen(wanted: Iterable[str]) -> tuple[Choice, ...]:
    """All that ``wanted`` asks for, once each. RequestError for an unknown task or variant."""
    return tuple(dict.fromkeys(choice for one in wanted for choice in choices(one)))


def load(
    name: str,
    profile: str,
    source: DataSource,
    variant: str | None = None,
    options: Mapping[str, str] = NO_OPTIONS,
) -> Task:
    """The task ``name`` with its data in memory, in its default variant unless another is named.

    Raises RequestError for an unknown task, variant or profile, a wrong option, or data that is
    missing or damaged.
    """
    constants = config(name, profile, variant, options)
    known = _known_variant(name, variant)
    task: Task = _module(name, profile).load(constants, profile, source, known)
    task.options = of_the_model(name, options)
    return task


def of_the_model(name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Those of the options that make a task another model, which needs a proof of its own."""
    return {option: value for option, value in options.items() if option in MODEL.get(name, {})}


def config(
    name: str, profile: str, variant: str | None = None, options: Mapping[str, str] = NO_OPTIONS
) -> Config:
    """The constants of a task, without its data. RequestError as for ``load``."""
    constants: Config = _module(name, profile).config(profile, _known_variant(name, variant))
    known = OPTIONS.get(name, {})
    for option, value in options.items():
        if option == BATCH_SCALE:
            continue
        if option not in known:
            there = ", ".join(known) or "none"
            like = nearest(option, known)
            raise RequestError(f"{name} has no option {option!r}{like}; its options are: {there}")
        try:
            constants = dataclasses.replace(constants, **{option: known[option](value)})
        except ValueError as error:
            raise RequestError(f"{option}={value} will not do: {error}") from None
    scale = options.get(BATCH_SCALE)
    return _scaled(name, constants, scale) if scale else constants


def _scaled(name: str, constants: Config, factor: str) -> Config:
    try:
        return constants.scaled(positive(factor))
    except ValueError as error:
        raise RequestError(f"{name} cannot have batches {factor} times as large: {error}") from None


def _known_variant(name: str, variant: str | None) -> str | None:
    return choices(f"{name}:{variant}" if variant else name)[0][1]


def _require_known(name: str) -> None:
    if name not in NAMES:
        like = nearest(name, NAMES)
        raise RequestError(f"there is no task {name!r}{like}; the tasks are: {', '.join(NAMES)}")


def _module(name: str, profile: str) -> ModuleType:
    _require_known(name)
    if profile not in PROFILES:
        there = f"{nearest(profile, PROFILES)}; the profiles are: {', '.join(PROFILES)}"
        raise RequestError(f"there is no profile {profile!r}{there}")
    return importlib.import_module(f"tasks.{name}")
