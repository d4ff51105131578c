"""Requests that are a little wrong, or beyond a backend: said in words, not by a traceback."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import backends
import tasks
from suite.asv_benchmarks import process
from suite.cli import app, options
from suite.records.events import Outcome
from suite.session import reproduce
from suite.show import sources
from tasks import datasets
from tasks.task import RequestError
from tests.suite import command
from tests.suite.command import assert_refused, in_process, tetragrad
from tests.suite.examples import example_record


def refusal(*arguments: str) -> str:
    """The error of a command that is refused, in this process."""
    error, said = command.refusal(CliRunner().invoke(app, arguments))
    assert said == ""
    return error


class TestWhatWasMeant:
    @pytest.mark.parametrize("asked", ["run", "time", "verify", "check", "baseline update"])
    def test_a_task_without_its_option(self, asked: str) -> None:
        words = asked.split()
        assert "did you mean --task fashion_mlp?" in refusal(*words, "fashion_mlp")
        assert "did you mean --task imdb_text:bow?" in refusal(*words, "imdb_text:bow")
        assert "did you mean --backend jax?" in refusal(*words, "--task", "lstm", "jax")
        assert "'quick' is the value of no option; --help" in refusal(*words, "quick")

    def test_a_task_for_a_command(self) -> None:
        assert "did you mean tetragrad run --task lstm?" in refusal("lstm")
        done = CliRunner().invoke(app, ["rnu"])
        assert done.exit_code == 2
        assert "Did you mean 'run'?" in done.output

    @pytest.mark.parametrize(
        ("arguments", "meant"),
        [
            (("--set", "beem=4"), "did you mean 'beam'?"),
            (("--set", "sentense=x"), "did you mean 'sentence'?"),
            (("--set", "beam"), "give beam=VALUE"),
            (("--task", "lsmt"), "did you mean 'lstm'?"),
            (("--task", "imdb_text:bow_dropuot"), "did you mean 'bow_dropout'?"),
            (("--backend", "troch"), "did you mean 'torch'?"),
            (("--backend", "torch:complie"), "did you mean 'compile'?"),
            (("--profile", "smok"), "did you mean 'smoke'?"),
        ],
    )
    def test_a_name_that_is_like_another(self, arguments: tuple[str, ...], meant: str) -> None:
        assert meant in refusal("run", *arguments)

    def test_a_name_that_is_like_none(self) -> None:
        assert "did you mean" not in refusal("run", "--set", "xyz=4")
        with pytest.raises(RequestError, match="did you mean 'imdb'"):
            datasets.source("imbd")

    def test_the_version(self, tmp_path: Path) -> None:
        done = tetragrad(tmp_path, "--version")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("tetragrad 0.")
        assert "Benchmarks four gradients" in CliRunner().invoke(app, ["--help"]).output


def test_a_text_that_is_set_is_composed() -> None:
    composed, decomposed = (unicodedata.normalize(f, "Schöne Grüße") for f in ("NFC", "NFD"))
    choice = tasks.choices("transformer")
    found = options.constants([f"sentence={decomposed}"], choice)
    assert found == options.constants([f"sentence={composed}"], choice) == {"sentence": composed}


class TestATaskThatABackendLacks:
    @pytest.fixture
    def hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "backends.jax.fashion_mlp", None)

    def test_is_said_once_for_all(self, hidden: None) -> None:
        assert backends.unavailable("jax", "jit", "fashion_mlp") == (
            "fashion_mlp has no JAX implementation"
        )
        assert backends.lacking("jax", "lstm") is backends.lacking("numpy", "fashion_mlp") is None

    def test_skips_its_cells_alone(self, proved: Path, hidden: None) -> None:
        done = in_process(
            proved,
            *("run", "--task", "fashion_mlp", "--profile", "smoke", "--json"),
            *("--data", "generated", "--backend", "jax", "--backend", "numpy"),
            *("--timing-limit", "0", "--tracking", "none"),
        )
        assert not (proved / "results" / "mlflow.db").exists()
        assert done.returncode == 1, done.stderr  # it was asked for by name
        jax, numpy = json.loads(done.stdout)["cells"]
        assert (jax["outcome"], jax["reason"]) == (
            *("skipped", "fashion_mlp has no JAX implementation"),
        )
        assert (numpy["outcome"], numpy["verified"]) == ("ok", True)

    def test_is_not_verified(self, hidden: None) -> None:
        arguments = ["verify", "--task", "fashion_mlp", "--backend", "jax", "--data", "generated"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 1  # nothing was verified
        assert "untested" in done.stdout
        assert "has no JAX implementation" in done.stdout

    def test_cannot_be_reproduced_or_be_benchmarked(self, hidden: None) -> None:
        record = example_record()
        record.cell, record.outcome = replace(record.cell, backend="jax", mode="jit"), Outcome.OK
        with pytest.raises(RequestError, match="fashion_mlp has no JAX implementation"):
            reproduce.require_rerunnable(record)
        with pytest.raises(NotImplementedError, match="fashion_mlp has no JAX implementation"):
            process.become_worker("fashion_mlp", "jax")

    def test_is_shown_as_such(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in backends.NAMES:
            (tmp_path / name).mkdir()
            (tmp_path / name / "lstm.py").write_text(f"print('{name}: ±')", encoding="utf-8")
        (tmp_path / "jax" / "lstm.py").unlink()
        monkeypatch.setattr(backends, "__file__", str(tmp_path / "__init__.py"))
        console: Any = Console(width=400, record=True, file=None, quiet=False)
        with console.capture() as capture:
            sources.show("lstm", backends.names(), console)
        shown = capture.get()
        assert "lstm has no JAX implementation" in shown
        assert "tensorflow: ±" in shown


def test_what_a_file_of_a_task_lacks_itself_is_no_missing_implementation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It crashes, and says what it lacks."""
    hiding = 'import sys; sys.modules["backends.numpy.text"] = None'
    (tmp_path / "sitecustomize.py").write_text(hiding)
    monkeypatch.setitem(sys.modules, "backends.numpy.text", None)
    done = in_process(
        tmp_path,
        *("run", "--task", "imdb_text", "--profile", "smoke", "--json"),
        *("--data", "generated", "--backend", "numpy", "--tracking", "none"),
        PYTHONPATH=os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))),
    )
    assert done.returncode == 1
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["outcome"] == "crashed"
    assert "backends.numpy.text" in cell["reason"]


def test_the_refusal_is_one_line(tmp_path: Path) -> None:
    done = tetragrad(tmp_path, "run", "fashion_mlp")
    assert_refused(done, "did you mean --task fashion_mlp?")
    assert done.stderr.count("\n") == 1
