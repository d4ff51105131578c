"""``tetragrad upgrade``: planted versions of a small package, in a folder that is the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from suite.records.cell import Cell
from suite.records.events import Finished, Outcome
from suite.records.findings import Finding
from suite.records.record import Record
from suite.records.verdict import Verdict
from suite.session import race
from suite.session.preparation import Preparation
from suite.session.process import Ending
from suite.session.symptom import brings
from suite.session.traces import Traces, doubled
from suite.session.upgrade import _Pair
from suite.session.upgraded import Upgraded
from suite.session.verifier import Verifier
from suite.show.progress import Terminal
from suite.system import environment
from suite.system.revisions import Side
from tasks.task import Envelope
from tests import folders
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import example_record
from tests.tiny import tiny_task
from tests.wheels import write_wheel

MODEL = """
from backends.numpy.engine import Program
from planted import touched

from .perceptron import forward
from .perceptron import loss as plain


def loss(params, buffers, batch, key):
    value, buffers, backward = plain(params, buffers, batch, key)
    return touched(value), buffers, backward


def build(task, state, seed):
    return Program(task, state, seed, forward, loss)
"""
SAME = "def touched(value):\n    return value\n"
EPSILON = "def touched(value):\n    return value + value.dtype.type(1e-3)\n"
BROKEN = "raise ImportError('planted 3 needs a GPU')\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task whose NumPy model uses a package, and with versions of that."""
    root = tmp_path_factory.mktemp("upgrade")
    folders.written(root / "mine", numpy=MODEL)
    for version, source in (("1.0", SAME), ("2.0", EPSILON), ("2.1", EPSILON), ("3.0", BROKEN)):
        write_wheel(root / "wheels", "planted", version, source)
    return root


def upgraded(place: Path, *arguments: str) -> Any:
    """The command in that folder, its environments kept from one test to the next."""
    index = ("--no-index", "--find-links", "wheels")
    asked = ("--task", "mine", "--backend", "numpy", "--profile", "smoke", "--limit", "0")
    return in_process(place, "upgrade", *arguments, *index, *asked)


def test_an_epsilon_is_named_with_its_step(place: Path) -> None:
    done = upgraded(place, "planted==2.0", "--base", "planted==1.0", "--markdown", "found.md")
    assert done.returncode == 1, done.stderr
    assert "upgrade: planted 1.0 → 2.0" in done.stdout
    written = (place / "found.md").read_text()
    assert "| | equivalence | losses | quality | speed |" in written
    row = "| ./mine numpy:eager | same model | differ from step 1, first in the loss | not judged |"
    assert row in written
    assert "more than rounding: initial loss differs first at step 1" in written


def test_all_the_same_is_one_line() -> None:
    same = (Finding("t a: equivalence", "same model", "."), Finding("t a: speed", "same", "."))
    assert Upgraded("upgrade: a 1 → 2", same, ("Also: nothing.",)).markdown() == (
        "# upgrade: a 1 → 2\n\nAlso: nothing.\n\nAll the same: 2 checked.\n"
    )
    worse = Upgraded("it", (*same, Finding("t b: speed", "slower", "0.8", False))).markdown()
    assert worse.endswith(
        "| | equivalence | speed |\n|---|---|---|\n| t a | same model | same |\n"
        "| t b | - | slower |\n\n- **t b: speed** slower: 0.8\n"
    )


def test_the_version_that_fails_is_found(place: Path) -> None:
    done = upgraded(place, "planted==3.0", "--base", "planted==2.0", "--bisect", "--fails")
    assert done.returncode == 1, done.stderr
    said = "planted 2.1 → 3.0 alone: fails: crashed: mine/numpy.py, line 3: ImportError: planted 3"
    assert said in done.stdout
    assert "(2 probes)" in done.stdout


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("planted==1.0", "--bisect"), ("--bisect is no search", "--slower, --differs, --fails")),
        (("planted==1.0", "--differs"), ("--differs is no search",)),
        (("planted==1.0", "--bisect", "--slower", "--fails"), ("is no search",)),
        (("planted=1",), ("'planted=1' is no requirement",)),
    ],
)
def test_what_cannot_be_asked_is_refused(
    tmp_path: Path, wrong: Sequence[str], words: Sequence[str]
) -> None:
    done = in_process(tmp_path, "upgrade", *wrong, "--task", "fashion_mlp")
    done.stderr = done.stderr.rpartition("...\n")[2]
    assert_refused(done, *words)


ENVELOPE = Envelope(steps=3, loss=1e-3, gradient=1e-3, state=1e-3)


def trace(**changed: Any) -> dict[str, Any]:
    """A trace of three steps in which some entries are others."""
    leaves = {f"state@{n}/{leaf}": np.ones(2) for n in (1, 2, 3) for leaf in ("a", "b")}
    outputs = {f"prediction@{n}/test/logits": np.ones(2) for n in range(4)}
    own = {"initial loss": np.ones(1), "gradient/a": np.ones(2), "gradient/b": np.ones(2)}
    return {**own, "loss": np.ones(3), **leaves, **outputs, **changed}


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({}, None),
        ({"prediction@0/test/logits": np.array([1, 2.0])}, "before step 1, first in test/logits"),
        ({"gradient/b": np.array([1, 2.0])}, "step 1, first in the gradient of b"),
        ({"loss": np.array([1, 1, 2.0])}, "step 3, first in the loss"),
        ({"state@2/a": np.array([1, 2.0])}, "step 2, first in a"),
        (
            {"state@2/a": np.array([1, 2.0]), "state@2/b": np.array([1, 4.0])},
            "step 2, first in b and 1 more",
        ),
        ({"state@1/a": np.array([1, np.nan])}, "step 1, first in a"),
    ],
)
def test_the_first_difference_of_two_traces(changed: dict[str, Any], place: str | None) -> None:
    traces = Traces.__new__(Traces)
    traces._envelope = ENVELOPE
    found = traces.difference(trace(), trace(**changed))
    assert (found and found.place) == place
    small = traces.difference(trace(), trace(**{"state@3/a": np.array([1, 1 + 1.5e-3])}))
    assert small
    assert small.beyond is None, "each of the two may be as far from the oracle"


def test_every_tolerance_is_doubled() -> None:
    stages = replace(ENVELOPE, loss=((1, 1e-3), (3, 1e-2)), prediction=1e-1)
    two = doubled(stages)
    assert (two.loss, two.gradient, two.state) == (((1, 2e-3), (3, 2e-2)), 2e-3, 2e-3)
    assert two.prediction_tolerance == 2e-1


def pair(verified: bool) -> _Pair:
    """A pair whose old environment is ``verified`` or not, and whose new one crashed."""
    record = example_record()
    crashed = Verdict(
        *("fashion_mlp", "numpy", "float32", 10, ()), Outcome.CRASHED, "no such symbol"
    )
    record.equivalence, record.verified = asdict(crashed), False

    def ready(records: Sequence[Record]) -> None:
        for one in records:
            one.verified = verified

    old: Any = SimpleNamespace(ready=ready)
    sides = (Side("old"), Side("new"))
    other: Any = SimpleNamespace(timeout=1, named=(), busy=lambda _: None)
    return _Pair(record, sides, other, old, other, other, other)


@pytest.mark.parametrize(("before", "passed"), [(True, False), (False, None)])
def test_what_failed_before_has_not_become_worse(before: bool, passed: bool | None) -> None:
    (finding,) = pair(before).findings()
    assert (finding.verdict, finding.passed) == ("fails", passed)
    assert "no such symbol" in finding.reason
    assert ("not verified either" in finding.reason) is not before


@pytest.mark.parametrize(
    ("shift", "verdict", "passed"),
    [(0.0, "same", True), (0.004, "same", True), (-0.1, "worse", False), (0.1, "better", True)],
)
def test_quality_is_judged_by_the_margin_and_by_more_seeds_beyond_it(
    monkeypatch: pytest.MonkeyPatch, shift: float, verdict: str, passed: bool
) -> None:
    old, new = example_record(), example_record()
    for record in (old, new):
        record.margin, record.targets = 0.005, [{"metric": "acc", "low": 0.8, "high": None}]
    seeds = []

    def train(own: Sequence[Record], *_: Any) -> None:
        for record, shifted in zip(own, (0.0, shift), strict=True):
            record.epochs = [{"metrics": {"acc": 0.5 + record.cell.seed / 100 + shifted}}]
            record.outcome = old.outcome
        seeds.append(own[0].cell.seed)

    monkeypatch.setattr("suite.session.upgrade.train_untimed", train)
    train([old, new])
    seeds.clear()
    finding = pair(True)._quality(old, new)
    assert (finding.verdict, finding.passed) == (verdict, passed)
    assert seeds == ([1, 2, 3, 4] if abs(shift) > 0.005 else [])


class Counting:
    """A worker that has finished after some turns."""

    def __init__(self, cell: Cell, kind: str, heard: Any, timeout: float | None, turns: int):
        self.cell, self._heard, self._turns = cell, heard, turns
        self.ending: Ending | None = None
        self.said: list[str] = []

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def turn(self, word: str = "go") -> bool:
        self.said.append(word)
        if self.said.count("go") == self._turns:
            self._heard(Finished({}, {}, {}, {}))
        self.ending = Ending(Outcome.OK, None) if word == "stop" else None
        return self.ending is None


def test_two_of_the_same_cell_are_each_trained_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    workers = []

    def worker(*arguments: Any, **job: Any) -> Counting:
        workers.append(Counting(*arguments, **job))
        return workers[-1]

    monkeypatch.setattr(race, "Worker", worker)
    pair = [example_record(), example_record()]
    race.train_untimed(pair, lambda *_: None, job=lambda r: {"turns": 1 + 4 * (r is pair[1])})
    assert [worker.said.count("go") for worker in workers] == [1, 5]


def test_a_verdict_of_other_packages_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of verdicts asks which packages a side's Python has, not which ours has."""
    monkeypatch.setattr(environment, "versions_in", lambda python: {"numpy": python})
    task = tiny_task()
    paths = [
        Verifier(task, "cpu", 1, cache_folder=tmp_path, side=side)._cache_path(
            ("numpy", "eager"), "float32"
        )
        for side in (Side("old", python="a"), Side("new", python="b"), Side("again", python="a"))
    ]
    assert paths[0] == paths[2] != paths[1]


def test_the_first_losses_are_of_the_same_packages() -> None:
    """An oracle that this environment cannot run is the new one's to run."""
    side = Side("new", python="/there/bin/python")
    plan: Any = SimpleNamespace(timeout=1)
    preparation = Preparation(plan, Path("nowhere"), Terminal(), side)
    assert preparation._trajectories._side.command[0] == "/there/bin/python"


@pytest.mark.parametrize(
    ("low", "high", "slowed", "answer"),
    [
        (0.80, 0.93, 0.9, True),
        (0.80, 0.96, 0.9, None),
        (0.96, 1.20, 0.9, False),  # too wide to be called the same, but not like the new one
        (0.94, 1.01, 0.9, None),
    ],
)
def test_a_probe_is_like_the_old_or_like_the_new(
    low: float, high: float, slowed: float, answer: bool | None
) -> None:
    assert brings(((low + high) / 2, low, high), slowed) is answer
