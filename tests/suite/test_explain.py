"""``tetragrad explain``: which switches are flipped, what their factors say, what is refused."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from suite.records.cell import Cell, Conditions
from suite.records.events import Described, Event
from suite.records.explanation import Explanation
from suite.records.record import Record
from suite.records.timing import LEAST_ROUNDS, Contestant, Timing
from suite.records.verdict import Verdict
from suite.report import explanation
from suite.session.explain import Explainer, Question, Runner, answered, asked_of
from suite.session.plan import Plan
from suite.session.process import launch
from suite.session.switches import SWITCHES, Flip, Side
from suite.show.explanation import document, print_explanation, spans, steps, times
from suite.system import environment
from suite.worker import probes
from tasks.optimizers import Adam
from tasks.task import Precision, RequestError, dtype_of
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import example_record, example_timing
from tests.tiny import RMSPROP

FACTS = {"allocator": {"MALLOC_ARENA_MAX": "1"}, "denormals": "kept"}
CELL = Cell(task="fashion_mlp", profile="smoke", data="generated")
ADAM = Adam(1e-2, 0.9, 0.999, 1e-8)
SIDES = {
    "jax": Side(
        replace(CELL, backend="jax", mode="jit"),
        {**FACTS, "denormals": "flushed to zero"},
        RMSPROP,
    ),
    "torch": Side(replace(CELL, backend="torch", mode="eager"), FACTS, RMSPROP),
    "adam": Side(replace(CELL, backend="torch", mode="eager"), FACTS, ADAM),
    "numpy": Side(replace(CELL, backend="numpy", mode="eager"), FACTS, ADAM),
}
KNOWN = {switch.name: switch for switch in SWITCHES}


def asked(name: str, a: str, b: str) -> Question:
    return asked_of(KNOWN[name], SIDES[a], SIDES[b])


class TestSwitches:
    @pytest.mark.parametrize(
        ("name", "a", "b", "flipped"),
        [
            ("mode", "jax", "torch", (None, "compiled")),
            ("mode", "torch", "jax", ("compiled", None)),
            ("launches", "jax", "torch", ("one a step, or more", None)),
            ("denormals", "jax", "torch", (None, "flushed to zero")),
            ("optimiser", "numpy", "adam", (None, "formulas, in place")),
        ],
    )
    def test_a_fact_that_differs_is_made_alike_on_the_side_that_can(
        self, name: str, a: str, b: str, flipped: tuple[str | None, str | None]
    ) -> None:
        question = asked(name, a, b)
        assert question.alike
        assert question.row.flipped == flipped

    @pytest.mark.parametrize("name", ["precision", "allocator", "transfer"])
    def test_one_that_does_not_is_flipped_on_both(self, name: str) -> None:
        question = asked(name, "jax", "torch")
        assert not question.alike
        assert None not in question.row.flipped

    def test_what_one_side_alone_has_is_flipped_there_and_the_other_says_why_not(self) -> None:
        row = asked("compiling", "jax", "torch").row
        assert row.flipped == ("timed, every chunk anew", None)
        assert row.reason == "PyTorch compiles nothing so"
        assert asked("denormals", "numpy", "torch").row.flipped == (None, "flushed to zero")

    def test_what_nothing_flips_is_told_with_the_reason(self) -> None:
        stuck = asked("optimiser", "jax", "torch")
        assert not stuck.flipped
        assert stuck.unanswered.reason == (
            "JAX has one form of it; PyTorch has two forms of Adam alone, uncompiled"
        )
        assert asked("denormals", "jax", "numpy").flipped is False


def flip(name: str, side: str = "numpy") -> Flip:
    found = KNOWN[name].flip(SIDES[side])
    assert isinstance(found, Flip)
    return found


def test_the_allocator_gives_memory_back_that_every_array_takes_anew() -> None:
    """Counted: page faults of an array that is made again and again."""
    code = (
        "import resource, numpy\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "numpy.ones(1 << 23); before = faults()\n"
        "for _ in range(8): numpy.ones(1 << 23)\n"
        "print(faults() - before)"
    )
    own = environment.worker_environment("numpy", "cpu", 1)
    side = replace(SIDES["numpy"], facts={"allocator": probes_of(own)})
    flipped = KNOWN["allocator"].flip(side)
    assert isinstance(flipped, Flip)
    runner = Runner(example_record(), example_record(), [flipped])
    (*words, _, _, _, _) = runner.job()["command"]
    counts = [
        int(subprocess.run([*prefix, sys.executable, "-c", code], env=own, **PIPED).stdout)
        for prefix in (words[:0], words)
    ]
    # 8 times 64 MB, in pages of 2 MB at most
    assert counts[0] < 100
    assert counts[1] > 200


PIPED: dict[str, Any] = {"capture_output": True, "text": True, "check": True}


def probes_of(variables: dict[str, str]) -> dict[str, str]:
    return {name: v for name, v in variables.items() if name.startswith(probes.ALLOCATOR)}


@pytest.mark.skipif(environment.cpus() < 2, reason="there is one CPU")
def test_a_worker_of_other_threads_counts_them() -> None:
    seen: list[dict[str, Any]] = []

    def heard(event: Event) -> None:
        if isinstance(event, Described):
            seen.append(event.worker["threads"])

    cell = replace(SIDES["numpy"].cell, **flip("threads").cell)
    assert launch(cell, "describe", heard).outcome == "ok"
    assert cell.threads == environment.cpus() > 1
    assert set(seen[0].values()) == {cell.threads}


def test_a_product_of_the_other_precision_keeps_digits_that_float32_has_not() -> None:
    fine = np.array([[1 + 2.0**-40]])
    other: Precision = flip("precision").cell["precision"]
    assert other == "float64"
    pairs: list[tuple[Precision, bool]] = [("float32", False), (other, True)]
    for precision, kept in pairs:
        factor = fine.astype(dtype_of(precision))
        assert bool((factor @ np.eye(1, dtype=factor.dtype) > 1).all()) == kept


# an explanation of made-up seconds: A is 1.5 times as fast as B, of which flipping the launches of
# A is 1.2, flushing the denormals of B is 1.1, and both together 1.4


def contestant(name: str, seconds: float) -> Contestant:
    drift = np.linspace(1, 3, LEAST_ROUNDS)  # the machine becomes slower: for all of a round
    return Contestant(name, "torch", "eager", True, tuple(seconds * drift), 0.0)


def timing(**seconds: float) -> Timing:
    contestants = tuple(contestant(name, own) for name, own in seconds.items())
    return replace(example_timing([1.0] * LEAST_ROUNDS), contestants=contestants)


def runner(name: str, cell: Cell, flipped: Sequence[Flip] = (), **facts: Any) -> Runner:
    record = replace(example_record(), cell=cell, worker={**FACTS, **facts})
    return Runner(record, replace(record, worker=FACTS), flipped, name=name)


def explained(became: str = "flushed to zero") -> Explanation:
    base = [runner("a", SIDES["jax"].cell, governor="x"), runner("b", SIDES["torch"].cell)]
    base[1].record.worker["governor"] = "y"
    launches, denormals = asked("launches", "jax", "torch"), asked("denormals", "jax", "torch")
    threads, optimiser = asked("threads", "jax", "torch"), asked("optimiser", "jax", "torch")
    launches.runners = [runner("launches", SIDES["jax"].cell), base[1]]
    denormals.runners = [
        base[0],
        runner("denormals", SIDES["torch"].cell, [flip("denormals", "torch")], denormals=became),
    ]
    threads.runners = [runner("", SIDES["jax"].cell), base[1]]
    threads.runners[0].record.reason = "killed"
    both = [runner("mine", SIDES["jax"].cell), runner("other", SIDES["torch"].cell)]
    own = timing(a=1, b=1.5, launches=1.2, denormals=1.5 / 1.1, mine=1.25, other=1.5 / 1.12)
    phases = timing(a=1.0, b=1.5, af=0.3, bf=0.4, ag=0.8, bg=1.2)
    cells = [SIDES["jax"].cell, SIDES["torch"].cell] * 3
    stops = [runner(c.name, cell) for c, cell in zip(phases.contestants, cells, strict=True)]
    questions = [launches, denormals, threads, optimiser]
    return answered(own, base, questions, both, (phases, stops))


def test_factors_multiply_to_the_ratio_and_the_rest_is_what_all_flips_leave() -> None:
    found = explained()
    effects = [row.effect[0] for row in found.alike if row.effect]
    assert found.total[0] == pytest.approx(1.5)
    assert effects == pytest.approx([1.2, 1.1])
    assert found.rest[0] == pytest.approx(1.5 / 1.12 / 1.25)
    product = np.prod([*effects, found.together[0], found.rest[0]])
    assert product == pytest.approx(found.total[0])
    assert [row.switch for row in found.stuck] == ["threads", "optimiser", "governor"]
    assert found.stuck[0].reason == "killed"
    assert found.stuck[2].values == ("x", "y")
    for _, low, high in (found.total, found.rest):
        assert low > 1 < high


def test_a_flip_that_the_ledger_does_not_show_is_none() -> None:
    found = explained(became="kept")
    assert [row.switch for row in found.alike] == ["launches"]
    (row,) = (row for row in found.stuck if row.switch == "denormals")
    assert row.flipped == (None, None)
    assert row.reason == "torch:eager was told to, and its ledger shows no change"


def test_phases_add_up_and_so_do_their_differences() -> None:
    phases = explained().phases
    drift = 2 / 100  # the median round, 100 samples
    for side, expected in (
        ("a", [0.3, 0.5, 0.2]),
        ("b", [0.4, 0.8, 0.3]),
        ("more", [0.1, 0.3, 0.1]),
    ):
        found = [getattr(phase, side)[0] for phase in phases]
        assert found == pytest.approx([drift * seconds for seconds in expected])


def test_what_is_printed_and_what_programs_get_say_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = explained()
    print_explanation(found, Console(width=140))
    printed = capsys.readouterr().out
    assert "a is 1.50 [1.4" in printed
    assert "b: flushed to zero" in printed
    assert "not flipped: threads (1): killed" in printed
    told = json.loads(json.dumps(document(found)))
    assert told["rest"]["low"] < told["rest"]["median"] == found.rest[0]
    assert [row["switch"] for row in told["alike"]] == ["launches", "denormals"]
    bars = [line.rstrip() for line in printed.splitlines() if "█" in line]
    ends = [(line.index("█"), len(line)) for line in bars]
    assert len(ends) == 5  # in all, two switches, together, not explained
    for (begin, _), (_, end) in itertools.pairwise(ends[1:4]):
        assert abs(begin - end) <= 1  # each begins where the one above ends


def alike(random: np.random.Generator) -> Timing:
    """A timing of four that are the same, each turn with a noise of its own."""
    drawn = np.exp(random.normal(0, 0.05, (4, 2 * LEAST_ROUNDS)))
    contestants = tuple(
        replace(contestant(name, 1), seconds=tuple(own))
        for name, own in zip(("a", "b", "mine", "other"), drawn, strict=True)
    )
    shape = example_timing([1.0] * 2 * LEAST_ROUNDS)
    return replace(shape, contestants=contestants)


def test_all_intervals_of_the_same_twice_hold_1_as_often_as_they_say() -> None:
    random, held = np.random.default_rng(0), 0
    for _ in range(TRIALS):
        side = SIDES["numpy"].cell
        question = asked("allocator", "numpy", "numpy")
        base = [runner("a", side), runner("b", side)]
        question.runners = [runner("mine", side), runner("other", side)]
        found = answered(alike(random), base, [question], [], "not asked for")
        (row,) = found.both
        assert row.ratio
        assert row.effect
        held += all(low <= 1 <= high for _, low, high in (found.total, row.ratio, row.effect))
    assert held >= 0.95 * TRIALS


TRIALS = 60


def test_the_page_shows_the_same_factors(tmp_path: Path) -> None:
    found = explained()
    explanation.write(found, tmp_path / "pages" / "explained.html")
    text = (tmp_path / "pages" / "explained.html").read_text()
    for name, factor in steps(found):
        assert f"{name} {times(factor)}" in text  # in the words for those who do not see the figure
    (low, high), *others = spans([1.5, 1.2, 1.1, 1.06, 1.07])
    assert (low, high) == (1.0, 1.5)
    assert others[0] == pytest.approx((1.25, 1.5))
    assert others[1] == pytest.approx((1.25 / 1.1, 1.25))
    assert others[3] == (1.0, 1.07)
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="with --page"):
        explanation.write(found, tmp_path / "file" / "explained.html")


class Prepared:
    """Takes all that is asked for as proved: proofs have tests of their own."""

    def source(self, task: str) -> str:
        return "generated"

    def ready(self, records: Sequence[Record]) -> Sequence[Record]:
        for record in records:
            record.verified = True
        return records

    def judge(self, record: Record, losses: Sequence[float]) -> None:
        assert losses[0] == pytest.approx(2.3, abs=0.3)


def test_the_same_twice_is_two_contestants_and_the_flip_is_in_the_ledger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = Plan(
        choices=(("fashion_mlp", None),),
        backends=(("numpy", "eager"),) * 2,
        conditions=Conditions(profile="smoke"),
        seeds=range(1),
        data="generated",
        timeout=300,
        timing_limit=0,
    )
    ledgers: list[Any] = []
    raced = Explainer._raced

    def heard(self: Explainer, runners: Sequence[Runner], words: str, judged: bool) -> Timing:
        found = raced(self, runners, words, judged)
        ledgers.extend(runner.record.worker["allocator"] for runner in runners)
        return found

    monkeypatch.setattr(Explainer, "_raced", heard)
    monkeypatch.setattr(Explainer, "_phases", lambda self: "not asked for")
    prepared: Any = Prepared()
    found = Explainer(plan, prepared, lambda text: None).explain(["allocator", "denormals"])
    assert (found.a, found.b) == ("numpy:eager", "numpy:eager#2")
    assert [bool(ledger) for ledger in ledgers] == [True, True, False, False]
    (row,) = found.both
    assert row.effect
    for middle, low, high in (found.total, found.rest, row.effect):
        assert low <= middle <= high
    assert [stuck.switch for stuck in found.stuck] == ["denormals"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("fashion", "jax", "torch"), ("fashion", "fashion_mlp")),
        (("all", "jax", "torch"), ("one task",)),
        (("fashion_mlp", "jax", "torch:all"), ("one A and one B",)),
        (("fashion_mlp", "jax", "torch:fast"), ("fast", "compile")),
        (("fashion_mlp", "jax", "torch", "--switch", "thread"), ("thread", "threads")),
        (("fashion_mlp", "jax", "torch", "--profile", "huge"), ("huge", "smoke")),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, wrong: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(in_process(tmp_path, "explain", *wrong), *words)


def unproved(records: Sequence[Record]) -> Sequence[Record]:
    for record in records:
        record.equivalence = asdict(Verdict("fashion_mlp", "numpy", "float32", 0, (), reason="no"))
    return records


def test_who_is_not_the_same_model_is_not_explained() -> None:
    prepared: Any = Prepared()
    prepared.ready = unproved
    plan = Plan(
        choices=(("fashion_mlp", None),),
        backends=(("numpy", "eager"),) * 2,
        conditions=Conditions(profile="smoke"),
        seeds=range(1),
        data="generated",
        timeout=300,
        timing_limit=0,
    )
    with pytest.raises(RequestError, match="numpy:eager is not shown to be the same model"):
        Explainer(plan, prepared, lambda text: None).explain([])
