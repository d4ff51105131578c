"""A backend of an installed package: the suite lists, shows and re-proves it like the house's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import backends
import tasks
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.specification import about
from suite.report import sources
from suite.session import probe, resume, verifier
from suite.session.process import Ending
from suite.system import devices, environment
from suite.worker import main
from tasks.task import Task
from tests.folders import mirrored
from tests.suite.command import in_process
from tests.suite.examples import CELL, example_record


def test_what_was_proved_or_trained_with_other_files_is_so_no_more(
    site: Path, tmp_path: Path
) -> None:
    file = mirrored(site) / "mirror" / "fashion_mlp.py"
    task = tasks.load("fashion_mlp", "smoke", "generated")
    prover = verifier.Verifier(task, "cpu", 1, cache_folder=tmp_path)
    path = prover._cache_path(("mirror", "eager"), "float64")
    record = _trained_by_mirror(task)
    assert resume.still_holds(record, record.cell, task)
    file.write_text(f"{file.read_text()}# a word more\n")
    assert prover._cache_path(("mirror", "eager"), "float64") != path
    assert not resume.still_holds(record, record.cell, task)
    assert backends.package("numpy") == {}  # the house's files are those of a commit


def _trained_by_mirror(task: Task) -> Record:
    """A record such as its worker would have made of it here and now."""
    cell = replace(CELL, backend="mirror")
    known = json.loads(json.dumps(about(task)))
    return replace(
        example_record(),
        cell=cell,
        worker=main._sources(cell),
        specification=known["specification"],
        provenance=known["provenance"],
        packages=dict(environment.package_versions()),
        git=dict(environment.git_revision()),
    )


def test_it_is_listed_as_what_it_declares(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored(site)
    monkeypatch.setattr(devices, "no_card", lambda: "no card here")
    seen = Ending(Outcome.OK, None), {"devices": ["cpu"]}
    monkeypatch.setattr(probe, "probe", lambda name, device: seen)
    lines = in_process(tmp_path, "list", COLUMNS="120").stdout.splitlines()
    (row,) = (line.split() for line in lines if line.startswith(" mirror"))
    assert row[2:] == ["eager", "cpu", "yes", "tetragrad_mirror", "1.0"]
    assert "no cuda for numpy, torch, tensorflow, jax: no card here" in lines
    assert "no cuda for mirror: Mirror computes on cpu alone" in lines


def test_its_models_are_shown_where_they_are(site: Path, tmp_path: Path) -> None:
    file = mirrored(site) / "mirror" / "fashion_mlp.py"
    done = in_process(tmp_path, "show", "fashion_mlp", COLUMNS="900")
    assert str(file) in done.stdout
    assert "backends/mirror" not in done.stdout
    assert "Mirror" not in in_process(tmp_path, "show", "lstm", COLUMNS="900").stdout
    paths = [found.path for found in sources.implementations("fashion_mlp")]
    assert paths[0] == "backends/numpy/fashion_mlp.py"
    assert paths[-1] == "mirror/fashion_mlp.py"
