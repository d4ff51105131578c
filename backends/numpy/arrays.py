"""The array module that the hand-written code computes with, and the way there and back.

``xp`` is NumPy or, on a GPU, CuPy: which of them, ``configure`` has chosen before this is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

import backends.numpy
from tasks.task import Array, Tree

ON_GPU = backends.numpy.module != "numpy"

if TYPE_CHECKING:
    import numpy as xp
else:
    xp = importlib.import_module(backends.numpy.module)

__all__ = ["xp"]
_cupy: Any = xp
"""The same, for what NumPy does not have."""
WHOLE = 1 << 40
BLOCK = WHOLE if ON_GPU else 65_536
"""Entries updated at a time: the arrays of an Adam step then stay in the processor's cache."""
ROWS = WHOLE if ON_GPU else 16
"""Rows of logits that are worked on at a time, for the same reason."""


def to_host(a: Any) -> Array:
    """The array itself, or its copy on the host once all that makes it has been done."""
    found: Array = _cupy.asnumpy(a) if ON_GPU else np.asarray(a)
    return found


def tree_to_host(tree: Tree) -> Tree:
    """The same of every leaf."""
    return {name: to_host(a) for name, a in tree.items()}


def to_device(tree: Tree) -> Tree:
    """A tree whose leaves on the host are moved to where ``xp`` computes."""
    return {name: xp.asarray(a) for name, a in tree.items()}


def device_of(a: Any) -> str:
    """Where an array lies, ``cpu`` or ``cuda:N``."""
    return "cpu" if isinstance(a, np.ndarray) else f"cuda:{a.device.id}"


def synchronize() -> None:
    """Waits for the GPU: its kernels run on after the call that started them returned."""
    if ON_GPU:
        _cupy.cuda.get_current_stream().synchronize()


def uniform(sequence: np.random.SeedSequence, shape: tuple[int, ...]) -> Array:
    """Random float32 numbers in [0, 1): each module draws its own from the same sequence."""
    generator: Any
    if ON_GPU:
        generator = _cupy.random.Generator(
            _cupy.random.Philox4x3210(int(sequence.generate_state(1)[0]))
        )
    else:
        generator = np.random.default_rng(sequence)
    found: Array = generator.random(shape, dtype=np.float32)
    return found
