"""Options that make another model: it is what is verified, trained, recorded and reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import backends
import tasks
from suite.records import record as records
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.report import charts, content, page
from suite.session import jobs, verifier
from suite.session.process import Ending
from tasks.fashion_mlp import CHOSEN
from tests.suite.command import in_process
from tests.suite.reported import record
from tests.suite.test_requests import refusal

CHOSEN_OPTIONS = {"activation": "tanh", "decay": "linear", "hidden": "20,10"}
SETTING = [word for name, value in CHOSEN_OPTIONS.items() for word in ("--set", f"{name}={value}")]


def test_the_proof_is_of_the_model_that_is_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Cell] = []

    def launch_all(workers: Sequence[Any], at_once: int) -> list[Ending]:
        return [Ending(Outcome.CRASHED, "not run") for _ in workers]

    def worker(cell: Cell, *rest: Any, **job: Any) -> None:
        asked.append(cell)

    monkeypatch.setattr(jobs, "Worker", worker)
    monkeypatch.setattr(jobs, "launch_all", launch_all)
    paths = set()
    for options in ({}, CHOSEN_OPTIONS):
        task = tasks.load("fashion_mlp", "full", "generated", None, options)
        prover = verifier.Verifier(task, "cpu", 1, cache_folder=tmp_path)
        prover.verify([(choice, "float64") for choice in backends.chosen(["numpy", "jax"])])
        assert {tuple(cell.options.items()) for cell in asked} == {tuple(options.items())}
        paths |= {prover._cache_path(("jax", "jit"), "float64")}
        asked.clear()
    assert len(paths) == 2  # a verdict that is kept is not taken for that of another model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("options")
    asked = ("--task", "fashion_mlp", "--profile", "smoke", "--data", "generated")
    brief = ("--tracking", "none", "--timing-limit", "0")
    done = in_process(folder, "run", *asked, "--backend", "numpy", *brief, *SETTING)
    assert done.returncode == 0, done.stderr
    (path,) = records.all_paths(folder / "results")
    return records.read(path)


def test_a_run_with_options_is_verified_as_such_and_has_no_targets(run: Record) -> None:
    assert run.cell.options == CHOSEN_OPTIONS
    assert run.verified
    assert run.equivalence
    assert run.equivalence["steps"] == CHOSEN["float32"].steps
    assert "anchor" not in {finding["quantity"] for finding in run.equivalence["findings"]}
    assert run.targets == []
    assert run.specification["hidden"] == [20, 10]
    assert run.specification["optimizer"]["schedule"] == {
        "name": "Linear",
        "total": 64,
        "warmup": 0,
    }
    assert 0 <= run.metrics["dead_units"] < 1


def test_its_heat_maps_are_told_from_attention(run: Record) -> None:
    assert [len(drawn["columns"]) for drawn in run.heatmaps.values()] == [20, 10]
    (section,) = content.build([run]).sections
    assert section.attention
    (maps,) = section.attention.kinds.values()
    assert section.attention.low < 0 < section.attention.high  # of tanh
    assert all(drawn.low == section.attention.low for drawn in maps)
    html = page.render(content.build([run]))
    assert "Each row is a class" in html
    assert "<h3>Heat maps</h3>" in html
    assert "every row sums to 1" not in html
    assert "10 rows by 20 columns" in charts.attention(maps[0]).alternative


def test_a_wide_map_names_some_of_its_columns() -> None:
    units = [str(unit) for unit in range(120)]
    wide = {"rows": ["a"], "columns": units, "values": [[0.5] * 120], "meaning": "Read it so."}
    (section,) = content.build([record("numpy", heatmaps={"units": wide})]).sections
    assert section.attention
    ((drawn,),) = section.attention.kinds.values()
    assert charts.attention(drawn).figure["layout"]["xaxis"]["ticktext"] == units[::3]


def test_a_wrong_option_is_refused_before_anything_is_proved() -> None:
    asked = ("verify", "--task", "fashion_mlp", "--set")
    assert "activation=gelu will not do: it must be one of: relu" in refusal(
        *asked, "activation=gelu"
    )
    assert "batch=70000 will not do" in refusal(*asked, "batch=70000")
    assert "did you mean 'activation'?" in refusal(*asked, "activaton=elu")
    assert "no option of what is run" in refusal("verify", "--task", "lstm", "--set", "l2=1")
