"""Causes in the message of a failed proof, and the page of a proof."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.causes import catalogue
from suite.causes.evidence import FIRST
from suite.records.events import Outcome
from suite.records.taps import Located, Observation
from suite.records.verdict import Deviation, Verdict, verdict_from
from suite.report import proof as proofs
from suite.session import verification
from suite.session.first_difference import Errors
from suite.session.locator import Search
from suite.session.process import Ending
from suite.session.why import NOTHING, Explainer, with_operation
from suite.worker.watch import watch
from tasks.task import Array, RequestError, Tree
from tests.mutants.causes import planted_here
from tests.mutants.table import TABLE
from tests.suite.command import in_process
from tests.tiny import tiny_task

OUTSIDE = "RMSprop: epsilon outside the root [numpy, fashion_mlp]"
LOSS = Deviation("loss", 1e-3, 1e-12, "step 2", False, "float64")
FAILED = Verdict("fashion_mlp", "torch", "float64", 12, (LOSS,), mode="eager")
X = np.random.default_rng(0).standard_normal((8, 6))


def noted(**asked: Any) -> Tree:
    """The notes of a worker on NumPy and the tiny task."""
    import backends.numpy.fashion_mlp as module

    task = tiny_task()
    initial = task.initial(task.verification_seed).astype("float64")
    moved = None
    if asked["moved"]:
        with np.load(asked["moved"]) as arrays:
            moved = dict(arrays)
    program = module.build(task, initial, None)
    return watch(task, program, initial, task.verification_seed, asked["windows"], moved)


def explained(verdict: Verdict, label: str | None, ending: Ending | None = None) -> str | None:
    """The cause that is found for a backend with that mistake."""
    seen: list[Any] = []

    def run(choice: Any, **asked: Any) -> tuple[Tree, Ending]:
        seen.append((choice, asked["windows"]))
        if choice[0] == "numpy" or label is None:
            return noted(**asked), ending or Ending(Outcome.OK, None)
        (mutant,) = (mutant for mutant in TABLE if mutant.label == label)
        with planted_here(mutant):
            return noted(**asked), ending or Ending(Outcome.OK, None)

    explainer = Explainer(tiny_task(), ("numpy", "eager"), run)
    cause = explainer.cause(verdict, {}, {})
    assert explainer.cause(verdict, {}, {}) == cause
    assert len(seen) == len({choice for choice, _ in seen})  # each is watched once
    return cause


def test_the_message_ends_with_the_cause() -> None:
    cause = explained(FAILED, OUTSIDE)
    verdict = replace(FAILED, cause=cause)
    said = str(verdict.explanation)
    assert "loss in float64 differs first at step 2" in said
    assert "; cause: RMSprop's epsilon is outside the root, sqrt(v) + epsilon: torch" in said
    assert verdict_from({**vars(verdict), "findings": [vars(LOSS)]}) == verdict


def test_where_nothing_known_explains_it_that_is_said() -> None:
    assert explained(FAILED, None) == NOTHING
    near = explained(replace(FAILED, precision="float32"), None)
    assert near == "in float64 nothing differs: a matter of the precision it computes in"


def test_a_worker_that_fails_costs_the_cause_alone() -> None:
    said = explained(FAILED, None, Ending(Outcome.CRASHED, "killed"))
    assert said == "its cause was not looked for: killed"


def test_a_user_who_interrupts_is_heard() -> None:
    with pytest.raises(KeyboardInterrupt):
        explained(FAILED, None, Ending(Outcome.INTERRUPTED, "stopped"))


@pytest.mark.parametrize("quantity", ["dropout", "determinism", "central differences"])
def test_quantities_that_say_themselves_where_to_look_have_no_cause(quantity: str) -> None:
    finding = replace(LOSS, quantity=quantity)
    assert explained(replace(FAILED, findings=(finding,)), None) is None


def test_the_steps_before_the_first_loss_that_differs_are_watched_too() -> None:
    windows: list[Any] = []

    def run(choice: Any, **asked: Any) -> tuple[Tree, Ending]:
        windows.append(asked["windows"])
        return {}, Ending(Outcome.CRASHED, "enough")

    late = replace(FAILED, findings=(replace(LOSS, where="step 9"),))
    Explainer(tiny_task(), ("numpy", "eager"), run).cause(late, {}, {})
    assert windows == [(FIRST,), (FIRST, (5, 8))]


def located(own: Array, reference: Array) -> Located:
    mine, theirs = (
        Observation(1, {"hidden": (X, None), "hidden_activation": (y, None)}, {}, {}, {})
        for y in (own, reference)
    )
    return Located("hidden_activation", "forwards", 0.0, 1e-3, mine, theirs)


@pytest.mark.parametrize(
    ("own", "before", "said"),
    [
        (np.where(X > 0, X, 0.01 * X), NOTHING, "cause: leaky ReLU with slope 0.01 instead of"),
        (3 * np.maximum(X, 0), NOTHING, "relation: hidden_activation: it is 3 times it"),
        (np.sin(X), NOTHING, NOTHING),
        (3 * np.maximum(X, 0), "cause: known", "cause: known"),
        (np.sin(X), "relation: of gradients", "relation: of gradients"),
    ],
)
def test_the_cause_in_an_operation_goes_before_a_relation(
    own: Array, before: str, said: str
) -> None:
    verdict = with_operation(
        tiny_task(), replace(FAILED, cause=before), located(own, np.maximum(X, 0))
    )
    assert str(verdict.cause).startswith(said)


def test_the_catalogue_has_a_line_for_every_cause() -> None:
    lines = catalogue.markdown().splitlines()
    assert len(lines) == 2 + len(list(catalogue.entries())) > 30
    assert len({line.count(" | ") for line in lines}) == 1


SEARCH = Search(
    "first, hidden_activation, forwards: inputs equal, output off by 1e-03",
    True,
    (Errors("hidden", 0.0, 1e-2), Errors("hidden_activation", 1e-3, None)),
    located(2 * X, X),
)


def page(verdict: Verdict) -> str:
    found = [(tiny_task(), ("torch", "eager"), SEARCH)]
    proof = proofs.Proof([verdict], found, "tetragrad verify --task fashion_mlp --report")
    return proofs.render(proof)


def test_the_page_says_what_was_compared_where_it_differs_why_and_how_to_repeat_it() -> None:
    shown = page(replace(FAILED, cause="cause: <epsilon>", located=SEARCH.text))
    for part in (
        *("Not the same model", "torch:eager", "float64", "1.0e-03", "1.0e-12", "1.0e+09"),
        *("step 2", "✗", "first, hidden_activation, forwards", "cause: &lt;epsilon&gt;"),
        *("Error by operation", "<mark>first difference</mark>", "width: 82%", "width: 88%"),
        *("How to repeat it", "tetragrad verify --task fashion_mlp --report", np.__version__),
    ):
        assert part in shown, part
    assert shown.count("<mark>") == 1
    assert "http" not in shown.replace("http-equiv", "")
    assert "<script" not in shown


def test_the_page_of_a_proof_that_holds_says_so() -> None:
    shown = page(replace(FAILED, findings=(replace(LOSS, passed=True),)))
    assert "<h1>The same model</h1>" in shown
    assert "✗" not in shown
    assert "Where and why" not in shown
    skipped = replace(FAILED, findings=(), outcome=Outcome.SKIPPED, reason="torch is not there")
    assert "torch is not there" in page(skipped)
    assert "<h1>Not the same model</h1>" in page(skipped)


def test_a_page_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"the proof cannot be written to .* with --report"):
        proofs.write(proofs.Proof([], [], ""), tmp_path / "file" / "proof.html")


@pytest.mark.parametrize(
    ("words", "path"), [([], "proof.html"), (["a.html"], "a.html"), (["--locate"], "proof.html")]
)
def test_verify_writes_the_page_where_it_is_asked_to(
    words: list[str], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify_all(*given: Any, watch: verification.Watch, **rest: Any) -> list[Verdict]:
        watch(tiny_task(), ("torch", "eager"), SEARCH)
        return [FAILED]

    monkeypatch.setattr(verification, "verify_all", verify_all)
    asked = ["verify", "--task", "fashion_mlp", "--report", *words]
    monkeypatch.setattr(sys, "argv", ["tetragrad", *asked])
    assert in_process(tmp_path, *asked).returncode == 1
    shown = (tmp_path / path).read_text()
    assert f"tetragrad {' '.join(asked)}" in shown
    assert [p.name for p in tmp_path.iterdir()] == [path]
