"""Tiny tasks in folders of their own, and installed packages that announce them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

import backends
from tasks import outside, own

TASK = """
import numpy as np

from tasks.initializers import glorot_uniform, zeros
from tasks.optimizers import RMSprop
from tasks.own import OwnTask
from tasks.task import Leaf


class Tiny(OwnTask):
    params = {
        "hidden.kernel": Leaf((16, 6), glorot_uniform),
        "hidden.bias": Leaf((6,), zeros),
        "output.kernel": Leaf((6, 10), glorot_uniform),
        "output.bias": Leaf((10,), zeros),
    }
    optimizer = RMSprop(learning_rate=1e-3, rho=0.9, epsilon=1e-7)
    steps, chunk_steps = 6, 4

    def batch(self, seed, step):
        rng = np.random.default_rng([seed, step])
        images = rng.random((8, 16), np.float32)
        return {"images": images, "labels": rng.integers(0, 10, 8, np.int32)}
"""
PERCEPTRON = files("suite").joinpath("templates", "numpy.py.txt").read_text(encoding="utf-8")
MODEL = "from .perceptron import build, forward, loss\n"
"""NumPy's file, or that of a backend that stands for it, in a folder with ``perceptron.py``."""


MIRROR = "from backends.numpy import *\nTITLE, DEVICES = 'Mirror', ('cpu',)\n"


def written(folder: Path, task: str = TASK, **models: str) -> Path:
    """A folder with ``task.py`` and a file for each backend, NumPy's if no other is given."""
    folder.mkdir(parents=True)
    (folder / "task.py").write_text(task)
    (folder / "perceptron.py").write_text(PERCEPTRON)
    for backend, text in (models or {"numpy": MODEL}).items():
        (folder / f"{backend}.py").write_text(text)
    return folder


def installed(site: Path, distribution: str, **entry_points: str) -> Path:
    """Writes the metadata that pip leaves of a package. A group's name has _ for its dot."""
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
    )
    groups = (f"[{g.replace('_', '.')}]\n{lines}\n" for g, lines in entry_points.items())
    (metadata / "entry_points.txt").write_text("".join(groups))
    return site


def mirrored(site: Path, modes: tuple[str, ...] = ("eager",)) -> Path:
    """Installs the backend ``mirror``: NumPy's perceptron under another name, on the CPU alone.

    It computes the same in every one of its ``modes``.
    """
    (site / "mirror").mkdir()
    (site / "mirror" / "__init__.py").write_text(f"{MIRROR}MODES = {modes}\n")
    (site / "mirror" / "fashion_mlp.py").write_text(
        "from backends.numpy.fashion_mlp import build, forward, loss\n"
    )
    return installed(site, "tetragrad_mirror", tetragrad_backends="mirror = mirror")


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Puts a folder on Python's path, and on that of workers, as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        _forget()
        try:
            yield
        finally:
            _forget()
            for name, module in [*sys.modules.items()]:
                if str(getattr(module, "__file__", "")).startswith(str(folder)):
                    del sys.modules[name]


def _forget() -> None:
    outside.announced.cache_clear()
    backends.announced.cache_clear()
    own.load.cache_clear()
