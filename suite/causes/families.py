"""The families of operations: all that are known, and that of the cross-entropy.

Defaults were read in torch 2.13, Keras 3.15, JAX 0.10 and the documentation of Flax.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from suite.causes.activations import Activation, Dropout
from suite.causes.norms import BatchNorm, LayerNorm, UnitLength
from suite.causes.operations import Family, Operation, Variant
from suite.causes.outputs import log_softmax, softmax
from suite.causes.sequences import Attention, Elman, Embedding, Gates
from tasks.task import Array


class Smoothing(Family):
    """The cross-entropy of logits (..., classes) and whole numbers: smoothing, mean, logits."""

    name = "cross-entropy: smoothing, mean or logits"
    remedy = (
        "label_smoothing of torch.nn.CrossEntropyLoss and Keras spreads over all classes, "
        "tensor2tensor over the others; all have 0 by default; torch's ignore_index is -100, not "
        "the padding; torch and optax take logits, Keras probabilities unless from_logits=True"
    )
    AMOUNTS = (0.0, 0.1, 0.05, 0.2)

    def variants(self, op: Operation) -> Iterator[Variant]:
        if op.name != "loss":
            return
        for x in self._logits(op):
            for labels in op.batch.values():
                if labels.dtype.kind in "iu" and labels.shape == x.shape[:-1] and x.ndim > 1:
                    yield from self._of(x, labels)
                elif labels.dtype.kind in "iu" and labels.T.shape == x.shape[:-1] and x.ndim > 2:
                    yield from self._of(x, labels.T)

    def _logits(self, op: Operation) -> Iterator[Array]:
        """The values before, and the last of them by a table that is tied to an output's bias."""
        for _, x in op.inputs:
            yield x
        _, last = next(op.inputs)
        for table in op.params.values():
            for bias in op.params.values():
                if bias.ndim == 1 and table.shape == (len(bias), *last.shape[-1:]):
                    yield last @ table.T + bias

    def _of(self, x: Array, labels: Array) -> Iterator[Variant]:
        classes = x.shape[-1]
        if labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
            return
        real = labels != 0 if labels.ndim > 1 else np.ones(labels.shape, bool)
        for given, log in (("", log_softmax(x)), (" of probabilities", log_softmax(softmax(x)))):
            target = np.take_along_axis(log, labels[..., None], axis=-1)[..., 0]
            whole = log.sum(axis=-1)
            for s in self.AMOUNTS:
                spread = {
                    f"smoothing {s:g} over all classes": (1 - s) * target + s / classes * whole,
                    f"smoothing {s:g} over the other classes": (1 - s) * target
                    + s / (classes - 1) * (whole - target),
                    f"smoothing {s:g} over all classes but the padding's": (1 - s) * target
                    + s / (classes - 1) * (whole - log[..., 0]),
                }
                for said, terms in spread.items() if s else [("no smoothing", target)]:
                    for mean, value in _means(-terms, real):
                        yield f"{said}{given}{mean}", np.asarray(value)


def _means(terms: Array, real: Array) -> Iterator[tuple[str, float]]:
    yield "", float(terms.mean())
    yield ", its sum", float(terms.sum())
    yield ", its sum by the samples", float(terms.sum() / len(terms))
    if not real.all() and real.any():
        yield ", its mean over what is not padding", float(terms[real].mean())
        yield ", at the padding 0, its mean over all places", float((terms * real).mean())


FAMILIES: tuple[Family, ...] = (
    LayerNorm(),
    BatchNorm(),
    UnitLength(),
    Activation(),
    Embedding(),
    Attention(),
    Gates(),
    Elman(),
    Smoothing(),
    Dropout(),
)
"""All that are known."""
