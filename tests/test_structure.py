"""The house's structure, held by tests: who may load what, and equal names in the four backends."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import backends
import tasks
from tests.loaded import FRAMEWORKS, IMPORTED, packages_of
from tests.suite.examples import CELL

ROOT = Path(backends.__file__).parent.parent


def modules_after(code: str) -> set[str]:
    """The top-level and ``backends.*`` modules that a fresh process has loaded after ``code``."""
    report = "import sys; print(*(name for name, module in sys.modules.items() if module))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return packages_of(done.stdout.splitlines()[-1].split())


def all_modules(package: str) -> list[str]:
    files = (f for f in (ROOT / package).rglob("*.py") if f.stem != "__main__")  # which runs
    names = (".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files)
    return sorted(n.removesuffix(".__init__") for n in names)


@pytest.mark.parametrize("package", ["suite", "tasks"])
def test_importing_all_of_it_loads_no_framework(package: str) -> None:
    loaded = modules_after(f"import {', '.join(all_modules(package))}")
    assert package in loaded
    assert not FRAMEWORKS & loaded


def test_the_command_starts_without_what_few_of_its_commands_need() -> None:
    slow = {"pandas", "mlflow", "sklearn", "scipy", "optuna", "PIL", "ray"}
    absent = {"plotly", "pooch", "platformdirs", "asv", "tqdm"}  # where a card is, see tests.card
    assert not (slow | absent) & modules_after("import suite.cli, tests.card.__main__")


def test_a_worker_needs_numpy_and_its_framework_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it what its products (SciPy's sparse ones) and its task's score are made with."""
    code = """
import sys
others = "psutil threadpoolctl platformdirs filelock sacrebleu sklearn PIL rich typer mlflow"
sys.modules |= dict.fromkeys(others.split())
sys.argv[1:] = ["1"]
import suite.worker.main, tasks.autoencoder, tasks.fewshot, tasks.transformer
suite.worker.main.main()
"""
    monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))  # where it else lies, platformdirs says
    for name in ("fashion_mlp", "imdb_text", "lstm"):
        cell = replace(CELL, profile="smoke", task=name, variant=tasks.variants(name)[0])
        job = json.dumps({"kind": "train", "cell": asdict(cell)})
        # it trains to its end, turn after turn, and no further
        done = subprocess.run(
            [sys.executable, "-c", code], input=job + "\nstop" * 500, capture_output=True, text=True
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
        assert "finished" in [event["event"] for event in events], done
        assert events[-1] == {"event": "ended", "outcome": "ok", "reason": None}


def test_importing_every_backend_package_loads_no_framework() -> None:
    loaded = modules_after(f"import {', '.join(f'backends.{b}' for b in backends.NAMES)}")
    assert not FRAMEWORKS & loaded


def packages_imported(folder: Path) -> set[str]:
    """The distributions of all that the modules of a folder import."""
    names = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).partition(".")[0])
    return {package for name in names & IMPORTED.keys() for package in IMPORTED[name]}


HELPERS = {"filelock", "pillow", "platformdirs", "pooch", "requests", "safetensors"}
HELPERS |= {"threadpoolctl", "tqdm"}
"""Distributions that tasks use, and on which no metric depends: data are fetched and unpacked to
the same bits."""


def test_a_backend_declares_what_it_computes_with() -> None:
    for name in backends.NAMES:
        declared = {*backends.load(name).PACKAGES, *tasks.PACKAGES}
        assert packages_imported(ROOT / "backends" / name) <= declared, name
    assert packages_imported(ROOT / "tasks") - HELPERS <= {*tasks.PACKAGES}
    assert len({b.TITLE for b in backends.every()}) == len(backends.names())


def public_names(file: Path) -> set[str]:
    """Functions and classes that a module defines without a leading underscore."""
    definitions = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(file.read_text()).body
    return {n.name for n in body if isinstance(n, definitions) and not n.name.startswith("_")}


@pytest.mark.parametrize("task", tasks.NAMES)
def test_the_four_files_of_a_task_have_the_same_public_names(task: str) -> None:
    names = {b: public_names(ROOT / "backends" / b / f"{task}.py") for b in backends.NAMES}
    assert names["numpy"] == {"forward", "loss", "build"}
    assert all(found == names["numpy"] for found in names.values()), names


def test_every_function_fits_in_the_head() -> None:
    sizes = {
        f"{file.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for package in ("suite", "backends", "tasks")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: size for name, size in sizes.items() if size > 60} == {}


PACKAGES = ("suite", "backends", "tasks", "docs", "tests")
BEGINS = re.compile(r'^ *"""\s*(What|Of|That|Whether)\b.*', re.MULTILINE)


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    """A beginning with What, Of, That or Whether leaves out the noun that a reader needs."""
    files = [f for name in PACKAGES for f in sorted((ROOT / name).rglob("*.py"))]
    wrong = [
        f"{file.relative_to(ROOT)}: {found[0].strip()}"
        for file in (*sorted(ROOT.glob("*.py")), *files)
        for found in BEGINS.finditer(file.read_text())
    ]
    assert wrong == []
