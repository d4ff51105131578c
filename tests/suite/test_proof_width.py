"""The proof is as wide as the claim: what was "the same model" once and is none, or unsaid."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import backends
import tasks
from backends.numpy import autoencoder, fashion_mlp, layers
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.verdict import RESTORED, Deviation, Verdict, joined, verdict_from
from suite.session import verdict_cache
from suite.session.equivalence import (
    TIMED_STEPS,
    compare,
    compare_timed,
    relative_error,
    uncompared,
    unrestored,
)
from suite.session.process import Ending
from suite.session.verifier import Verifier
from suite.show import verdicts as shown
from suite.worker import imported, main as worker
from suite.worker.trace import trace
from tasks.task import Array, Chunk, Envelope, State
from tests.tasks.tiny import tiny
from tests.tiny import tiny_task

ENVELOPE = Envelope(steps=10, loss=1e-12, gradient=1e-12, state=1e-12)
LOGITS = np.array([[-np.inf, 2.0, 3.0], [1.0, -np.inf, 5.0]])


@pytest.mark.parametrize(
    ("own", "error"),
    [
        (LOGITS, 0.0),
        (LOGITS + 1.0, 0.2),  # which was 0, relative to an infinite largest entry
        (np.where(np.isfinite(LOGITS), LOGITS, -1e9), np.inf),
        (-LOGITS, np.inf),
    ],
)
def test_masked_logits_hide_no_error_of_others(own: Array, error: float) -> None:
    assert relative_error(own, LOGITS) == error


def test_what_two_traces_have_lost_shows_nothing() -> None:
    """Two models that diverge alike are not shown to be the same."""
    task = tiny_task()
    program = fashion_mlp.build(task, task.initial(0).astype("float64"), None)
    right = trace(task, program, seed=0, ends=(10,))
    assert all(finding.passed for finding in compare(right, right, ENVELOPE))
    for name in ("loss", "gradient/hidden.bias", "state@10/hidden.bias"):
        lost = {**right, name: np.full_like(right[name], np.inf)}
        failed = [finding for finding in compare(lost, lost, ENVELOPE) if not finding.passed]
        assert [finding.quantity for finding in failed] == [name.split("/")[0].split("@")[0]]


def test_of_outputs_the_first_is_named_whose_error_is_no_other_ones() -> None:
    """The squared error of a reconstruction inherits that of the code."""
    task = tiny_task()
    program = fashion_mlp.build(task, task.initial(0).astype("float64"), None)
    right = trace(task, program, seed=0, ends=(10,))
    outputs = {"prediction@0/faint/codes": np.ones(3), "prediction@0/faint/error": np.ones(3)}
    for wrong, named in (({"codes": 1.9, "error": 2.0}, "codes"), ({"error": 2.0}, "error")):
        changed = {f"prediction@0/faint/{name}": np.full(3, x) for name, x in wrong.items()}
        findings = compare({**right, **outputs, **changed}, {**right, **outputs}, ENVELOPE)
        (failed,) = (finding for finding in findings if not finding.passed)
        assert failed.where == f"faint/{named}"


class Forgetful(fashion_mlp.Program):  # type: ignore[name-defined, misc]
    """Takes back parameters alone, but for the first state that it is built from."""

    def restore(self, state: State) -> None:
        if not hasattr(self, "_updater"):
            super().restore(state)
        else:
            super().restore(replace(self.state(), params=state.params))


def test_a_restore_that_leaves_something_behind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny_task()
    state = task.initial(0).astype("float64")
    right = trace(task, fashion_mlp.build(task, state, None), seed=0, ends=(10,))
    assert {float(error) for name, error in right.items() if name.startswith(RESTORED)} == {0.0}
    assert unrestored(right, "numpy", ENVELOPE) == ()
    monkeypatch.setattr(fashion_mlp, "Program", Forgetful)
    wrong = trace(task, fashion_mlp.build(task, state, None), seed=0, ends=(10,))
    assert all(finding.passed for finding in compare(wrong, right, ENVELOPE))  # nothing else does
    (finding,) = unrestored(wrong, "numpy", ENVELOPE)
    assert not finding.passed
    assert "restore() of numpy does not take back state/v/hidden.kernel" in str(finding)


def idle(bias: float) -> dict[str, Array]:
    """The first gradients of a trace, one of which is rounding alone."""
    return {"gradient/a.kernel": np.ones(2), "gradient/a.bias": np.array([bias])}


def test_a_verdict_lists_what_it_does_not_compare(capsys: pytest.CaptureFixture[str]) -> None:
    assert uncompared(idle(1e-17), idle(-3e-17)) == ("a.bias",)
    assert uncompared(idle(1e-9), idle(1e-9)) == ()
    assert uncompared(idle(0.0), idle(-3e-17)) == ("a.bias",)
    assert uncompared(idle(1e-17), idle(0.0)) == ()  # the oracle holds it, this one trains it
    verdict = Verdict("it", "torch", "float64", 1, (), mode="eager", uncompared=("a.bias",))
    assert verdict_from(asdict(verdict)) == verdict
    old = {name: value for name, value in asdict(verdict).items() if name != "uncompared"}
    assert verdict_from(old).uncompared == ()
    single = replace(verdict, precision="float32", uncompared=("a.bias", "b.bias"))
    assert joined(single, verdict).uncompared == ("a.bias",)  # float64 compares the other
    said = "a.bias not compared: the first gradients are rounding alone"
    assert shown.left_out([verdict, verdict]) == [said]
    assert shown.left_out([verdict, replace(verdict, uncompared=())]) == [
        f"{said} (in torch:eager float64)"
    ]
    shown.print_verdicts([verdict], Console(file=sys.stdout, width=200))
    assert f"it: {said}" in capsys.readouterr().out


def test_the_first_losses_go_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of the transformer is one step: its first loss says nothing of updates."""
    task = tiny_task(chunk_steps=3)
    monkeypatch.setattr(worker, "_load", lambda cell: task)
    monkeypatch.setattr(worker, "_configure", lambda cell, clock: fashion_mlp)
    cell = Cell(task="fashion_mlp", backend="numpy", precision="float64", seed=3)
    job = {"steps": TIMED_STEPS, "output": str(tmp_path / "losses.npz")}
    worker.first_losses(cell, lambda event: None, job)
    with np.load(tmp_path / "losses.npz") as arrays:
        found = arrays["losses"]
    program = fashion_mlp.build(task, task.initial(3).astype("float64"), None)
    losses = [program.train(program.place(chunk)) for chunk in task.chunks("train", 3)]
    np.testing.assert_array_equal(found, np.concatenate(losses)[:TIMED_STEPS])


@pytest.mark.parametrize("label", ["imdb_text:tfidf", "lstm", "transformer"])
def test_timing_that_makes_no_update_is_found(label: str) -> None:
    ((name, variant),) = tasks.choices(label)
    task = tiny((name, variant))
    module = importlib.import_module(f"backends.numpy.{name}")
    state = task.initial(0).astype("float64")
    program = module.build(task, state, None)
    steps = list(itertools.islice(_steps(task.chunks("train", 0)), TIMED_STEPS))

    def losses(update: bool) -> Iterator[Array]:
        program.restore(state)
        for step in steps:
            yield program.train(program.place(step))
            if not update:
                program.restore(state)

    right, idle = (np.concatenate([*losses(update)]) for update in (True, False))
    assert compare_timed(right.astype("float32"), right, task.envelopes["float32"]).passed
    assert not compare_timed(idle, right, task.envelopes["float32"]).passed


def _steps(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        for step in range(len(next(iter(chunk.values())))):
            yield {name: a[step : step + 1] for name, a in chunk.items()}


def test_who_agrees_with_a_wrong_oracle_is_as_wrong() -> None:
    """NumPy and PyTorch with the same mistake: the anchor was made before it."""
    task = tasks.load("perceptron", "full", "real", "mlp")
    verifier = Verifier(task, "cpu", 1)
    module = importlib.import_module("backends.numpy.perceptron")
    torch: backends.Choice = ("torch", "eager")
    oracle, own = verifier._jobs(torch, "float64")

    def verdict(optimizer: object) -> Verdict:
        changed = tasks.load("perceptron", "full", "real", "mlp").verified()
        state = changed.initial(task.verification_seed).astype("float64")
        program = module.build(
            SimpleNamespace(config=task.config, optimizer=optimizer, frozen=()), state, None
        )
        made = trace(task, program, task.verification_seed, oracle.ends)
        done = {job: (made, Ending(Outcome.OK, None)) for job in (oracle, own)}
        return verifier._judge(torch, "float64", done, None)

    assert verdict(task.optimizer).verified
    wrong = verdict(replace(task.optimizer, learning_rate=0.123))
    assert not wrong.verified
    assert "the oracle is wrong: anchor" in str(wrong.explanation)


def test_a_kept_verdict_rests_on_what_its_workers_imported(tmp_path: Path) -> None:
    """A port may be built on a library that lies in another folder than the task."""
    library, kept = tmp_path / "library.py", tmp_path / "kept.json"
    library.write_text("width = 1")
    finding = Deviation("loss", 0.0, 1e-12, "step 1", True)
    verdict = Verdict("it", "torch", "float64", 1, (finding,))
    module = SimpleNamespace(__file__=str(library))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "library", module)
        files = imported.read(imported.noted())
    assert set(files) >= {str(library)}
    assert not [file for file in files if "site-packages" in file]
    verdict_cache.write(kept, verdict, {str(library): files[str(library)]}, seconds=1.0)
    assert verdict_cache.read(kept) == verdict
    library.write_text("width = 2")
    assert verdict_cache.read(kept) is None


def test_a_kept_verdict_rests_on_the_anchors(tmp_path: Path) -> None:
    anchors = tmp_path / "results" / "anchors"
    anchors.mkdir(parents=True)
    before = verdict_cache.sources_digest(tmp_path, "torch", "numpy")
    (anchors / "it.json").write_text("{}")
    assert verdict_cache.sources_digest(tmp_path, "torch", "numpy") != before


def test_the_proof_reaches_the_smallest_norm_of_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny(("autoencoder", "joint"))
    kinds = dict(task.evaluation_kinds())
    program = autoencoder.build(task, task.initial(0).astype("float64"), None)

    def codes() -> dict[str, Array]:
        return {kind: program.predict(program.place(c))["codes"] for kind, c in kinds.items()}

    right = codes()
    norms = np.linalg.norm(right["faint"], axis=-1) / np.sqrt(right["faint"].shape[-1])
    assert norms.max() == pytest.approx(1)
    assert ((norms > 0) & (norms < 0.9)).any()
    assert (norms == 0).any()
    monkeypatch.setattr(layers, "SMALLEST_NORM", 1e-6)
    wrong = codes()
    np.testing.assert_array_equal(wrong["scoring"], right["scoring"])
    assert relative_error(wrong["faint"], right["faint"]) > 0.9


def test_a_corner_in_float32_is_no_other_path() -> None:
    """Errors that few-shot pictures showed on real data (seeds 0 and 5), beside changes of .1."""
    oracle = 0.5 + 0.025 * np.array([0, 2, -1, 3, 1, -2, 0, 2])
    own = oracle * (1 + np.array([0, 2e-5, 5e-6, 1.3e-4, 3.2e-4, 7.4e-4, 9.7e-4, 1.5e-4]))
    envelope = Envelope(steps=10, loss=1e-6, gradient=1e-6, state=1e-6)
    assert compare_timed(own, oracle, envelope).passed
    assert not compare_timed(oracle[[0, 0, 2, 2, 4, 4, 6, 6]], oracle, envelope).passed
    still = np.full(8, 0.5)
    assert not compare_timed(still * (1 + 2e-5), still, envelope).passed
