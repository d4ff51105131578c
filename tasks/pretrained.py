"""Pretrained states: parameters that another task has learned, from which training starts.

They are data: made once by the oracle, kept where decoded data are kept, with a digest, the same
bits for every backend. What makes them is a process of its own, ``suite.worker.pretraining``,
which trains a *base*, the task that a module's ``base(source)`` gives, through all its epochs.

It trains in float64 and keeps 11 binary digits of every number, as float16 does. Two machines whose
sums are in another order differ by some 1e-12, which such rounding hides, so that they have the
same bits, the same digest, and the same proof to compare.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tasks.datasets.cache import cached
from tasks.task import Array, DataSource, Leaf, Provenance, RequestError, Task, Tree

SEED = 0
"""The seed that a base is trained from."""
DIGITS = 11
FEATURE_DIGITS = 20
"""Features are computed anew from rounded parameters, and differ less."""
FEATURES = "features-"
"""Before the name of a feature, among the arrays that are kept."""
RECIPE = "1"
"""Changes whenever a base of the same constants is trained to another state."""
MAKER = "suite.worker.pretraining"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Pretrained:
    """The parameters (float32) of a trained base by canonical name, and the SHA-256 digest.

    ``features`` are what the base makes of data with these parameters, where the module that it is
    of has a function ``features(base, predict)``.
    """

    params: Tree
    digest: str
    features: Tree = field(default_factory=dict)

    def leaves(self, names: Iterable[str]) -> dict[str, Leaf]:
        """Parameters of these ``names`` that start from what was learned, whatever the seed."""
        return {name: _given(self.params[name]) for name in names}

    def provenance(self, data: Provenance) -> Provenance:
        """The provenance of ``data`` where training starts from this state: a digest of both."""
        both = hashlib.sha256(f"{data.digest} {self.digest}".encode()).hexdigest()
        return replace(data, digest=both, pretrained=self.digest)


def pretrained(make_base: Callable[[DataSource], Task], source: DataSource) -> Pretrained:
    """The trained state of a base, made now if it is not kept yet.

    ``make_base`` is the function ``base`` of a module. RequestError with the reason if the state
    cannot be made.
    """
    base = make_base(source)
    data = base.provenance
    key = f"pretrained {RECIPE} {SEED} {base.label} {data.digest} {base.optimizer} {base.config}"
    arrays = cached(data.dataset, key, lambda: _made(make_base.__module__, source))
    params = {name: a for name, a in arrays.items() if not name.startswith(FEATURES)}
    features = {n.removeprefix(FEATURES): a for n, a in arrays.items() if n.startswith(FEATURES)}
    return Pretrained(params, digest(arrays), features)


def rounded(a: Array, digits: int = DIGITS) -> Array:
    """The numbers of ``a``, any shape, to so many binary digits, as float32."""
    mantissa, exponent = np.frexp(np.asarray(a, np.float64))
    found: Array = np.ldexp(np.rint(mantissa * 2.0**digits) / 2.0**digits, exponent)
    return found.astype(np.float32)


def digest(params: Mapping[str, Array]) -> str:
    """SHA-256 of the names, shapes and numbers (float32) of parameters, in the names' order."""
    found = hashlib.sha256()
    for name, leaf in sorted(params.items()):
        found.update(f"{name} {leaf.shape} ".encode())
        found.update(np.ascontiguousarray(leaf, "<f4").tobytes())
    return found.hexdigest()


def _given(array: Array) -> Leaf:
    return Leaf(array.shape, lambda rng, shape: array)


def _made(module: str, source: DataSource) -> dict[str, Array]:
    """The parameters that the oracle learns, in a process of one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "params.npz"
        done = subprocess.run(
            [sys.executable, "-P", "-m", MAKER, module, source, str(output)],
            capture_output=True,
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": path},
        )
        if done.returncode:
            *_, why = done.stderr.strip().splitlines() or ["without a word"]
            raise RequestError(
                f"the pretrained state of {module} could not be made: {why}; "
                f"`python -m {MAKER} {module} {source} FILE` says more"
            )
        with np.load(output, allow_pickle=False) as arrays:
            return dict(arrays)
