"""The comparison that decides whether a speed counts: it passes the same model and no other."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import backends
import tasks
from backends.numpy import fashion_mlp
from suite.records import record as records
from suite.records.events import Outcome
from suite.records.verdict import Deviation, Verdict
from suite.session import equivalence
from suite.session.equivalence import compare
from suite.session.verifier import Verifier
from suite.tracking import tracker as tracking
from suite.worker.trace import trace
from tasks.task import Array, Envelope
from tests.suite import planting
from tests.suite.command import in_process, tetragrad
from tests.suite.planting import Fault, planted
from tests.tiny import tiny_task

ENVELOPE = Envelope(steps=10, loss=1e-12, gradient=1e-12, state=1e-12)


@pytest.fixture
def oracle() -> dict[str, Array]:
    task = tiny_task()
    program = fashion_mlp.build(task, task.initial(0).astype("float64"), None)
    return trace(task, program, seed=0, ends=(10,))


def verdict(findings: tuple[Deviation, ...]) -> Verdict:
    return Verdict("fashion_mlp", "torch", "float64", 10, findings)


def test_a_trace_holds_exactly_the_steps_that_were_asked_for(oracle: dict[str, Array]) -> None:
    assert oracle["loss"].shape == (10,)  # two and a half chunks
    assert oracle["loss"][0] == oracle["initial loss"][0]
    assert sum(name.startswith("gradient/") for name in oracle) == 4
    assert sum(name.startswith("state@10/") for name in oracle) == 8


def test_the_loss_may_be_allowed_more_from_stage_to_stage(oracle: dict[str, Array]) -> None:
    staged = replace(ENVELOPE, loss=((4, 1e-12), (10, 1e-6)))
    np.testing.assert_array_equal(staged.loss_tolerances(), [1e-12] * 4 + [1e-6] * 6)
    late, early = ({**oracle, "loss": oracle["loss"].copy()} for _ in range(2))
    late["loss"][4] *= 1 + 1e-7
    assert verdict(compare(late, oracle, staged)).verified
    assert not verdict(compare(late, oracle, ENVELOPE)).verified
    early["loss"][3] *= 1 + 1e-7
    assert str(verdict(compare(early, oracle, staged)).explanation).endswith(
        "loss differs first at step 4: error 1.0e-07, allowed 1e-12"
    )


@pytest.mark.parametrize("stages", [((4, 1e-12),), ((10, 1e-12), (4, 1e-6), (10, 1e-6))])
def test_stages_that_do_not_rise_to_the_last_step_are_an_error(
    stages: tuple[tuple[int, float], ...],
) -> None:
    with pytest.raises(ValueError, match="do not rise to 10 steps"):
        replace(ENVELOPE, loss=stages).loss_tolerances()


def test_the_same_model_passes(oracle: dict[str, Array]) -> None:
    near = {name: a * (1 + 1e-15) for name, a in oracle.items()}
    assert verdict(compare(near, oracle, ENVELOPE)).verified


@pytest.mark.parametrize(
    ("name", "entry", "named"),
    [
        ("initial loss", 0, "initial loss differs first at step 1"),
        ("gradient/hidden.bias", 0, "gradient differs most at hidden.bias"),
        ("loss", 6, "loss differs first at step 7"),
        ("state@10/output.kernel", 3, "state differs most at output.kernel"),
        ("state@10/v/output.bias", 3, "state differs most at v/output.bias"),
    ],
)
def test_the_first_leaf_or_step_that_parts_is_named(
    oracle: dict[str, Array], name: str, entry: int, named: str
) -> None:
    wrong = {key: a.copy() for key, a in oracle.items()}
    wrong[name].flat[entry] += 1e-9
    found = verdict(compare(wrong, oracle, ENVELOPE))
    assert not found.verified
    assert f": {named}" in str(found.explanation)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["initial loss", "loss", "gradient/hidden.bias", "state@10/v/hidden.bias"]
)
def test_what_is_not_finite_never_passes(oracle: dict[str, Array], name: str, value: float) -> None:
    wrong = {**oracle, name: np.full_like(oracle[name], value)}
    found = verdict(compare(wrong, oracle, ENVELOPE))
    assert not found.verified
    assert "not finite" in str(found.explanation)


def test_a_leaf_that_is_missing_or_of_another_shape_never_passes(oracle: dict[str, Array]) -> None:
    missing = {name: a for name, a in oracle.items() if name != "gradient/output.bias"}
    assert "output.bias is missing" in str(verdict(compare(missing, oracle, ENVELOPE)).explanation)
    turned = {**oracle, "state@10/hidden.kernel": oracle["state@10/hidden.kernel"].T}
    assert "hidden.kernel is (6, 16), not (16, 6)" in str(
        verdict(compare(turned, oracle, ENVELOPE)).explanation
    )
    short = {**oracle, "loss": oracle["loss"][:-1]}
    assert "9 values, not 10" in str(verdict(compare(short, oracle, ENVELOPE)).explanation)


def test_a_loss_of_zero_equals_zero_and_nothing_else(oracle: dict[str, Array]) -> None:
    zero = {**oracle, "loss": np.zeros_like(oracle["loss"])}
    assert verdict(compare(zero, zero, ENVELOPE)).verified
    assert not verdict(compare({**zero, "loss": zero["loss"] + 1e-300}, zero, ENVELOPE)).verified


def test_an_output_within_tolerance_does_not_stand_for_one_that_is_not() -> None:
    """The first with half of the largest error is named only if it is out of tolerance itself."""
    right = {"prediction@0/test/a": np.ones(2), "prediction@0/test/b": np.ones(2)}
    for a, b, named in ((0.8, 1.5, "test/b"), (1.2, 1.5, "test/a"), (0.7, 0.9, "test/b")):
        errors = {"prediction@0/test/a": a, "prediction@0/test/b": b}
        own = {name: array * (1 + 1e-5 * errors[name]) for name, array in right.items()}
        found = equivalence._compare_leaves("prediction", "prediction@0", own, right, 1e-5)
        assert (found.where, found.passed) == (named, b <= 1)


def test_a_model_without_any_gradient_shows_nothing(oracle: dict[str, Array]) -> None:
    """As that of dead units alone: all programs agree on 0, and their updates are never seen."""
    idle = {name: a * 0 if name.startswith("gradient/") else a for name, a in oracle.items()}
    found = verdict(compare(idle, idle, ENVELOPE))
    assert not found.verified
    assert str(found.explanation).startswith("gradients: all are 0, which shows nothing")


def test_a_gradient_of_rounding_alone_is_compared_neither_by_itself_nor_by_its_steps() -> None:
    """As that of a bias before a batch normalisation: no two programs round alike."""

    def trace_with(bias: float, step: float, kernel: float = 1.0) -> dict[str, Array]:
        return {
            **{"initial loss": np.ones(1), "loss": np.ones(10)},
            "gradient/hidden.kernel": np.array([0.5, kernel]),
            "gradient/hidden.bias": np.array([bias]),
            "state@10/hidden.kernel": np.array([0.3, kernel]),
            **{"state@10/hidden.bias": np.array([step]), "state@10/v/hidden.bias": np.ones(1)},
            **{"prediction@0/test/y": np.ones(1), "prediction@10/test/y": np.ones(1)},
        }

    oracle = trace_with(1e-17, 1e-3)
    assert verdict(compare(trace_with(-3e-17, -1e-3), oracle, ENVELOPE)).verified
    for wrong in (trace_with(1e-13, 1e-3), trace_with(1e-17, 1e-3, kernel=1 + 1e-11)):
        assert not verdict(compare(wrong, oracle, ENVELOPE)).verified
    effective = trace_with(1e-9, 1e-3)
    assert not verdict(compare(trace_with(1e-9, -1e-3), effective, ENVELOPE)).verified


def test_a_gradient_that_is_0_in_the_oracle_is_0_to_the_bit(oracle: dict[str, Array]) -> None:
    """As that of the bias of keys: Adam makes whole steps of rounding, which no output shows."""
    held = {**oracle, "gradient/hidden.bias": oracle["gradient/hidden.bias"] * 0}
    assert verdict(compare(held, held, ENVELOPE)).verified
    trained = {**held, "gradient/hidden.bias": held["gradient/hidden.bias"] + 1e-19}
    found = verdict(compare(trained, held, ENVELOPE))
    assert "hidden.bias is 0 to the bit in the oracle" in str(found.explanation)


def test_a_worker_that_failed_verifies_nothing() -> None:
    failed = replace(verdict(()), outcome=Outcome.CRASHED, reason="killed by SIGKILL")
    assert not failed.verified
    assert failed.explanation == "crashed: killed by SIGKILL"


def test_what_a_worker_cannot_do_costs_nothing_else_that_it_is_asked() -> None:
    task = tasks.load("fashion_mlp", "full", "generated")
    numpy: backends.Choice = ("numpy", "eager")
    skipped, proved = Verifier(task, "cpu", 1).verify([(numpy, "bfloat16"), (numpy, "float64")])
    assert skipped.outcome is Outcome.SKIPPED
    assert "not of bfloat16" in str(skipped.reason)
    assert proved.verified, proved.explanation


def test_an_envelope_longer_than_an_epoch_is_an_error_not_a_shorter_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = tiny_task()
    program = fashion_mlp.build(task, task.initial(0), None)
    monkeypatch.setattr(task, "verification_chunks", lambda seed: task.chunks("train", seed))
    with pytest.raises(ValueError, match="too short"):
        trace(task, program, seed=0, ends=(13,))


VERIFY = ("verify", "--precision", "float64", "--data", "generated")


@pytest.mark.parametrize(
    ("fault", "label", "leaf"),
    [
        (planting.WRONG_WINNER, "imdb_text:embedding", "embedding.kernel"),
        (planting.GRADIENT_OF_THE_LOSS, "fashion_mlp", "hidden.bias"),
    ],
    ids=[
        "one wrong index in max pooling's backward",
        "wrong gradient of the loss",
    ],
)
def test_planted_errors_of_the_oracle_are_caught_and_named(
    tmp_path: Path, fault: Fault, label: str, leaf: str
) -> None:
    """Those of the other backends are planted by test_mutants, and so is a wrong sign."""
    planted(tmp_path, fault)
    asked = (*VERIFY, "--backend", "numpy", "--task", label)
    done = tetragrad(tmp_path, *asked, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done
    assert done.stdout.count("FAILED") == 1
    words = f"^{label} in numpy:eager, float64: .*central differences.* most at {leaf}"
    assert re.search(words, done.stdout, re.MULTILINE), done.stdout


def test_what_is_the_same_model_is_told_so(tmp_path: Path) -> None:
    done = in_process(tmp_path, *VERIFY, "--task", "fashion_mlp", "--backend", "numpy")
    assert done.returncode == 0, done
    assert (done.stdout.count(" same"), done.stdout.count("FAILED")) == (1, 0)


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_the_speed_of_another_model_is_marked_wherever_it_is_shown(
    tmp_path: Path, empty_store: Path
) -> None:
    """Includes NumPy, which agrees with itself: that is not enough."""
    planted(tmp_path, planting.SIGN_OF_A_GRADIENT, planting.OTHER_ACTIVATION_IN_TORCH)
    (tmp_path / "results").mkdir()
    shutil.copy(empty_store, tmp_path / "results")
    smoke = ("--task", "fashion_mlp", "--profile", "smoke", "--data", "generated")
    both = ("--backend", "numpy", "--backend", "torch", "--timing-limit", "1")
    done = tetragrad(tmp_path, "run", *smoke, *both, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done
    named = {"numpy": "central differences.* most at", "torch": "initial loss.* first at step 1"}
    for backend, words in named.items():
        assert re.search(rf"{backend}:eager .*k\? .* NO", done.stdout)
        counts_not = f"{backend}:eager is NOT VERIFIED, its speed is not compared: "
        assert re.search(f"{counts_not}.*{words}", done.stdout)
        assert re.search(rf"{backend}-eager\S+ [\d,]+ samples/s \(NOT VERIFIED\)", done.stderr)
    found = [records.read(path) for path in records.all_paths(tmp_path / "results")]
    assert [(r.outcome, r.verified) for r in found] == [("ok", False)] * 2
    store = MlflowClient(tracking.default_uri(tmp_path / "results"))
    experiment = store.get_experiment_by_name("fashion_mlp")
    assert experiment
    runs = {run.info.run_name: run for run in store.search_runs([experiment.experiment_id])}
    for backend in named:
        run = runs[f"{backend}:eager seed 0 (not verified)"]
        assert run.data.tags["verified"] == "false"
