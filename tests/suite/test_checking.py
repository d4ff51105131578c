"""A check against baselines: what has not changed passes, and a planted fault is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from suite.cli import regress as regress_cli
from suite.records import record as records
from suite.records.baseline import FALSE_ALARMS
from suite.records.events import Outcome
from suite.records.findings import Finding, Findings
from suite.records.record import Record
from suite.records.verdict import Deviation as Compared, Verdict
from suite.session import check as checking, compare as comparison
from suite.session.check import Result, judged
from suite.system import revisions
from tasks.task import Envelope
from tests.folders import MIRROR, importable, mirrored
from tests.suite import planting
from tests.suite.command import assert_refused, in_process, tetragrad
from tests.suite.examples import example_baseline, example_record, example_runs
from tests.suite.planting import Fault, planted

PLACE = "fashion_mlp numpy:eager"
SAME = Verdict("fashion_mlp", "numpy", "float32", 9, (Compared("loss", 1e-9, 1e-6, "", True),))
ENVELOPE = Envelope(steps=9, loss=1e-6, gradient=1, state=1)


def judge(
    change: Callable[[Record], None] = lambda record: None,
    verdict: Verdict = SAME,
    **baseline: Any,
) -> dict[str, Finding]:
    """Findings on the baseline's first run, changed, by their subject."""
    record = example_runs()[0]
    change(record)
    against = replace(example_baseline(), **baseline)
    found = judged(against, Result(record, verdict, ENVELOPE), FALSE_ALARMS / 8)
    assert all(f.name.startswith(f"{PLACE}: ") for f in found)
    return {f.name.removeprefix(f"{PLACE}: "): f for f in found}


def failed(found: dict[str, Finding]) -> list[str]:
    return [f"{name} {f.verdict}" for name, f in found.items() if f.passed is False]


class TestJudged:
    def test_what_is_as_it_was_passes(self) -> None:
        found = judge()
        assert failed(found) == []
        assert list(found) == [
            *("outcome", "equivalence", "constants", "data", "loss at step 1"),
            *("losses at fixed steps", "train_loss, epoch 1", "train_loss, epoch 2"),
            *("test_loss", "test_accuracy"),
        ]
        assert "steps 2, 5:" in found["losses at fixed steps"].reason  # 10 is past the envelope
        assert found["test_loss"].verdict == "no band"

    @pytest.mark.parametrize(("value", "side"), [(0.77, "below"), (0.83, "above")])
    def test_a_metric_may_be_too_good_as_well(self, value: float, side: str) -> None:
        found = judge(lambda record: record.epochs[1]["metrics"].update(test_accuracy=value))
        assert failed(found) == [f"test_accuracy {side} its band"]
        assert re.match(rf"{value}, the band is \[0.78\d*, 0.81\d*\]: 0.8 \+- 0.003 in 10 runs",
                        found["test_accuracy"].reason)  # fmt: skip

    @pytest.mark.parametrize(("error", "passed"), [(1.9e-6, True), (2.1e-6, False)])
    @pytest.mark.parametrize(
        ("step", "name"), [(0, "loss at step 1"), (1, "losses at fixed steps")]
    )
    def test_losses_of_the_same_seed_part_by_rounding_alone(
        self, step: int, name: str, error: float, passed: bool
    ) -> None:
        def change(record: Record) -> None:
            record.chunks[0]["losses"][step] *= 1 + error

        assert failed(judge(change)) == ([] if passed else [f"{name} changed"])

    @pytest.mark.parametrize("other", [{"packages": {"numpy": "1"}}, {"machine": {"cpu": "an"}}])
    def test_of_other_versions_or_processors_the_first_loss_alone_is_judged(
        self, other: dict[str, Any]
    ) -> None:
        def change(record: Record) -> None:
            record.chunks[0]["losses"][1] *= 2

        found = judge(change, **other)
        assert failed(found) == []
        assert found["losses at fixed steps"].passed is None
        assert failed(judge(lambda r: r.chunks[0]["losses"].__setitem__(0, 3.0), **other)) == [
            "loss at step 1 changed"
        ]

    def test_on_a_card_the_first_loss_alone_is_judged(self) -> None:
        def change(record: Record) -> None:
            record.cell = replace(record.cell, device="cuda")
            record.chunks[0]["losses"][1] *= 2

        found = judge(change)
        assert failed(found) == []
        assert "varies" in found["losses at fixed steps"].reason

    def test_a_seed_that_the_baseline_does_not_have_has_bands_alone(self) -> None:
        def change(record: Record) -> None:
            record.cell = replace(record.cell, seed=99)
            record.chunks[0]["losses"][0] = 3.0

        assert failed(judge(change)) == []
        assert "loss at step 1" not in judge(change)

    def test_a_metric_that_is_not_there_any_more(self) -> None:
        found = judge(lambda record: record.targets.clear())
        assert failed(found) == ["test_accuracy missing"]

    def test_other_constants_are_named_and_nothing_else_is_compared(self) -> None:
        before = {**example_record().specification, "hidden": 64, "parameters": 5}
        found = judge(specification=before)
        assert failed(found) == ["constants changed"]
        for words in ("hidden was 64 and is 128", "parameters was 5 and is not there"):
            assert words in found["constants"].reason
        assert "test_accuracy" not in found

    def test_other_data_are_never_compared(self) -> None:
        found = judge(provenance={"digest": "ff00", "source": "generated"})
        assert failed(found) == ["data changed"]
        assert "test_accuracy" not in found

    def test_a_cell_that_was_ok_and_is_not(self) -> None:
        def change(record: Record) -> None:
            record.outcome, record.reason = Outcome.SKIPPED, "NumPy is not installed"
            record.specification = {}

        found = judge(change)
        assert failed(found) == ["outcome skipped"]
        assert "NumPy is not installed" in found["outcome"].reason
        assert "test_accuracy" not in found

    def test_another_model_is_named(self) -> None:
        parted = replace(SAME, findings=(Compared("loss", 1e-2, 1e-6, "step 3", False),))
        found = judge(verdict=parted)
        assert failed(found) == ["equivalence not the same model"]
        assert "loss differs first at step 3" in found["equivalence"].reason


def test_every_backend_has_seeds_of_its_own() -> None:
    chosen = [("numpy", "eager"), ("jax", "jit")]
    cells = checking.planned(("fashion_mlp", None), chosen, "smoke", "real", range(3, 8))
    assert [cell.seed for cell in cells] == list(range(3, 13))
    own = checking.cells_of(example_baseline(), [("jax", "jit"), ("torch", "eager")], None)
    assert [(cell.backend, cell.seed, cell.data) for cell in own] == [("jax", 5, "generated")]


def test_only_runs_that_are_good_make_a_baseline() -> None:
    record = example_runs()[0]
    assert checking.why_not(Result(record, SAME, ENVELOPE)) is None
    parted = replace(SAME, outcome=Outcome.CRASHED, reason="it fell")
    assert "is not verified: crashed: it fell" in str(
        checking.why_not(Result(record, parted, ENVELOPE))
    )
    record.outcome, record.reason = Outcome.DIVERGED, "the loss is nan"
    assert "diverged, the loss is nan" in str(checking.why_not(Result(record, SAME, ENVELOPE)))


OPTIONS = ("--task", "fashion_mlp", "--data", "generated")
BOTH = ("--backend", "numpy", "--backend", "mirror")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, verdicts: Path) -> Iterator[Path]:
    """A folder with a baseline of NumPy and another backend, made as a user makes it."""
    folder, site = tmp_path_factory.mktemp("baseline"), tmp_path_factory.mktemp("site")
    shutil.copytree(verdicts, folder / "results" / "verified")
    with importable(mirrored(site)):
        done = in_process(folder, "baseline", "update", *OPTIONS, *BOTH)
        assert done.returncode == 0, done
        yield folder


def test_what_has_not_changed_passes_and_is_written_down(made: Path) -> None:
    (path,) = (made / "results" / "baselines").iterdir()
    document = json.loads(path.read_text())
    assert [run["seed"] for run in document["runs"]] == list(range(10))
    assert document["made"]["command"].endswith("--backend numpy:eager --backend mirror:eager")
    done = in_process(made, "check", *OPTIONS, *BOTH, "--junit", "c.xml", "--markdown", "c.md")
    assert not list(records.all_paths(made / "results"))
    assert list(records.all_paths(made / "results" / "checks"))
    assert done.returncode == 0, done
    assert "all 20 checks passed" in done.stdout
    assert "| ✅ | fashion_mlp mirror:eager: test_accuracy | in its band |" in (
        made / "c.md"
    ).read_text(encoding="utf-8")
    (suite,) = ElementTree.parse(made / "c.xml").getroot()
    assert suite.attrib["tests"] == "20"


def test_regress_is_check_and_compare_with_one_summary(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was changed: whatever else the machine does, no speed differs by four fifths; on one
    that is too busy it may not be known."""
    monkeypatch.setattr(regress_cli, "THRESHOLD", 0.8)
    monkeypatch.setattr(revisions, "same_program", lambda *given: False)
    asked = ("regress", "HEAD", *OPTIONS, "--backend", "numpy", "--limit", "0")
    done = in_process(made, *asked)
    assert done.returncode == 0, done
    folder = made / "results" / "regress"
    summary = (folder / "summary.md").read_text()
    assert "fashion_mlp numpy:eager: equivalence | same model" in summary
    assert re.search(r"fashion_mlp in numpy:eager \| (same|undecided) \|", summary), summary
    (suite,) = ElementTree.parse(folder / "junit.xml").getroot()
    assert suite.attrib["failures"] == "0"


@pytest.mark.parametrize("bad", ["check", "compare"])
def test_regress_fails_with_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    found = {
        name: Finding(f"of {name}", "bad" if name == bad else "good", "why", name != bad)
        for name in ("check", "compare")
    }
    own = Findings("Check", (found["check"],))
    monkeypatch.setattr(checking, "find", lambda *given: [])
    monkeypatch.setattr(checking, "check", lambda *given: own)
    monkeypatch.setattr(comparison, "compare", lambda *given: [found["compare"]])
    monkeypatch.setattr(revisions, "same_program", lambda *given: False)
    done = in_process(tmp_path, "regress", "HEAD", *OPTIONS, "--backend", "numpy")
    assert done.returncode == 1, done
    assert f"of {bad}: bad (why)" in done.stdout
    assert "1 of 2 checks failed" in done.stdout
    folder = tmp_path / "results" / "regress"
    assert f"of {bad} | bad | why |" in (folder / "summary.md").read_text()
    (suite,) = ElementTree.parse(folder / "junit.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")


def test_what_has_no_baseline_is_refused(made: Path) -> None:
    words = ("fashion_mlp has no baseline of the full profile on generated data", "update")
    assert_refused(in_process(made, "check", *OPTIONS, "--profile", "full"), *words)
    assert_refused(in_process(made, "check", *OPTIONS, "--backend", "jax"), "no run of jax:jit")


ANOTHER_CONSTANT = """
from copy import copy
from dataclasses import replace

from backends.numpy import fashion_mlp
from backends.numpy.fashion_mlp import forward, loss


def build(task, state, seed):
    task = copy(task)
    task.optimizer = replace(task.optimizer, rho=0.99)
    return fashion_mlp.build(task, state, seed)
"""
"""A constant of one backend alone."""


@pytest.mark.parametrize(
    ("faults", "chosen", "named"),
    [
        (
            (planting.SHUFFLED_LABELS,),
            BOTH,
            (
                "mirror:eager: equivalence: not the same model .*loss.* first at step 2",
                "numpy:eager: test_accuracy: below its band",
            ),
        ),
        (
            (planting.INITIAL_DISTRIBUTION,),
            ("--backend", "numpy"),
            (r"numpy:eager: loss at step 1: changed \(at step 1 the loss was .* with seed 0 ",),
        ),
    ],
    ids=["a constant of one backend alone, and shuffled labels", "another initial distribution"],
)
def test_planted_faults_are_caught_and_named(
    tmp_path: Path,
    made: Path,
    faults: tuple[Fault, ...],
    chosen: tuple[str, ...],
    named: tuple[str, ...],
) -> None:
    planted(tmp_path, *faults)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "__init__.py").write_text(MIRROR)
    (tmp_path / "mirror" / "fashion_mlp.py").write_text(ANOTHER_CONSTANT)
    folder = ("--baselines", str(made / "results" / "baselines"))
    done = tetragrad(tmp_path, "check", *OPTIONS, *chosen, *folder, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done
    for words in named:
        assert re.search(f"^fashion_mlp {words}", done.stdout, re.MULTILINE), done.stdout
