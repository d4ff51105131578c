"""How far a backend may part from the oracle if its products round their factors, by precision.

For bfloat16, loss and gradient are three times what PyTorch's autocast, or TensorFlow's rewritten
graphs, showed on the CPU over ten steps, with real data. In the state a wrong step shows no more:
RMSprop's and Adam's first steps are as long for small gradients as for large ones, and where
rounding turns one around, the two part by twice that. TF32 keeps three binary digits more: an
eighth of the error. That is not measured yet. TensorFlow's first gradients are computed eagerly,
where nothing is rewritten: of its bfloat16, the losses and the state speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tasks.task import Envelope, Precision, Task

STATE = 2.5
"""Of a leaf's largest entry: all its entries may have gone the other way."""
BFLOAT16: Mapping[str, Envelope] = {
    "fashion_mlp": Envelope(steps=10, loss=2e-2, gradient=1.1e-1, state=STATE),
    "imdb_text": Envelope(steps=10, loss=1.3e-2, gradient=2.5e-1, state=STATE),
    "imdb_text:bow_batchnorm": Envelope(steps=10, loss=8e-2, gradient=2.1e-1, state=STATE),
    "imdb_text:bow_validation": Envelope(steps=10, loss=1.2e-1, gradient=2.5e-1, state=STATE),
    "imdb_text:embedding": Envelope(steps=10, loss=2.5e-4, gradient=5e-2, state=STATE),
    "autoencoder": Envelope(steps=10, loss=1e-2, gradient=5e-2, state=STATE),
    "autoencoder:spectral": Envelope(steps=10, loss=1e-2, gradient=3e-1, state=STATE),
    "fewshot": Envelope(steps=10, loss=9e-2, gradient=4.5e-1, state=STATE),
    "lstm": Envelope(steps=10, loss=4e-3, gradient=1.5e-2, state=STATE),
    "transformer": Envelope(steps=10, loss=1.5e-2, gradient=6e-2, state=STATE),
    "transformer:base": Envelope(steps=10, loss=1.5e-2, gradient=2.7e-1, state=STATE),
}
"""By variant where one has its own, else by task."""
SMALLER = 1 / 8


def envelope(task: Task, precision: Precision) -> Envelope:
    """What is allowed of a backend in a precision: the task's own, or that of rounded products."""
    if precision in task.envelopes:
        return task.envelopes[precision]
    found = BFLOAT16.get(task.label, BFLOAT16[task.name])
    if precision == "bfloat16":
        return found
    loss = [allowed * SMALLER for allowed in found.loss_tolerances()]
    return replace(found, loss=loss[0], gradient=found.gradient * SMALLER)
