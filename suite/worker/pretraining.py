"""Makes a pretrained state: ``python -m suite.worker.pretraining MODULE SOURCE FILE``.

The oracle trains the module's base, see ``tasks.pretrained``, which starts this and keeps the file.
"""

from __future__ import annotations

import importlib
import sys

import numpy as np

import backends
from tasks.pretrained import SEED, rounded
from tasks.task import Task, Tree


def trained(base: Task) -> Tree:
    """The parameters that the base's oracle, in float64, has learned after all epochs, rounded."""
    name, mode = backends.oracle(base.name)
    backends.load(name).configure("cpu", 1, "float64", mode)
    module = importlib.import_module(backends.module(name, base.name))
    program = module.build(base, base.initial(SEED).astype("float64"), SEED)
    for epoch in range(base.config.epochs):
        for chunk in base.chunks("train", SEED, epoch):
            program.train(program.place(chunk))
    return {name: rounded(leaf) for name, leaf in program.state().params.items()}


def main(module: str, source: str, output: str) -> None:
    """Writes the parameters of the base of ``module`` on real or generated data."""
    base = importlib.import_module(module).base(source)
    np.savez(output, allow_pickle=False, **trained(base))


if __name__ == "__main__":
    main(*sys.argv[1:])
