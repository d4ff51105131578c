"""Families of activations, dense layers and dropout.

Defaults were read in torch 2.13, Keras 3.15, JAX 0.10 and the documentation of Flax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from suite.causes.operations import Family, Operation, Variant
from suite.causes.outputs import log_softmax, sigmoid, softmax
from tasks.task import MASK, Array


def _gelu(x: Array) -> Array:
    from scipy.special import erf  # slow to import, and seldom needed

    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def _tanh_gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


SLOPES = (0.01, 0.1, 0.2, 0.3)


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "no activation": lambda x: x,
    "ReLU": lambda x: np.maximum(x, 0),
    **{f"leaky ReLU with slope {slope:g}": _leaky(slope) for slope in SLOPES},
    # TensorFlow's kernel takes its slope in float32, whatever it computes in
    **{
        f"leaky ReLU with slope {slope:g} as float32 has it": _leaky(float(np.float32(slope)))
        for slope in SLOPES
    },
    "GELU": _gelu,
    "GELU by tanh": _tanh_gelu,
    "ELU": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "SiLU": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.logaddexp(0, x),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "the absolute value": np.abs,
    "the square": np.square,
}


class Activation(Family):
    """Another activation, on an input or on a dense layer of it; or another bias."""

    name = "activation: another, or another form"
    remedy = (
        "GELU is exact by default in torch.nn.functional.gelu and keras.activations.gelu, by tanh "
        "in jax.nn.gelu and keras.ops.gelu (approximate); the slope of leaky ReLU is 0.01 in torch "
        "and JAX, 0.3 in keras.layers.LeakyReLU and 0.2 in keras.activations.leaky_relu"
    )

    def variants(self, op: Operation) -> Iterator[Variant]:
        for _, x in op.like():
            yield from ((said, function(x)) for said, function in ACTIVATIONS.items())
        kernel, bias = op.leaf("kernel"), op.leaf("bias")
        if kernel is None or kernel.ndim != 2:
            return
        for _, x in op.inputs:
            if x.ndim > 1 and x.shape[-1] == kernel.shape[0]:
                for word, b in (("", bias), (" without the bias", None)):
                    y = x @ kernel + (0.0 if b is None else b)
                    for said, function in ACTIVATIONS.items():
                        yield f"{said}{word}", function(y)


class Dropout(Family):
    """Dropout of given masks: what is kept, by what it is scaled."""

    name = "dropout: scale or rate"
    remedy = (
        "torch.nn.Dropout, Keras and Flax drop at the rate and divide by 1 - rate in training; "
        "keep_prob of TensorFlow 1 is the part that is kept; Srivastava et al. 2014 scale in "
        "evaluation instead"
    )
    RATES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)

    def variants(self, op: Operation) -> Iterator[Variant]:
        for name, kept in op.batch.items():
            if not name.startswith(MASK) or kept.shape != op.reference.shape:
                continue
            for _, x in op.like():
                yield "nothing is dropped", x
                yield "nothing is scaled up", x * kept
                for rate in self.RATES:
                    yield f"divided by 1 - {rate:g}", x * kept / (1 - rate)
