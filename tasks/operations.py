"""Floating-point operations of training, by the parts of a model.

They are what the task needs, whoever computes it, so that they are the same for all backends. What
an implementation does beyond that (padding, rows of which nothing comes, recomputing) is not
counted: it lowers the efficiency, as it should. A multiplication and an addition are one operation
each. Biases, activations and losses are left out: together a few per cent of a model with products
worth the name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from tasks.optimizers import Optimizer
from tasks.task import Array, Leaf


def product(n: float, inputs: float, outputs: float, gradients: int = 2) -> float:
    """Operations of a product (n, inputs) x (inputs, outputs) and of its ``gradients``.

    Each gradient needs as many as the product. There are two, but one where the left factor is
    data.
    """
    return 2.0 * n * inputs * outputs * (1 + gradients)


def dense(n: float, widths: Sequence[int]) -> float:
    """Operations of dense layers of these widths on n rows of data.

    They are 2 n (2 w0 w1 + 3 w1 w2 + 3 w2 w3 + ...).
    """
    pairs = list(pairwise(widths))
    return product(n, *pairs[0], gradients=1) + sum(product(n, *pair) for pair in pairs[1:])


def encoder_decoder(
    source: Array, target: Array, width: int, hidden: int, layers: int, words: int
) -> float:
    """Operations of a transformer whose sentences have ``source`` and ``target`` (n,) words.

    With s, t words of a sentence, d the width, h the hidden width, L layers on each side, V words
    to choose from, thrice (forward and both gradients) the sum over the sentences of
    2 [s L (4 d^2 + 2 d h) + s L 2 d^2 + t L (6 d^2 + 2 d h) + 2 L d (s^2 + t^2 + s t) + t d V]:
    encoder, keys and values for the decoder, decoder, scores and weighted values of the three
    attentions, logits. The decoder's attention to later words is counted, as all compute it.
    """
    d, s, t = width, source.astype(np.float64), target.astype(np.float64)
    return float(
        product(s.sum(), d, layers * (6 * d + 2 * hidden))
        + product(t.sum(), d, layers * (6 * d + 2 * hidden) + words)
        + product((s * s + t * t + s * t).sum(), 1, 2 * layers * d)
    )


def update(optimizer: Optimizer, params: Mapping[str, Leaf]) -> float:
    """Operations of one update of all parameters, by the formula in ``tasks.optimizers``."""
    return float(optimizer.operations * sum(math.prod(leaf.shape) for leaf in params.values()))
