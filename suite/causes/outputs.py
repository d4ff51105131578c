"""Causes in what a model gives in evaluation: known functions of the reference's outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from suite.causes.difference import Difference, Explanation, best, error
from tasks.task import Array

Function = Callable[[Array], Array]


def softmax(x: Array) -> Array:
    """Probabilities over the last axis, of scores of any shape."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, any shape."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def log_softmax(x: Array) -> Array:
    """Logarithms of the softmax over the last axis."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


FUNCTIONS: dict[str, Function] = {
    "softmax": softmax,
    "sigmoid": sigmoid,
    "log_softmax": log_softmax,
    "ReLU": lambda x: np.maximum(x, 0),
    "absolute value": np.abs,
    "square": np.square,
    "square root": lambda x: np.sqrt(np.maximum(x, 0)),
    "exponential": np.exp,
}
NAME = "a function of the outputs"
ACTIVATION = "an activation that only training or only evaluation has, or one too many"
PROBABILITIES = (
    "torch.nn.CrossEntropyLoss and optax losses take logits, Keras' CrossEntropy losses "
    "probabilities unless from_logits=True: let the last layer have no activation"
)


def explanations(name: str, own: Array, reference: Array, allowed: float) -> list[Explanation]:
    """The functions f for which ``own = f(reference)``, or ``reference = f(own)``, is known."""
    own, reference = own.astype(np.float64), reference.astype(np.float64)
    if own.shape != reference.shape or own.size < 2 or error(own, reference) <= allowed:
        return []
    difference = Difference({name: own}, {name: reference}, allowed)
    inverse = Difference({name: reference}, {name: own}, allowed)
    found = [
        *_tried(own, reference, difference, f"{name} is the {{}} of what it is to be"),
        *_tried(reference, own, inverse, f"{name} is given without its {{}}"),
    ]
    return best(found)


def _tried(
    value: Array, argument: Array, difference: Difference, words: str
) -> Iterator[Explanation]:
    """The functions that make the value of the argument."""
    for title, function in FUNCTIONS.items():
        with np.errstate(over="ignore"):
            rest = error(value, function(argument))
        if difference.explains(rest):
            remedy = PROBABILITIES if title in ("softmax", "sigmoid") else ACTIVATION
            yield Explanation(NAME, words.format(title), remedy, rest)
