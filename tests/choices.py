"""The single choices of ``fashion_mlp``, as ``--set`` takes them, and some that go together."""

from __future__ import annotations

from collections.abc import Mapping

Choice = Mapping[str, str]

VALUES = {
    "activation": ("sigmoid", "tanh", "leaky_relu", "elu", "maxout"),
    "optimizer": ("sgd", "momentum", "adagrad", "adam"),
    "learning_rate": ("3e-3",),
    "decay": ("linear", "cosine", "exponential", "inverse"),
    "l1": ("1e-3",),
    "l2": ("1e-3",),
    "dropout": ("0.3",),
    "batch_norm": ("true",),
    "hidden": ("5", "7,5"),
    "initializer": ("he_normal", "normal"),
    "loss": ("squared",),
    "beta": ("0.5",),
    "batch": ("16",),
}
"""By option the values that are not the default."""
SINGLE: tuple[Choice, ...] = tuple(
    {name: value} for name, values in VALUES.items() for value in values
)
DEEP = {"hidden": "7,5", "batch_norm": "true", "dropout": "0.3", "l1": "1e-3", "l2": "1e-3"}
TOGETHER: tuple[Choice, ...] = (
    {
        **{"activation": "sigmoid", "initializer": "he_normal", "hidden": "5", "l1": "1e-3"},
        **{"optimizer": "sgd", "decay": "linear"},
    },
    {
        **{"activation": "tanh", "initializer": "normal", "batch": "16", "l2": "1e-3"},
        **{"optimizer": "adagrad", "decay": "exponential"},
    },
    {
        **{"activation": "leaky_relu", "dropout": "0.3", "beta": "0.5"},
        **{"optimizer": "adam", "decay": "cosine"},
    },
    {"activation": "elu", "batch_norm": "true", "loss": "squared", "learning_rate": "3e-3"},
    {**DEEP, "activation": "maxout", "loss": "squared", "beta": "2"},
    {"optimizer": "momentum", "decay": "inverse", "learning_rate": "0.05"},
)
"""Choices that go together, every value of an option in one of them."""


def label(choice: Choice) -> str:
    """The name of a choice in a test's name."""
    return " ".join(f"{name}={value}" for name, value in choice.items())
