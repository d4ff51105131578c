"""``tetragrad compare``: revisions side by side, verdicts, planted slowness."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from suite.records.cell import Conditions
from suite.records.findings import Finding
from suite.session.compare import alone, compare, confirmed, judge, told, unfinished
from suite.session.plan import Plan
from suite.session.preparation import Preparation
from suite.show.progress import Terminal
from suite.system import revisions
from suite.system.git import ROOT
from suite.system.revisions import HERE, Side
from tasks.task import RequestError
from tests.suite import planting
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import example_timing
from tests.suite.planting import planted

PLAN = Plan(
    choices=(("fashion_mlp", None),),
    backends=(("numpy", "eager"),),
    conditions=Conditions(profile="smoke"),
    seeds=range(1),
    data="generated",
    timeout=300,
    timing_limit=5,
)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.90, 0.94, "slower"),
        (0.90, 0.96, "undecided"),
        (0.96, 1.04, "same"),
        (0.94, 1.06, "undecided"),
        (1.04, 1.10, "undecided"),
        (1.06, 1.10, "faster"),
    ],
)
def test_only_a_whole_interval_decides(low: float, high: float, verdict: str) -> None:
    assert judge(((low + high) / 2, low, high), threshold=0.05) == verdict


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((1.009, 0.989, 1.03), "0.9% faster (−1.1% to +3.0%)"),  # noqa: RUF001
        ((0.85, 0.8, 0.9), "15.0% slower (−20.0% to −10.0%)"),  # noqa: RUF001
        ((1.0001, 0.9, 1.1), "the same speed (−10.0% to +10.0%)"),  # noqa: RUF001
        ((0.9999, 0.9, 1.1), "the same speed (−10.0% to +10.0%)"),  # noqa: RUF001
    ],
)
def test_a_ratio_is_told_in_percent(interval: tuple[float, float, float], text: str) -> None:
    assert told(interval) == text


@pytest.fixture
def preparation(proved: Path) -> Preparation:
    return Preparation(PLAN, proved / "results", Terminal())


def test_a_sleep_in_one_engines_step_is_found(tmp_path: Path, preparation: Preparation) -> None:
    tree = planted(tmp_path / "head")
    engine = tree / "backends" / "numpy" / "engine.py"
    engine.write_text(engine.read_text() + SLOW)
    (found,) = compare(PLAN, Side("base"), Side("head", tree), 0.05, preparation, lambda _: None)
    assert (found.verdict, found.passed) == ("slower", False), found
    assert found.name == "fashion_mlp in numpy:eager"


SLOW = """

def _slowed(train):
    import functools
    import time

    @functools.wraps(train)
    def slowed(self, placed):
        begin = time.perf_counter()
        losses = train(self, placed)
        time.sleep(0.5 * (time.perf_counter() - begin))
        return losses

    return slowed


Program.train = _slowed(Program.train)
"""


@pytest.mark.parametrize(
    ("verdicts", "found", "passed"),
    [
        (("same",), "same", True),
        (("slower", "slower"), "slower", False),
        (("slower", "same"), "undecided", None),
        (("not waited for",), "not waited for", False),
    ],
)
def test_who_is_slower_must_be_so_in_other_processes_too(
    verdicts: tuple[str, ...], found: str, passed: bool | None
) -> None:
    bad = {"slower": False, "not waited for": False}
    turns = [Finding("it", v, f"number {n}", bad.get(v, True)) for n, v in enumerate(verdicts)]
    finding = confirmed(iter(turns).__next__)
    assert (finding.verdict, finding.passed) == (found, passed)
    assert verdicts[1:] != ("same",) or "number 0; then same, number 1" in finding.reason


def test_a_dropped_synchronisation_is_found(tmp_path: Path, preparation: Preparation) -> None:
    tree = planted(tmp_path / "head", *planting.DROPPED_SYNCHRONISATION)
    plan = replace(PLAN, backends=(("jax", "jit"),), timing_limit=5)
    (found,) = compare(plan, Side("base"), Side("head", tree), 0.05, preparation, lambda _: None)
    assert (found.verdict, found.passed) == ("not waited for", False), found
    assert "must return only when all work is done" in found.reason


@pytest.mark.parametrize(
    ("seconds", "idle_load", "why"),
    [
        (0.1, 0.0, None),
        (0.001, 0.0, "it would attain 2500% of what the machine attains"),
        (0.1, 0.8, "it used 80% of a processor while the other was to work alone"),
    ],
)
def test_seconds_that_cannot_be_those_of_the_work(
    seconds: float, idle_load: float, why: str | None
) -> None:
    found = replace(example_timing([seconds] * 5), operations=(1e9,) * 5, machine={"matmul": 4e10})
    one = replace(found.contestants[0], idle_load=idle_load)
    assert unfinished(replace(found, contestants=(one,)), "numpy:eager") == why


def test_the_head_that_is_named_is_what_is_verified(tmp_path: Path) -> None:
    tree = planted(tmp_path / "head", planting.SIGN_OF_A_GRADIENT)
    head = Side("head", tree)
    preparation = Preparation(PLAN, tmp_path, Terminal(), head)
    (found,) = compare(PLAN, HERE, head, 0.05, preparation, lambda _: None)
    assert (found.verdict, found.passed) == ("not verified", False), found


def test_the_one_that_a_finding_names_is_compared_alone() -> None:
    plan = replace(PLAN, choices=(("lstm", None), ("imdb_text", "bow")), backends=BOTH)
    one = alone(plan, "imdb_text:bow in torch:graph")
    assert (one.choices, one.backends) == ((("imdb_text", "bow"),), (("torch", "graph"),))


BOTH = (("numpy", "eager"), ("torch", "graph"))


def test_a_base_that_cannot_be_timed_is_no_alarm(tmp_path: Path, preparation: Preparation) -> None:
    tree = planted(tmp_path / "base")
    (tree / "backends" / "numpy" / "engine.py").write_text("raise OSError('no engine yet')")
    (found,) = compare(PLAN, Side("base", tree), Side("head"), 0.05, preparation, lambda _: None)
    assert (found.verdict, found.passed) == ("undecided", None)
    assert "base crashed: OSError: no engine yet" in found.reason


def test_a_revision_is_checked_out_as_long_as_it_is_needed() -> None:
    with revisions.checked_out("HEAD") as tree:
        assert (tree / "suite" / "worker" / "main.py").is_file()
        assert tree != ROOT
    assert not tree.exists()
    with (
        pytest.raises(RequestError, match="no revision '--nonsense'"),
        revisions.checked_out("--nonsense"),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((), ("BASE", "--base-python")),
        (("nowhere",), ("no revision 'nowhere'", "git log")),
        (("--base-python", "/nowhere/python"), ("/nowhere/python", "is no program")),
        (("--bisect", "--base-python", "/nowhere/python"), ("--bisect is for two revisions",)),
        (("HEAD", "HEAD", "--bisect"), ("HEAD is no ancestor of HEAD",)),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, wrong: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(in_process(tmp_path, "compare", *wrong), *words)


def test_another_environment_of_the_same_source(proved: Path) -> None:
    asked = ("--task", "fashion_mlp", "--backend", "numpy", "--profile", "smoke", "--limit", "1")
    files = ("--markdown", "found.md", "--junit", "found.xml")
    done = in_process(
        proved,
        *("compare", "--base-python", sys.executable, "--data", "generated"),
        *(*asked, *files, "--threshold", "0.8"),
    )
    assert done.returncode == 0, done.stderr
    assert "in another environment" in done.stdout
    assert "fashion_mlp in numpy:eager | same |" in (proved / "found.md").read_text()
    (suite,) = ElementTree.parse(proved / "found.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("1", "0")
