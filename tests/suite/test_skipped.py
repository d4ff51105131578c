"""A contestant that cannot run here: a failure where it was asked for by name, and else none."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import backends
from suite import report
from suite.records.cell import Conditions
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.verdict import Verdict
from suite.session import compare, probe, store, verification
from suite.session.plan import Plan
from suite.session.preparation import Preparation
from suite.session.process import Ending
from suite.session.runner import Session, exit_code
from suite.session.stopwatch import Stopwatch
from suite.show import listing
from suite.show.progress import Terminal
from suite.system import devices
from suite.system.revisions import HERE
from suite.tracking import entries
from tests.suite import reported
from tests.suite.command import in_process
from tests.suite.pages import Seen

GRAPH, JIT = ("torch", "graph"), ("jax", "jit")
REASON = "torch:graph replays CUDA graphs, which the CPU has not: --device cuda"


def skipped(backend: str, mode: str) -> Record:
    """A cell whose device is not here, with the verdict that says so."""
    untested = Verdict("fashion_mlp", backend, "float32", 9, (), Outcome.SKIPPED, REASON, mode)
    failed = reported.failed(backend, "skipped", reason=REASON)
    cell = replace(failed.cell, mode=mode)
    return replace(failed, cell=cell, equivalence=asdict(untested))


@pytest.mark.parametrize(
    ("wanted", "mode", "named"),
    [
        ([], None, ()),
        (["all"], None, ()),
        (["torch:all", "jax"], None, (JIT,)),
        (["torch:graph", "all"], None, (GRAPH,)),
        (["torch", "jax:jit"], "graph", (GRAPH, JIT)),
        ([], "graph", (GRAPH, ("tensorflow", "graph"))),
    ],
)
def test_what_is_asked_for_by_name(
    wanted: list[str], mode: str | None, named: tuple[backends.Choice, ...]
) -> None:
    assert backends.named(wanted, mode) == named


@pytest.mark.parametrize(("named", "code"), [((), 0), ((JIT,), 0), ((GRAPH,), 1)])
class TestExitCode:
    @pytest.fixture
    @staticmethod
    def found() -> list[Record]:
        return [reported.record("numpy"), skipped(*GRAPH)]

    def test_of_run(self, found: list[Record], named: Any, code: int) -> None:
        assert exit_code(Session("s", Path(), found, {}, named=named)) == code

    def test_of_time(self, found: list[Record], named: Any, code: int) -> None:
        plan = replace(PLAN, named=named)
        watch = Stopwatch(plan, Path(), Terminal(), (1,))
        watch.records = found
        assert watch.exit_code == code

    def test_of_verify(
        self, named: Any, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        verdicts = [
            Verdict("fashion_mlp", "numpy", "float32", 9, (), mode="eager"),
            Verdict("fashion_mlp", *GRAPH[:1], "float32", 9, (), Outcome.SKIPPED, REASON, "graph"),
        ]
        monkeypatch.setattr(verification, "verify_all", lambda *given, **rest: verdicts)
        asked = [word for one in named for word in ("--backend", ":".join(one))]
        assert in_process(tmp_path, "verify", *asked).returncode == code

    def test_of_compare(
        self, named: Any, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """And so of ``regress``."""
        plan = replace(PLAN, named=named, backends=(GRAPH,))
        monkeypatch.setattr(backends.load("torch"), "available", lambda mode: REASON)
        preparation = Preparation(plan, tmp_path, Terminal())
        (finding,) = compare.compare(plan, HERE, HERE, 0.05, preparation, print)
        assert (finding.verdict, finding.reason) == ("skipped", REASON)
        assert finding.passed is (False if code else None)


PLAN = Plan(
    choices=(("fashion_mlp", None),),
    backends=(("numpy", "eager"), GRAPH),
    conditions=Conditions(profile="smoke"),
    seeds=range(1),
    data="generated",
    timeout=60,
    timing_limit=0,
)


def test_a_session_that_is_resumed_knows_what_was_asked_for(tmp_path: Path) -> None:
    store.write_plan(tmp_path, "s", replace(PLAN, named=(GRAPH,)))
    assert store.read_plan(tmp_path, "s").named == (GRAPH,)
    path = tmp_path / "sessions" / "s.json"
    document = json.loads(path.read_text())
    del document["plan"]["named"]  # as sessions of before have it
    path.write_text(json.dumps(document))
    assert store.read_plan(tmp_path, "s").named == ()


def test_a_run_fails_for_it_and_says_why(proved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in backends.NAMES[1:]:
        monkeypatch.setattr(backends.load(name), "available", lambda mode="": f"no {mode} here")
    asked = ("run", "--task", "fashion_mlp", "--profile", "smoke", "--data", "generated")
    alone = ("--tracking", "none", "--timing-limit", "0")
    done = in_process(proved, *asked, *alone)
    assert done.returncode == 0, done.stderr
    assert "no jit here" in done.stdout
    assert "by name" not in done.stdout
    done = in_process(proved, *asked, *alone, "--backend", "numpy", "--backend", "jax")
    assert done.returncode == 1
    assert "skipped: no jit here; it was asked for by name" in done.stdout


class TestReport:
    def test_it_is_without_a_result_and_not_called_not_verified(self, tmp_path: Path) -> None:
        files = report.write(tmp_path, [reported.record("numpy"), skipped(*GRAPH)], tmp_path)
        (section,) = json.loads(files.json.read_text())["sections"]
        assert "Without a result: PyTorch (graph)." in section["lead"]
        text = " ".join(Seen(files.html.read_text()).text.split())
        assert "skipped (seed 0)" in text
        for said in (text, files.markdown.read_text()):
            assert REASON in said.replace("\\", "")
            assert not re.search("NOT verified|is not verified[:,]", said)

    def test_nor_in_mlflow(self, tmp_path: Path) -> None:
        names = [entries.run_name(one) for one in (skipped(*GRAPH), reported.unverified("torch"))]
        assert names == ["torch:graph seed 0 (skipped)", "torch:eager seed 0 (not verified)"]


class TestList:
    @pytest.mark.parametrize(
        ("seen", "graph"), [(["cpu"], "-"), (["cpu", "cuda:0", "cuda:1"], "cuda:0, cuda:1")]
    )
    def test_a_mode_has_the_devices_it_computes_on(
        self, seen: list[str], graph: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def probed(name: str, device: str) -> Any:
            there = device in {one.partition(":")[0] for one in seen}
            outcome = Outcome.OK if there else Outcome.SKIPPED
            return Ending(outcome, None if there else "no card"), {"devices": seen}

        monkeypatch.setattr(probe, "probe", probed)
        monkeypatch.setattr(devices, "no_card", lambda: None)
        rows = {row.mode: row for row in listing.backend("torch")}
        assert ", ".join(rows["eager"].devices) == ", ".join(seen)
        assert (", ".join(rows["graph"].devices) or "-") == graph
        assert rows["eager"].reason is None
        assert (rows["graph"].reason is None) == (graph != "-")

    def test_a_mode_s_declaration_is_true(self) -> None:
        for loaded in backends.every():
            assert {*loaded.ONLY_ON} <= {*loaded.MODES}
            assert {*loaded.ONLY_ON.values()} <= {*loaded.DEVICES}
        with pytest.raises(backends.program.Unavailable, match="CUDA graphs"):
            backends.load("torch").configure("cpu", 1, "float32", "graph")
