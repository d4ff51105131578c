"""Bits that no processor and no library changes: the operations, and the data made by them."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tasks
from tasks import drawings, exact
from tasks.datasets import fashion_mnist, formulas, imdb, multi30k, omniglot, tiny_shakespeare

DIGESTS = {
    "points": "839543e76ffbf4856b0d2c8d5e7e0f2bbbc53a945ee0b2f176cc60fd7915f3dc",
    "cubic": "945348bf907933dce1491c2ee406488d4b1af92613364fc3e6bb4572e041c152",
    "fashion_mnist": "1b4e3a128f341e8642f6b715b1496b1d53235a2bff9a1c902ffb44313cf9bc68",
    "imdb": "7d2fedfb4a198147c19fa62e552c9d539bb6532aa9ea480c85d804e772cb0057",
    "omniglot": "886ec19ef159fb138c8ede0726fbff4e7fb2b142a34be139b54447df671571ec",
    "tiny_shakespeare": "0b8f64dcfc7e785ae4046a7747ef76cbeba8c0ec06a4fe128cd80f5f68c7d18e",
    "multi30k": "09130d7afc185e231f62140d32796d864f30d07b96f06ae9a40cc7a76548e98a",
}
"""Digests of the stand-ins; for Omniglot, of the pictures that are learned from."""
PRINT_DIGESTS = """
import json
import tasks
print(json.dumps({
    dataset: tasks.load(task, "smoke", "generated").provenance.digest
    for dataset, task in {dataset: task for task, dataset in tasks.DATASETS.items()}.items()
}))
"""


def plain_processor() -> dict[str, str]:
    """Variables by which NumPy, OpenBLAS and glibc do without the newer units of a processor."""
    built = importlib.import_module("numpy._core._multiarray_umath")

    units = [name for name in built.__cpu_dispatch__ if built.__cpu_features__[name]]
    return {
        "NPY_DISABLE_CPU_FEATURES": " ".join(units),
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-FMA,-FMA4,-AVX",
    }


@pytest.mark.parametrize("variables", [{}, plain_processor()], ids=["all units", "plain"])
def test_every_processor_makes_the_same_stand_ins(
    variables: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS],
        env={**os.environ, **variables, "TETRAGRAD_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == DIGESTS


EXACT = {
    *("abs", "arange", "array", "asarray", "bincount", "clip", "concatenate", "cumsum", "empty"),
    "floor",
    *("flatnonzero", "float32", "float64", "int32", "int64", "intp", "kron", "minimum", "ndindex"),
    *("nonzero", "ones", "ones_like", "random", "repeat", "searchsorted", "sqrt", "stack"),
    *("take_along_axis", "tile", "uint8", "where", "zeros"),
    # of a generator: whole numbers, their order, and uniform numbers that are multiples of 2^-53
    *("choice", "integers", "permutation", "permuted"),
}
"""Names taken from NumPy and its generators: all give whole numbers, or are rounded correctly."""
FUNCTIONS = {
    fashion_mnist: ("generated",),
    formulas: ("separable", "distance", "exclusive_or", "cubic", "_standard"),
    imdb: ("generated",),
    multi30k: ("generated",),
    omniglot: ("generated", "scribbles"),
    tiny_shakespeare: ("generated",),
    drawings: ("shrink", "random_maps", "pictures", "_variants"),
    exact: ("uniform", "bell", "powers", "sine_and_cosine"),
}


@pytest.mark.parametrize("module", FUNCTIONS, ids=lambda module: module.__name__)
def test_stand_ins_are_made_by_operations_that_are_rounded_correctly(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in FUNCTIONS[module]:
        for node in ast.walk(bodies[name]):
            assert not isinstance(node, ast.MatMult | ast.Pow), (name, "@ or **")
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                known = node.value.id not in ("np", "rng") or node.attr in EXACT
                assert known, (name, node.attr)


def test_every_task_has_a_digest_here() -> None:
    assert set(DIGESTS) == set(tasks.DATASETS.values())


def test_powers_are_those_of_numpy_but_for_rounding() -> None:
    exponents = np.random.default_rng(0).random(10_000)
    for base in (1.5, 52.5, 60_000):
        np.testing.assert_allclose(exact.powers(base, exponents), base**exponents, rtol=1e-14)
    assert exact.powers(60_000, np.array([0, 0.5], np.float32)).tolist() == [1, np.sqrt(60_000)]
    assert exact.powers(2, np.array([1 - 2.0**-53]))[0] < 2


def test_a_bell_is_about_normal() -> None:
    values = 12 * exact.bell(np.random.default_rng(0), (100, 1_000)) - 6
    assert np.abs(values).max() < 6
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(values) < 1.96).mean() == pytest.approx(0.95, abs=0.005)


def test_uniform_numbers_are_those_of_numpy() -> None:
    expected = np.random.default_rng(0).uniform(-0.2, 0.7, (3, 100))
    drawn = exact.uniform(np.random.default_rng(0), -0.2, 0.7, (3, 100))
    np.testing.assert_allclose(drawn, expected, rtol=1e-15)


def test_sines_and_cosines_are_those_of_numpy_but_for_rounding() -> None:
    angles = np.linspace(-0.2, 0.2, 1_001)
    sine, cosine = exact.sine_and_cosine(angles)
    np.testing.assert_allclose(sine, np.sin(angles), rtol=4e-16)
    np.testing.assert_allclose(cosine, np.cos(angles), rtol=4e-16)
