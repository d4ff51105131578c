"""Answers of nodes: kept once, sent once, joined by machine; and how a fleet's session ends."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import tasks
from suite.fleet import node as nodes
from suite.fleet.dispatch import Work
from suite.fleet.fleet import Fleet
from suite.fleet.home import Results
from suite.fleet.loop import Answered, ClusterLost, Event, Failed, Files, Incomplete, Joined
from suite.records import builder, timing as timings
from suite.records.cell import Cell, Conditions
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.specification import about
from suite.records.timing import Contestant, Timing
from suite.session import store
from suite.session.plan import Plan
from suite.session.runner import Session, exit_code
from suite.tracking import tracker as tracking
from suite.tracking.tracker import NONE, Tracker
from tests.suite.stored import kept, tracked

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours

BACKENDS = ("numpy", "torch")
PLAN = Plan(
    choices=(("perceptron", "rule"), ("regression", None)),
    backends=(("numpy", "eager"), ("torch", "eager")),
    conditions=Conditions(profile="smoke"),
    seeds=range(2),
    data="auto",
    timeout=60,
    timing_limit=0,
)
FIRST = Work("perceptron:rule", 0)
EVERYTHING = [Work(task, seed) for task in ("perceptron:rule", "regression") for seed in (0, 1)]


class Quiet:
    """A reporter of whom only the lines are of interest."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def good(session: str, cell: Cell, machine: str = "one") -> Record:
    """A record as a node writes it of a cell that went well."""
    told = json.loads(json.dumps(about(tasks.load(cell.task, "smoke", "real", cell.variant))))
    record = replace(builder.begin(session, cell), verified=True, outcome=Outcome.OK)
    record.specification, record.provenance = told["specification"], told["provenance"]
    record.machine = {"cpu": machine, "cores": 2}
    return record


def answer(session: str, cells: tuple[Cell, ...], machine: str = "one", rounds: int = 9) -> Files:
    """The files that a node brings of a comparison."""
    found = [good(session, cell, machine) for cell in cells]
    contestants = [
        Contestant(cell.backend_label, cell.backend, cell.mode, True, (0.1,) * rounds, 0.0)
        for cell in cells
    ]
    timing = Timing(
        *(session, cells[0].shared, builder.now(), "points/s", (100,) * rounds),
        contestants=tuple(contestants),
        host={"cpu": machine, "cores": 2},
    )
    place = Path(f"timings/{session}/{cells[0].task_label.replace(':', '-')}.json")
    files = {str(place): json.dumps(asdict(timing)).encode()}
    for record in found:
        files[f"records/{session}/{record.cell.label}.json"] = json.dumps(asdict(record)).encode()
    return files | {nodes.SAID: b'["a notice"]', nodes.ATTAINED: b"[]"}


class Nodes:
    """A cluster of two nodes that answer at once, or do as ``outcomes`` says of a work."""

    def __init__(self, **outcomes: Any):
        self.session, self.sources = "", {"perceptron": "real", "regression": "real"}
        self.asked: list[tuple[str, Work, Files]] = []
        self.fleet: Any = None
        self._outcomes = outcomes
        self._events: list[Event] = [Joined(name, name, "a kind") for name in ("a", "b")]

    def start(self, node: str, work: Work, files: Files) -> None:
        self.asked.append((node, work, files))
        outcome = self._outcomes.get(f"{work.task.partition(':')[0]}{work.seed}")
        if isinstance(outcome, Exception):
            raise outcome
        if outcome:
            self._events.append(Failed(node, work, outcome))
            return
        cells = self.fleet._comparisons[work].cells if work.seed is not None else ()
        brought = answer(self.session, cells) if cells else {}
        self._events.append(Answered(node, work, brought, 1.0))

    def events(self) -> Iterator[Event]:
        found, self._events = self._events, []
        yield from found

    def forget(self) -> None: ...


def run(
    results: Path, resumed: str | None = None, uri: str = NONE, **outcomes: Any
) -> tuple[Session, Nodes, Quiet]:
    """A session on such a cluster."""
    cluster: Any = Nodes(**outcomes)
    said: Any = Quiet()
    fleet = Fleet(PLAN, results, Tracker(uri, results), said, resumed, cluster)
    cluster.fleet = fleet
    return fleet.run(), cluster, said


def home(results: Path, **earlier: Record) -> tuple[Results, Fleet]:
    """The place that answers come to, and the fleet that knows the comparisons."""
    cluster: Any = Nodes()
    quiet: Any = Quiet()
    fleet = Fleet(PLAN, results, Tracker(NONE, results), quiet, None, cluster)
    return fleet._home, fleet


class TestAnswers:
    def test_are_kept_as_they_came_and_sent_once(self, tmp_path: Path, empty_store: Path) -> None:
        results = tmp_path / "results"
        results.mkdir()
        shutil.copy(empty_store, results)
        session, cluster, said = run(results, uri=tracking.default_uri(results))
        assert exit_code(session) == 0
        assert [r.cell.label for r in session.records] == [
            cell.label for work in EVERYTHING for cell in cluster.fleet._comparisons[work].cells
        ]
        there = kept(tmp_path)
        assert len(there) == 8
        counted = tracked(tmp_path, "perceptron") + tracked(tmp_path, "regression")
        assert counted == dict.fromkeys(there, 1)
        assert len(session.mlflow_runs) == 8
        assert {t: len(own.samples) for t, own in session.timings.items()} == {
            "perceptron:rule": 18,
            "regression": 18,
        }
        assert said.lines.count("a notice") == 4
        again, cluster, said = run(results, session.id, tracking.default_uri(results))
        assert cluster.asked == []
        assert said.lines[0] == "4 of 4 kept from before"
        assert kept(tmp_path) == there
        assert tracked(tmp_path, "perceptron") + tracked(tmp_path, "regression") == counted
        assert again.timings == session.timings

    def test_that_lack_something_are_refused(self, tmp_path: Path) -> None:
        own, fleet = home(tmp_path)
        cells = fleet._comparisons[FIRST].cells
        files = answer(fleet.session.id, cells)
        name = f"records/{fleet.session.id}/{cells[0].label}.json"
        other = f"records/{fleet.session.id}/{cells[1].label}.json"
        for wrong, why in (
            ({n: c for n, c in files.items() if n != name}, "it brought no record of perceptron"),
            ({**files, name: b"{"}, "is not a record"),
            ({**files, name: files[other]}, "is that of perceptron-rule-torch"),
        ):
            with pytest.raises(Incomplete, match=why):
                own.take("a", FIRST, "kind", wrong)
        assert not (tmp_path / "records").exists()

    def test_that_cannot_be_written_end_the_session(self, tmp_path: Path) -> None:
        (tmp_path / "timings").write_text("a file where the folder should be")
        session, _, said = run(tmp_path)
        assert exit_code(session) == 1
        assert "cannot be written, and the session ends" in said.lines[0]
        assert f"tetragrad run --resume {session.id} --cluster ADDRESS" in said.lines[1]


class TestMachines:
    def test_rounds_are_joined_within_a_kind_of_machine(self, tmp_path: Path) -> None:
        own, fleet = home(tmp_path)
        for work, machine, rounds in zip(
            EVERYTHING, ("one", "two") * 2, (9, 20, 8, 8), strict=True
        ):
            cells = fleet._comparisons[work].cells
            own.take("a", work, machine, answer(fleet.session.id, cells, machine, rounds))
        found = own.close()
        assert [len(timing.samples) for timing in found.values()] == [9, 20, 8, 8]
        main = found["perceptron:rule"]
        (other,) = (t for t in found.values() if t.label == main.label and t is not main)
        assert (main.host["cpu"], other.host["cpu"]) == ("two", "one")
        assert other.title == f"perceptron:rule on {other.other_machine}"
        assert timings.path_of(tmp_path, other).exists()

    def test_rounds_of_before_the_fleet_count(self, tmp_path: Path) -> None:
        own, fleet = home(tmp_path)
        cells = fleet._comparisons[FIRST].cells
        own.take("a", FIRST, "kind", answer(fleet.session.id, cells))
        own.close()
        shutil.rmtree(tmp_path / "timings" / fleet.session.id / "parts")
        own.open()
        work = Work(FIRST.task, 1)
        own.take("a", work, "kind", answer(fleet.session.id, fleet._comparisons[work].cells))
        assert len(own.close()[FIRST.task].samples) == 18

    def test_verdicts_go_to_further_nodes_of_the_kind_alone(self, tmp_path: Path) -> None:
        own, _ = home(tmp_path)
        verdict = {"verified/ab.json": b"{}"}
        own.take("a", Work(FIRST.task), "kind", {**verdict, nodes.ATTAINED: b"[1]"})
        assert verdict.items() <= own.files_for("b", FIRST, "kind").items()
        assert not verdict.items() <= own.files_for("b", FIRST, "kind").items()  # it has them
        assert own.files_for("b", FIRST, "kind")[nodes.ATTAINED] == b"[1]"
        assert not {*verdict, nodes.ATTAINED} & own.files_for("c", FIRST, "other").keys()
        later, _ = home(tmp_path)
        assert verdict.items() <= later.files_for("a", FIRST, "kind").items()


class TestEnds:
    def test_a_cluster_that_is_lost_costs_what_was_not_home(self, tmp_path: Path) -> None:
        session, _, said = run(tmp_path, regression1=ClusterLost("its head is silent"))
        assert exit_code(session) == 1
        outcomes = [record.outcome for record in session.records]
        assert outcomes.count(Outcome.OK) + outcomes.count(Outcome.NOT_BEGUN) == 8
        assert Outcome.NOT_BEGUN in outcomes
        assert "the cluster is lost (its head is silent); to go on" in said.lines[-1]
        again, cluster, _ = run(tmp_path, session.id)
        assert exit_code(again) == 0
        begun = [work for _, work, _ in cluster.asked if work.seed is not None]
        assert len(begun) == outcomes.count(Outcome.NOT_BEGUN) // 2

    def test_what_fails_everywhere_is_named_in_its_records(self, tmp_path: Path) -> None:
        session, _, said = run(tmp_path, perceptron1="a flaw")
        assert exit_code(session) == 1
        bad = [record for record in session.records if record.outcome != "ok"]
        assert {(r.cell.task, r.cell.seed, r.outcome) for r in bad} == {
            ("perceptron", 1, "crashed")
        }
        assert (bad[0].reason or "").count("a flaw") == 5
        assert not [line for line in said.lines if "left out" in line]

    def test_half_a_comparison_of_before_goes_along(self, tmp_path: Path) -> None:
        """Its node decides what of it still holds, and brings the rest."""
        session, _, _ = run(tmp_path)
        cells = [r.cell for r in session.records][:2]
        gone = tmp_path / "records" / session.id / f"{cells[1].label}.json"
        gone.unlink()
        _, cluster, _ = run(tmp_path, session.id)
        ((_, work, files),) = [one for one in cluster.asked if one[1].seed is not None]
        assert work == FIRST
        assert [Path(n).stem for n in files if n.startswith("records/")] == [cells[0].label]


class TestNode:
    def test_gives_the_reason_why_it_does_not_do_its_work(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))
        files, why = nodes.work({"sessions/x.json": b"{}"}, "s1", "n1")
        assert files == {}
        assert why
        assert "there is no session 's1'" in why

    def test_says_what_its_disk_has_no_room_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "fleet").write_text("a file where the folder should be")
        monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))
        assert "File exists" in str(nodes.work({}, "s1", "n1")) or "Not a directory" in str(
            nodes.work({}, "s1", "n1")
        )

    def test_lays_out_nothing_of_an_earlier_work_but_verdicts_and_checkpoints(
        self, tmp_path: Path
    ) -> None:
        stays = ("verified/a.json", "checkpoints/s/a.npz")
        for name in (*stays, "records/s/a.json", "timings/s/a.json", "prepare", "said.json"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("x")
        nodes._lay_out(tmp_path, {"sessions/s.json": b"y"})
        left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
        assert left == {*stays, "sessions/s.json"}

    def test_is_told_its_plan_as_a_session_keeps_it(self) -> None:
        assert store.plan_of(store.text_of(PLAN)) == PLAN
        with pytest.raises(ValueError, match="schema version 0"):
            store.plan_of('{"schema_version": 0}')
