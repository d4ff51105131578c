"""The options of tasks: constants that can be chosen, each with the function that reads its text.

A function raises ValueError for a text that is none of its values, and names those there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop

Read = Callable[[str], Any]


def positive(text: str) -> int:
    """The whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("it must be a whole number from 1")
    return int(text)


def _widths(text: str) -> int | tuple[int, ...]:
    """The width of a layer, or those of several."""
    try:
        first, *others = map(positive, text.split(","))
    except ValueError:
        raise ValueError("it must be whole numbers from 1, such as 128 or 512,128") from None
    return (first, *others) if others else first


def _number(allowed: Callable[[float], bool], words: str) -> Read:
    """Reads a finite number that is ``allowed``, in ``words``."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and allowed(value)):
            raise ValueError(f"it must be a number {words}")
        return value

    return read


def _one_of(values: Mapping[str, Any]) -> Read:
    """Reads the name of one of the values."""

    def read(text: str) -> Any:
        if text not in values:
            raise ValueError(f"it must be one of: {', '.join(values)}")
        return values[text]

    return read


def _name_of(*names: str) -> Read:
    return _one_of({name: name for name in names})


_above_0 = _number(lambda value: value > 0, "above 0")
_from_0 = _number(lambda value: value >= 0, "from 0")

OPTIMIZERS: Mapping[str, Optimizer] = {
    "sgd": SGD(learning_rate=0.05),
    "momentum": Momentum(learning_rate=1e-2, momentum=0.9),
    "rmsprop": RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-7),
    "adagrad": Adagrad(learning_rate=1e-2, epsilon=1e-7),
    "adam": Adam(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-7),
}
"""Optimisers by name, each with the learning rate that it has unless another is chosen."""

ASKING: Mapping[str, Mapping[str, Read]] = {
    "transformer": {"beam": positive, "sentence": str},
}
"""Options by task that say how a trained model is asked and shown, not what it is or how it is
trained: it is verified without them."""
MODEL: Mapping[str, Mapping[str, Read]] = {
    "fashion_mlp": {
        "activation": _name_of("relu", "sigmoid", "tanh", "leaky_relu", "elu", "maxout"),
        "optimizer": _one_of(OPTIMIZERS),
        "learning_rate": _above_0,
        "decay": _name_of("none", "linear", "cosine", "exponential", "inverse"),
        "l1": _from_0,
        "l2": _from_0,
        "dropout": _number(lambda value: 0 <= value < 1, "from 0 and below 1"),
        "batch_norm": _one_of({"true": True, "false": False}),
        "hidden": _widths,
        "initializer": _name_of("glorot_uniform", "he_normal", "normal"),
        "loss": _name_of("cross_entropy", "squared"),
        "beta": _above_0,
        "batch": positive,
    },
}
"""Options by task that make another model, which is verified for itself and has no targets."""
HELD_OUT = "held_out"
SPLIT: Mapping[str, Mapping[str, Read]] = {
    "fashion_mlp": {HELD_OUT: _number(lambda value: 0 <= value < 1, "from 0 and below 1")},
}
"""Options by task that say which data are trained on and which are scored: it is verified without
them."""
OPTIONS: Mapping[str, Mapping[str, Read]] = {
    task: {**ASKING.get(task, {}), **MODEL.get(task, {}), **SPLIT.get(task, {})}
    for task in (*ASKING, *MODEL)
}
"""All options of each task that has some."""


@dataclass(frozen=True)
class Search:
    """The search that ``tetragrad tune`` makes over a task's options unless others are named.

    ``metric`` is of the data held out, and comparable whatever is chosen: the highest wins.
    ``space`` has the values of each option: ``A,B,C`` or a range ``LOW..HIGH``.
    """

    metric: str
    space: Mapping[str, str]


SEARCHES: Mapping[str, Search] = {
    "fashion_mlp": Search(
        "val_accuracy",
        {
            "activation": "relu,tanh,leaky_relu,elu",
            "optimizer": "momentum,rmsprop,adam",
            "learning_rate": "1e-4..1e-1",
            "hidden": "64..512",
            "dropout": "0,0.2,0.5",
        },
    ),
}
"""The tasks whose options can be searched."""
