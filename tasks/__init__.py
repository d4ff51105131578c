"""The tasks to learn: data, architecture constants, initial parameters, batches and score."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType

from tasks import outside
from tasks.options import MODEL, OPTIONS, Read, positive
from tasks.task import Config, DataSource, RequestError, Task, nearest

DATASETS = {
    "fashion_mlp": "fashion_mnist",
    "imdb_text": "imdb",
    "autoencoder": "fashion_mnist",
    "fewshot": "omniglot",
    "lstm": "tiny_shakespeare",
    "transformer": "multi30k",
    "perceptron": "points",
    "regression": "cubic",
}
"""Every task with the data set that it learns from."""
VARIANTS: dict[str, tuple[str | None, ...]] = {
    "perceptron": ("rule", "xor", "mlp"),
    "fashion_mlp": (None, "transfer", "scratch"),
    "imdb_text": (
        *("bow", "tfidf", "bow_l1", "bow_l2", "bow_dropout", "bow_batchnorm", "bow_validation"),
        *("embedding", "word2vec", "word2vec_scratch", "skipgram"),
    ),
    "autoencoder": ("joint", "plain", "spectral"),
    "fewshot": ("siamese", "triplet", "finetune"),
    "lstm": (None, "rnn"),
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
"""A task's name and its variant, None for a task that has none. A folder's name is its path."""


def names() -> tuple[str, ...]:
    """The tasks that have names: the house's, then those that installed packages announce."""
    return (*NAMES, *(name for name in outside.announced() if name not in NAMES))


def is_known(name: str) -> bool:
    """Tells if it is the name of a task, or the path of one in a folder."""
    return name in NAMES or outside.is_path(name) or name in outside.announced()


def is_outside(name: str) -> bool:
    """Tells if a task is of a folder or an installed package."""
    return name not in NAMES


def origin(name: str) -> str:
    """The package that a task comes from."""
    return outside.origin(outside.announced()[name]) if is_outside(name) else "tetragrad"


def implementation(name: str, backend: str) -> str | None:
    """The module of a backend's file in the folder of a task outside the house; None for others."""
    return f"{outside.package(name)}.{backend}" if is_outside(name) else None


def module(name: str) -> str:
    """The module that defines a task."""
    return f"{outside.package(name)}.task" if is_outside(name) else f"tasks.{name}"


def sources(name: str) -> Mapping[str, str]:
    """The folder's path and the digest of its files, for a task outside the house; else nothing."""
    if not is_outside(name):
        return {}
    return {"path": str(outside.folder(name)), "sha256": outside.digest(name)}


def explained(error: BaseException, name: str) -> str | None:
    """An error in a line, with its place in the folder of a task; None for the house's tasks."""
    return outside.explained(error, name) if is_outside(name) else None


def oracle(name: str) -> str:
    """The backend that a task takes for right; empty if it leaves that to the suite."""
    if not is_outside(name):
        return Task.oracle
    from tasks import own

    has_numpy = (outside.folder(name) / f"{own.NUMPY}.py").is_file()
    return own.NUMPY if has_numpy else own.kind(name).oracle


def resolve(name: str, wanted: str) -> tuple[DataSource, str | None]:
    """Which data a task uses, and a notice, as ``datasets.resolve`` says.

    A task outside the house has its own alone. RequestError if others are wanted.
    """
    from tasks import datasets

    if not is_outside(name):
        return datasets.resolve(DATASETS[name], wanted)
    if wanted == "generated":
        raise RequestError(f"{outside.shown(name)} has no generated data; leave --data out")
    return "real", None


def variants(name: str) -> tuple[str | None, ...]:
    """The variants of a task, (None,) where there is only the task itself."""
    return VARIANTS.get(name, (None,))


def choices(wanted: str) -> tuple[Choice, ...]:
    """Returns the choices for ``task``, ``task:variant``, ``task:all``, ``all`` or a folder's path.

    ``task`` alone is its default variant. RequestError for an unknown task or variant, or a path
    that is no task's folder.
    """
    if wanted == ALL:
        return tuple((name, variant) for name in names() for variant in variants(name))
    if wanted not in names() and (folder := outside.address(wanted)):
        return ((folder, None),)
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
    if is_outside(name):
        return _own(name, profile)
    task: Task = _module(name, profile).load(constants, profile, source, known)
    task.options = of_the_model(name, options)
    return task


def _own(name: str, profile: str) -> Task:
    from tasks import own

    _require_profile(profile)
    return own.load(name, profile)


def options_of(name: str, variant: str | None) -> Mapping[str, Read]:
    """The options of a task's variant, each with the function that reads its text.

    Of ``fashion_mlp`` the variants have none: their model is that of the pretrained layer.
    """
    return {} if name == "fashion_mlp" and variant else OPTIONS.get(name, {})


def of_the_model(name: str, options: Mapping[str, str]) -> dict[str, str]:
    """Those of the options that make a task another model, which needs a proof of its own."""
    return {option: value for option, value in options.items() if option in MODEL.get(name, {})}


def config(
    name: str, profile: str, variant: str | None = None, options: Mapping[str, str] = NO_OPTIONS
) -> Config:
    """The constants of a task, without its data. RequestError as for ``load``."""
    if is_outside(name):
        _require_known(name)
        constants: Config = _own(name, profile).config
    else:
        constants = _module(name, profile).config(profile, _known_variant(name, variant))
    known = options_of(name, variant)
    for option, value in options.items():
        if option == BATCH_SCALE:
            continue
        if option not in known:
            there = ", ".join(known) or "none"
            like = nearest(option, known)
            label = ":".join(filter(None, (outside.shown(name), variant)))
            raise RequestError(f"{label} has no option {option!r}{like}; its options are: {there}")
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
        raise RequestError(
            f"{outside.shown(name)} cannot have batches {factor} times as large: {error}"
        ) from None


def _known_variant(name: str, variant: str | None) -> str | None:
    return choices(f"{name}:{variant}" if variant else name)[0][1]


def _require_known(name: str) -> None:
    if not is_known(name):
        like = nearest(name, names())
        raise RequestError(
            f"there is no task {name!r}{like}; the tasks are: {', '.join(names())}, or a folder "
            "with a task.py"
        )


def _require_profile(profile: str) -> None:
    if profile not in PROFILES:
        there = f"{nearest(profile, PROFILES)}; the profiles are: {', '.join(PROFILES)}"
        raise RequestError(f"there is no profile {profile!r}{there}")


def _module(name: str, profile: str) -> ModuleType:
    _require_known(name)
    _require_profile(profile)
    return importlib.import_module(f"tasks.{name}")
