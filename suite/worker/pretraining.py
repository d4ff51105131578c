"""Makes a pretrained state: ``python -m suite.worker.pretraining MODULE SOURCE FILE``.

The oracle trains the module's base, see ``tasks.pretrained``, which starts this and keeps the file.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import backends
from tasks.pretrained import FEATURE_DIGITS, FEATURES, SEED, rounded
from tasks.task import Chunk, Predict, Task, Tree

Features = Callable[[Task, Predict], Tree]


def trained(base: Task, features: Features | None = None) -> Tree:
    """The parameters that the base's oracle, in float64, has learned after all epochs, rounded.

    With them come the ``features`` that such a function finds.
    """
    name, mode = backends.oracle(base.name)
    backends.load(name).configure("cpu", 1, "float64", mode)
    module = importlib.import_module(backends.module(name, base.name))
    program = module.build(base, base.initial(SEED).astype("float64"), SEED)
    for epoch in range(base.config.epochs):
        for chunk in base.chunks("train", SEED, epoch):
            program.train(program.place(chunk))
    last = program.state()
    params = {name: rounded(leaf) for name, leaf in last.params.items()}
    program.restore(replace(last, params=params))

    def predict(chunk: Chunk) -> Tree:
        outputs: Tree = program.predict(program.place(chunk))
        return outputs

    found = features(base, predict) if features else {}
    return params | {f"{FEATURES}{n}": rounded(a, FEATURE_DIGITS) for n, a in found.items()}


def main(module: str, source: str, output: str) -> None:
    """Writes the parameters of the base of ``module`` on real or generated data."""
    own = importlib.import_module(module)
    found = trained(own.base(source), getattr(own, "features", None))
    np.savez(output, allow_pickle=False, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
