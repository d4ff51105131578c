"""Weights from a file, ``.npz`` or ``.safetensors``: the checkpoints that ports start from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.task import Array, Leaf, RequestError, Tree, nearest

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
"""NumPy's names for those of a ``.safetensors`` file."""
TURNED = ".T"
"""Behind a name in the table: the file's array is in PyTorch's layout, (out, in, ...)."""


def read(path: Path) -> Tree:
    """The arrays of a file by name, those of 16 bits as float32. RequestError if it is none."""
    readers = {".npz": _npz, ".safetensors": _safetensors}
    if path.suffix not in readers:
        raise RequestError(f"{path} is no file of weights: give one of {' or '.join(readers)}")
    if not path.is_file():
        raise RequestError(f"there is no file of weights {path}; task.py names it in `weights`")
    try:
        return readers[path.suffix](path)
    except Exception as error:
        raise RequestError(f"{path} cannot be read ({error}); write it anew") from error


def _npz(path: Path) -> Tree:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _safetensors(path: Path) -> Tree:
    import safetensors

    read: Any = safetensors.deserialize  # which has no types
    return {name: _array(**view) for name, view in read(path.read_bytes())}


def _array(shape: list[int], dtype: str, data: bytes) -> Array:
    """NumPy has no bfloat16: its bits are the upper half of those of float32."""
    if dtype == "BF16":
        halves = np.frombuffer(data, "<u2").astype("<u4") << 16
        return halves.view("<f4").reshape(shape)
    if dtype not in DTYPES:
        raise ValueError(f"it holds {dtype}, and weights are {', '.join((*DTYPES, 'BF16'))}")
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)


def chosen(path: Path, leaves: Mapping[str, Leaf], names: Mapping[str, str | None]) -> Tree:
    """The arrays that ``leaves`` start from, float32 by name, less those with None in ``names``.

    ``names`` says how a leaf is called in the file, where that differs: ``"fc1.weight"``, or
    ``"fc1.weight.T"`` for an array in PyTorch's layout, whose first two axes, (out, in), become the
    last two. RequestError names what is missing or of another shape.
    """
    there, found = read(path), {}
    for unknown in names.keys() - leaves.keys():
        raise RequestError(
            f"weight_names has {unknown!r}, which is no parameter{nearest(unknown, leaves)}"
        )
    for leaf, known in leaves.items():
        name = names.get(leaf, leaf)
        if name is None:
            continue
        array = there.get(name)
        if array is None and name.endswith(TURNED):
            array = _turned(there.get(name.removesuffix(TURNED)))
        if array is None:
            raise RequestError(
                f"{path} has no {name!r}{nearest(name, there)}; say in weight_names how {leaf} is "
                f"called there, or None if it is drawn; there are: {', '.join(sorted(there))}"
            )
        if array.shape != known.shape:
            turn = (
                f"; for PyTorch's layout write {name + TURNED!r}"
                if _turned(array) is not None
                else ""
            )
            raise RequestError(
                f"{name} in {path} is {array.shape}, and {leaf} is {known.shape}{turn}"
            )
        found[leaf] = np.array(array, np.float32)
    return found


def _turned(array: Array | None) -> Array | None:
    """(out, in, ...) as (..., in, out); None for what has fewer axes."""
    if array is None or array.ndim < 2:
        return None
    return array.transpose(*range(2, array.ndim), 1, 0)
