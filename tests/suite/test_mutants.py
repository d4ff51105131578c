"""The table of planted mistakes: it follows the code, and a handful of it is found and named."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import backends
import tasks
from backends.numpy import fashion_mlp
from suite.records.events import Outcome
from suite.records.verdict import Deviation, Verdict
from suite.system.git import ROOT
from suite.worker.trace import trace
from tasks.task import Envelope
from tests.mutants import kept, telling, warm
from tests.mutants.fates import Judgement, Result
from tests.mutants.judging import judge_all, judgement
from tests.mutants.kept import Kept
from tests.mutants.mutant import Mutant
from tests.mutants.table import TABLE, spread
from tests.tiny import tiny_task

HANDFUL = {
    "gradient: a bias with the wrong sign [numpy, fashion_mlp]": "central differences",
    "RMSprop: epsilon outside the root [torch, fashion_mlp]": "loss",
    "activation: another one [jax, fashion_mlp]": "initial loss",
    "gradient: to a wrong word [tensorflow, imdb_text:embedding]": "gradient",
    "batch norm: unbiased running variance [torch, imdb_text:bow_batchnorm]": "state",
    "predict: in training mode [torch, imdb_text:bow_batchnorm]": "initial prediction",
    "dropout: the same in both layers [jax, imdb_text:bow_dropout]": "dropout",
    "RMSprop: rho 0.99 [numpy, fashion_mlp]": "anchor",
}
"""The cheapest, and the quantity that each is found by."""


def misfit(mutant: Mutant) -> str | None:
    """Why a mutant cannot be planted, if it cannot."""
    source = (ROOT / mutant.file).read_text()
    try:
        wrong = mutant.changed(source)
        compile(wrong, mutant.file, "exec")
    except (ValueError, SyntaxError) as error:
        return f"{mutant.label}: {error}"
    return f"{mutant.label}: nothing is changed" if wrong == source else None


@pytest.mark.parametrize("backend", backends.NAMES)
def test_what_mutants_change_is_still_there(backend: str) -> None:
    planted = [mutant for mutant in TABLE if mutant.backend == backend]
    misfits = [why for mutant in planted if (why := misfit(mutant))]
    assert misfits == [], "\n".join(misfits)


def test_mutants_use_names_that_are_there(tmp_path: Path) -> None:
    """Or a mutant would crash where its mistake is to be found."""
    for number, mutant in enumerate(TABLE):
        wrong = mutant.changed((ROOT / mutant.file).read_text())
        (tmp_path / f"mutant{number}.py").write_text(wrong)
    undefined = ("check", "--isolated", "--no-cache", "--select", "F821,F811", "--quiet")
    found = subprocess.run(
        [sys.executable, "-m", "ruff", *undefined, str(tmp_path)], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout
    assert found.stderr == ""


def test_the_table_covers_every_task_and_backend_and_names_each_mutant_once() -> None:
    assert len(TABLE) >= 60
    assert {mutant.task.partition(":")[0] for mutant in TABLE} == set(tasks.NAMES)
    assert {mutant.backend for mutant in TABLE} == set(backends.NAMES)
    for mutant in TABLE:
        assert len(tasks.choices(mutant.task)) == 1
        re.compile(mutant.place)
    repeated = [label for label, n in Counter(m.label for m in TABLE).items() if n > 1]
    assert repeated == []


def test_a_handful_of_mutants_is_caught_and_named() -> None:
    chosen = [mutant for mutant in TABLE if mutant.label in HANDFUL]
    assert len(chosen) == len(HANDFUL)
    results = {result.mutant.label: result for result in judge_all(chosen, ["float64"])}
    told = "\n".join(map(telling.line, results.values()))
    for label, quantity in HANDFUL.items():
        if backends.load(results[label].mutant.backend).available():
            continue
        assert results[label].fate == "caught", told
        assert quantity in results[label].judgements["float64"].by, told
        assert results[label].named, told


MUTANT = TABLE[0]


def verdict(where: str | None = None) -> Verdict:
    """One of a backend that differs there, or nowhere."""
    finding = Deviation("gradient", 1.0, 1e-12, where or "it", where is None)
    return Verdict("fashion_mlp", "torch", "float64", 1, (finding,))


SOUND = verdict()
CRASHED = replace(SOUND, findings=(), outcome=Outcome.CRASHED, reason="ValueError: shapes")


@pytest.mark.parametrize(
    ("found", "control", "crashes", "fate", "named"),
    [
        (verdict("here"), SOUND, False, "caught", True),
        (verdict("there"), SOUND, False, "caught", False),
        (SOUND, SOUND, False, "missed", False),
        (verdict("here"), verdict("here"), False, "broken", False),
        (CRASHED, SOUND, False, "broken", False),
        (CRASHED, SOUND, True, "caught", False),
        (replace(CRASHED, outcome=Outcome.TIMEOUT), SOUND, True, "broken", False),
        (replace(CRASHED, outcome=Outcome.SKIPPED), SOUND, False, "not tested", False),
    ],
)
def test_a_mutant_is_caught_by_what_only_it_changes(
    found: Verdict, control: Verdict, crashes: bool, fate: str, named: bool
) -> None:
    mutant = replace(MUTANT, place=r"\bhere\b", crashes=crashes)
    judged = judgement(mutant, found, control.explanation)
    assert (judged.fate, judged.named) == (fate, named)


def test_a_mistake_stands_in_the_copy_only_as_long_as_it_is_judged(tmp_path: Path) -> None:
    target = tmp_path / MUTANT.file
    target.parent.mkdir(parents=True)
    target.write_text(source := (ROOT / MUTANT.file).read_text())
    with MUTANT.planted(tmp_path):
        assert target.read_text() == source.replace(MUTANT.right, MUTANT.wrong)
    assert target.read_text() == source
    target.write_text("another source")
    with pytest.raises(ValueError, match="0 times, not 1"), MUTANT.planted(tmp_path):
        raise AssertionError


def test_the_score_counts_what_is_caught_and_lists_what_float32_misses() -> None:
    caught, missed = Judgement("caught", ("loss",), "step 2", True), Judgement("missed")
    broken, absent = Judgement("broken", message="crashed"), Judgement("not tested")
    results = [
        Result(MUTANT, {"float32": caught, "float64": caught}),
        Result(replace(MUTANT, name="small"), {"float32": missed, "float64": caught}),
        Result(replace(MUTANT, name="slip"), {"float32": missed, "float64": broken}),
        Result(replace(MUTANT, name="absent"), {"run": absent}),
    ]
    assert [result.fate for result in results] == ["caught", "caught", "missed", "not tested"]
    assert telling.score(results) == [
        "2 of 3 caught, 2 of these with the place named",
        f"float32 alone misses 1: {results[1].mutant.label}",
        "1 not tested: their backend is not here",
    ]
    assert telling.table(results) == [
        " precision    judged    caught     named    missed    broken  found by",
        "   float32         3         1         1         2         0  loss 1",
        "   float64         3         2         2         0         1  loss 2",
        "       run         0         0         0         0         0  ",
        f"missed: {results[2].mutant.label}",
    ]
    rows = telling.markdown(results).splitlines()
    assert rows[3].startswith("| small | ")
    assert "| missed | loss |  | named |" in rows[3]
    assert [one["fate"] for one in telling.document(results)] == [r.fate for r in results]


def test_judgements_are_kept_until_a_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judgement("caught", ("loss",), "step 2", True, 1.5)
    for number, fate in enumerate([judged, replace(judged, fate="not tested")]):
        Kept(tmp_path / "kept").add(TABLE[number], "float64", fate)
    again = Kept(tmp_path / "kept")
    assert again.get(TABLE[0], "float64") == judged
    assert again.get(TABLE[0], "float32") is None
    assert again.get(TABLE[1], "float64") is None  # it may be tested elsewhere
    assert again.get(replace(TABLE[0], wrong="otherwise"), "float64") is None
    monkeypatch.setattr(kept, "_sources", lambda *given: "others")
    assert again.get(TABLE[0], "float64") is None


def test_what_is_kept_is_not_judged_again_and_none_is_begun_after_the_limit(tmp_path: Path) -> None:
    known = Kept(tmp_path / "kept")
    judged = Judgement("caught")
    known.add(TABLE[0], "float64", judged)
    (result,) = judge_all(TABLE[:3], ["float64"], known, seconds=0)
    assert result == Result(TABLE[0], {"float64": judged})


def test_the_mutants_of_several_backends_are_judged_at_once(tmp_path: Path) -> None:
    chosen = list({mutant.backend: mutant for mutant in TABLE}.values())
    known = Kept(tmp_path / "kept")
    for mutant in chosen[1:]:
        known.add(mutant, "float64", Judgement("caught"))
    results = [*judge_all(chosen, ["float64"], known, seconds=0, jobs=2)]
    assert sorted(r.mutant.label for r in results) == sorted(m.label for m in chosen[1:])
    with pytest.raises(ZeroDivisionError):  # what goes wrong in a thread is not lost
        [*judge_all(chosen, ["float64"], Broken(None), jobs=2)]


class Broken(Kept):
    def get(self, mutant: Mutant, precision: str) -> Judgement | None:
        raise ZeroDivisionError


def test_a_judgement_rests_on_what_judges_and_on_the_versions_of_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts = ("torch", "lstm", "float64")
    kept._sources.cache_clear()
    before = kept._sources(*facts)
    changes: tuple[tuple[str, object], ...] = (
        ("package_versions", lambda: {"torch": "0"}),
        ("JUDGING", kept.JUDGING[1:]),
        ("sources_digest", lambda *given: "others"),
    )
    for name, changed in changes:
        with monkeypatch.context() as patch:
            patch.setattr(kept, name, changed)
            kept._sources.cache_clear()
            assert kept._sources(*facts) != before
    kept._sources.cache_clear()
    assert kept._sources(*facts) == before


def test_mutants_are_spread_over_mistakes_and_backends() -> None:
    order = spread(TABLE)
    assert sorted(order, key=TABLE.index) == list(TABLE)
    mistakes = len({mutant.name for mutant in TABLE})
    first = order[:mistakes]
    assert len({mutant.name for mutant in first}) == mistakes
    assert {mutant.backend for mutant in first} == set(backends.NAMES)


def test_a_trace_ends_when_the_place_is_named(tmp_path: Path) -> None:
    task, steps = tiny_task(), 10
    task.envelopes = {"float64": Envelope(steps, loss=1e-12, gradient=1e-12, state=1e-12)}
    state = task.initial(task.verification_seed).astype("float64")
    right = trace(task, fashion_mlp.build(task, state, None), 0, (steps,))
    np.savez(tmp_path / "oracle.npz", allow_pickle=False, **right)
    cell = {"task": task.name, "backend": "torch", "precision": "float64", "seed": 0}
    job = {"oracle": str(tmp_path / "oracle.npz"), "cell": cell, "place": "initial"}
    moved = {name: a + 1e-3 for name, a in state.params.items()}
    program = fashion_mlp.build(task, replace(state, params=moved), None)
    found = warm.until_named(job, task, program, 0, (steps,))
    assert program.state().step == 0
    assert found["initial loss"] != right["initial loss"]
    np.testing.assert_array_equal(found["loss"], right["loss"])  # not computed, so not blamed
    found = warm.until_named({**job, "place": "elsewhere"}, task, program, 0, (steps,))
    assert program.state().step == steps
    assert found["loss"][-1] != right["loss"][-1]
