"""Errors to plant, and copies of the program with errors in them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import backends

ROOT = Path(backends.__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """A change of a source file: the text that stands there once, and that to put in its place."""

    file: str
    right: str
    wrong: str


SIGN_OF_A_GRADIENT = Fault(
    "backends/numpy/layers.py",
    "return x.T @ dy, xp.ones(len(dy), dy.dtype) @ dy",
    "return x.T @ dy, -xp.ones(len(dy), dy.dtype) @ dy",
)
GRADIENT_OF_THE_LOSS = Fault("backends/numpy/layers.py", "dz *= dloss / n", "dz *= dloss / (n + 1)")
WRONG_WINNER = Fault(
    "backends/numpy/scatter.py",
    "values.reshape(-1)[places // channels]",
    "values.reshape(-1)[places // channels - 1]",
)
OTHER_ACTIVATION_IN_TORCH = Fault("backends/torch/hidden.py", '"relu": F.relu', '"relu": F.elu')
SHUFFLED_LABELS = Fault(
    "tasks/fashion_mlp.py",
    "data.labels[source][rows].astype(np.int32)",
    "np.random.default_rng(0).permutation(data.labels[source][rows]).astype(np.int32)",
)
INITIAL_DISTRIBUTION = Fault("tasks/initializers.py", "np.sqrt(6", "np.sqrt(3")
DROPPED_SYNCHRONISATION = (
    Fault(
        "backends/jax/engine.py",
        "losses = jax.block_until_ready(result)",
        "losses = result",
    ),
    Fault(
        "backends/jax/engine.py",
        "        self._step += count\n        return np.asarray(losses)",
        "        self._step += count\n        return losses",
    ),
)


def planted(folder: Path, *faults: Fault) -> Path:
    """A copy of the program in ``folder``, with these errors in it."""
    for package in ("suite", "tasks", "backends"):
        shutil.copytree(ROOT / package, folder / package)
    shutil.copy(ROOT / "tetragrad.py", folder)
    for fault in faults:
        target = folder / fault.file
        source = target.read_text()
        assert source.count(fault.right) == 1, fault
        target.write_text(source.replace(fault.right, fault.wrong))
    return folder
