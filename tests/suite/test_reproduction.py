"""A recorded cell trained again: to the bit where that is promised, and what is refused."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import backends
import tasks
from suite.records import builder, record as records
from suite.records.cell import Cell
from suite.records.events import Outcome
from suite.records.record import Record
from suite.records.specification import about
from suite.session import reproduce as reproduction
from suite.session.race import train_untimed
from suite.session.reproduce import Rerun, require_rerunnable
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import CELL, example_record
from tests.tiny import tiny_task

SMOKE = replace(CELL, profile="smoke")


def trained(cell: Cell) -> Record:
    """The record that a worker makes of a cell."""
    record = builder.begin("s", cell)
    train_untimed([record], lambda record, event: None)
    return record


@pytest.mark.parametrize("backend", backends.NAMES)
def test_another_process_comes_to_the_same_bits(tmp_path: Path, backend: str) -> None:
    ((name, mode),) = backends.choices(backend)
    if reason := backends.load(name).available(mode):
        pytest.skip(reason)
    record = trained(replace(SMOKE, backend=name, mode=mode))
    assert record.outcome == "ok"
    path = records.write(tmp_path, record)
    done = in_process(tmp_path, "reproduce", str(path))
    assert done.returncode == 0, done
    for words in (
        "The environment is the same.\nLosses must be the same to the bit.\n",
        "losses: same (all 64 steps to the bit)\n",
        "metrics: same (of all 2 epochs, to the bit)\n",
    ):
        assert words in done.stdout
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]  # it keeps nothing


@pytest.mark.filterwarnings("ignore")  # MLflow's own
def test_a_run_is_found_by_its_id_and_a_wrong_bit_in_it(tmp_path: Path, empty_store: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(empty_store, results)
    record = trained(SMOKE)
    record.chunks[3]["losses"][1] = math.nextafter(record.chunks[3]["losses"][1], 9)
    path = records.write(results, record)
    run, _ = Tracker(tracking.default_uri(results), results).log(record, path)
    path.unlink()  # what the store keeps is enough
    done = in_process(tmp_path, "reproduce", run)
    assert done.returncode == 1, done
    assert "losses: different (they first differ at step 26: " in done.stdout
    assert "metrics: same" in done.stdout
    parent = MlflowClient(tracking.default_uri(results)).get_run(run).data.tags
    whole = in_process(tmp_path, "reproduce", parent["mlflow.parentRunId"])
    assert_refused(whole, parent["mlflow.parentRunId"], "keeps no record")
    assert_refused(in_process(tmp_path, "reproduce", "00ff"), "00ff is no file", "not found")


def rerun(change: Callable[[Record], None] = lambda record: None, **again: Any) -> Rerun:
    """A record, and a second one of the same, ``again`` with other fields."""
    record = example_record()
    second = replace(copy.deepcopy(record), **again)
    change(record)
    return Rerun(record, second, tiny_task())


def by(relative: float) -> Callable[[Record], None]:
    """Moves the loss of the second step."""

    def change(record: Record) -> None:
        record.chunks[0]["losses"][1] *= 1 + relative

    return change


def said(of: Rerun) -> dict[str, tuple[str, bool | None]]:
    return {f.name: (f.verdict, f.passed) for f in of.findings().found}


class TestEnvironment:
    def test_another_version_is_named_and_lifts_the_promise(self) -> None:
        found = rerun(by(1e-9), packages={"numpy": "9.9"})
        (difference,) = found.differences
        assert str(difference) == "package numpy: 2.4.6 (the record); 9.9 (here)"
        assert found.unpromised == "package numpy is not the same"
        assert said(found)["losses"] == ("within tolerance", True)
        assert found.findings().exit_code == 0

    def test_all_that_differs_is_named_whatever_it_is(self) -> None:
        worker = {"devices": ["cpu"], "threads": {"blas": 2}, "allocator": {"MALLOC_X": "1"}}
        machine, git = {"cpu": "another"}, {"commit": "1" * 40, "dirty": True}
        found = rerun(machine=machine, git=git, worker=worker, packages={})
        assert [d.fact for d in found.differences] == [
            *("package numpy", "git commit", "git dirty", "machine: cpu", "machine: python"),
            *("allocator.MALLOC_X", "threads.blas"),
        ]

    @pytest.mark.parametrize("name", ["LD_PRELOAD", "PYTHONPATH", "CC"])
    def test_another_variable_that_reached_the_worker_lifts_the_promise(self, name: str) -> None:
        worker = {**example_record().worker, "environment": {name: "/there"}}
        found = rerun(worker=worker)
        assert [str(d) for d in found.differences] == [
            f"environment.{name}: none (the record); /there (here)"
        ]
        assert found.unpromised == f"environment.{name} is not the same"

    def test_what_changes_the_speed_alone_is_named_and_the_promise_holds(self) -> None:
        worker = example_record().worker
        found = rerun(worker={**worker, "governor": "powersave", "cores_used": 0.7})
        assert [d.fact for d in found.differences] == ["governor"]
        assert found.unpromised is None

    def test_a_backend_that_went_on_from_a_checkpoint_promises_nothing_but_in_numpy(self) -> None:
        def resumed(record: Record) -> None:
            record.resumed = 3

        found = rerun(resumed)
        assert found.unpromised is None
        found.record.cell = replace(found.record.cell, backend="torch")
        assert "checkpoint (step 3)" in str(found.unpromised)

    def test_a_gpu_promises_nothing(self) -> None:
        for backend in ("torch", "tensorflow", "jax"):
            assert "GPU" in str(backends.load(backend).repeatable("cuda", 1))


class TestLosses:
    def test_the_last_bit_counts(self) -> None:
        assert said(rerun())["losses"] == ("same", True)
        assert said(rerun(by(2.3e-16)))["losses"] == ("different", False)

    @pytest.mark.parametrize(("error", "passed"), [(1.9e-6, True), (2.1e-6, False)])
    def test_without_the_promise_twice_the_envelope_is_allowed(
        self, error: float, passed: bool
    ) -> None:
        found = rerun(by(error), machine={})
        (losses,) = (f for f in found.findings().found if f.name == "losses")
        assert losses.passed is passed
        assert "twice what the task's envelope allows" in losses.reason
        assert "of the first 12 steps a loss may differ by 2e-06" in losses.reason
        assert ("measured with seed 6" in losses.reason) is not passed

    def test_steps_behind_the_envelope_are_not_judged(self) -> None:
        def late(record: Record) -> None:
            record.chunks[3]["losses"][2] *= 2

        found = rerun(late, machine={})
        short = replace(found.task.envelopes["float32"], steps=11)
        found.task.envelopes = {**found.task.envelopes, "float32": short}
        assert said(found)["losses"] == ("within tolerance", True)

    def test_other_numbers_of_steps_are_different(self) -> None:
        found = rerun(lambda record: record.chunks[3]["losses"].pop(), machine={})
        assert said(found)["losses"] == ("different", False)

    def test_another_outcome_is_different(self) -> None:
        found = rerun(outcome=Outcome.DIVERGED, reason="the loss is inf at step 3")
        assert said(found)["outcome"] == ("different", False)
        assert found.findings().exit_code == 1


def test_metrics_and_texts_are_judged_where_bits_are_promised_alone() -> None:
    epochs = copy.deepcopy(example_record().epochs)
    epochs[1]["metrics"]["test_accuracy"] = 0.9
    other: dict[str, Any] = {"epochs": epochs, "texts": {"greedy": "To do"}}
    found = said(rerun(**other))
    assert (found["metrics"], found["texts"]) == (("different", False),) * 2
    found = said(rerun(**other, machine={}))
    assert (found["metrics"], found["texts"]) == (("not judged", None),) * 2


def rerunnable(**changed: Any) -> Record:
    """A record of today's model on the generated data."""
    facts = about(tasks.load("fashion_mlp", "smoke", "generated"))
    return replace(example_record(), **{"cell": SMOKE, **facts, **changed})


class TestRefused:
    def test_what_is_the_same_is_not(self) -> None:
        assert require_rerunnable(rerunnable()).name == "fashion_mlp"

    def test_other_constants_each_named(self) -> None:
        record = rerunnable()
        del record.specification["optimizer"]["rho"]
        record.specification |= {"hidden": 64, "width": 3}
        with pytest.raises(RequestError, match="another model") as caught:
            require_rerunnable(record)
        for words in (
            *("hidden was 64 and is 128;", "width was 3 and is not there;"),
            *("optimizer.rho was not there and is 0.9;", "commit of the record, 0000"),
        ):
            assert words in str(caught.value)

    def test_the_signature_of_a_metric_is_no_constant(self) -> None:
        record = rerunnable()
        record.specification["signatures"] = {"bleu": "1"}
        require_rerunnable(record)

    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"cell": replace(SMOKE, backend="theano")}, "no backend 'theano'"),
            ({"cell": replace(SMOKE, mode="fast")}, "numpy has no mode 'fast'"),
            ({"cell": replace(SMOKE, threads=4096)}, "4096"),
            ({"cell": replace(SMOKE, options={"beam": "4"})}, "no option 'beam'"),
            ({"outcome": "crashed"}, "outcome 'crashed'"),
            ({"chunks": []}, "says nothing"),
            ({"provenance": {"digest": "00ff"}}, "digest of fashion_mnist was 00ff and is "),
        ],
    )
    def test_what_cannot_be_run_again(self, changed: dict[str, Any], words: str) -> None:
        with pytest.raises(RequestError, match=words):
            require_rerunnable(rerunnable(**changed))

    def test_a_backend_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backends.load("numpy"), "available", lambda mode: "it is away")
        with pytest.raises(RequestError, match="cannot be run here: it is away"):
            require_rerunnable(rerunnable())

    def test_losses_that_cannot_be_read(self) -> None:
        with pytest.raises(RequestError, match=r"the losses of .* cannot be read"):
            reproduction.losses(replace(example_record(), chunks=[{"epoch": 1}]))

    def test_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "no.json").write_text("[1]")
        assert_refused(in_process(tmp_path, "reproduce", "no.json"), "no.json is not a record")
        (tmp_path / "yes.json").write_text(json.dumps(asdict(rerunnable(provenance={}))))
        assert_refused(in_process(tmp_path, "reproduce", "yes.json"), "digest", "was None")
        assert_refused(in_process(tmp_path, "reproduce", "4f00"), "4f00 is no file", "--tracking")
        assert not (tmp_path / "results").exists()
