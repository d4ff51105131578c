"""The command as users and their scripts meet it, in real processes, on small runs."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

import backends
from suite.records import record as records, timing as timings
from suite.records.verdict import verdict_from
from tests.folders import mirrored
from tests.suite.command import (
    assert_refused,
    in_process,
    start,
    tetragrad,
    unwritable,
    wait_for,
    workers,
)

CELL_KEYS = {
    *(
        "task",
        "variant",
        "backend",
        "mode",
        "device",
        "precision",
        "seed",
        "profile",
        "data",
        "threads",
        "early_stopping",
        "options",
    ),
    *("outcome", "reason", "verified", "metrics", "time_to_target", "phases"),
    *("throughput", "training_throughput"),
    *("epochs_to_target", "reading", "stopped", "record", "mlflow_run"),
}
FASHION = ("--task", "fashion_mlp")
GENERATED = ("--data", "generated")
ALONE = ("--tracking", "none")
BRIEF = ("--timing-limit", "0")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One smoke run of everything, shared by the tests that look at what came of it."""
    folder = tmp_path_factory.mktemp("smoke")
    asked = ("run", *FASHION, "--profile", "smoke", *GENERATED, "--timing-limit", "2", "--json")
    return folder, tetragrad(folder, *asked)


@pytest.fixture
def prepared(proved: Path, empty_store: Path) -> Path:
    """Where sessions begin that neither verify nor make a store."""
    shutil.copy(empty_store, proved / "results")
    return proved


class TestRun:
    def test_the_document_is_all_there_is_on_standard_output(self, smoke: tuple[Path, Any]) -> None:
        folder, done = smoke
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert set(document) == {"session", "cells", "timings", "comparisons"}
        assert [c["backend"] for c in document["cells"]] == list(backends.NAMES)
        for cell in document["cells"]:
            assert set(cell) == CELL_KEYS
            assert (cell["outcome"], cell["verified"], cell["data"]) == ("ok", True, "generated")
            losses = {"train_loss", "test_loss"}
            assert set(cell["metrics"]) == {*losses, "test_accuracy", "dead_units"}
            assert cell["metrics"]["test_accuracy"] > 0.3  # ten classes: chance is 0.1
            assert cell["throughput"]["low"] <= cell["throughput"]["median"]
            assert set(cell["phases"]) == {
                *("import", "build", "compile", "transfer", "train", "evaluate")
            }
            assert cell["phases"]["train"] > 0
            assert cell["reading"]["label"] == "still learning"
            assert cell["stopped"] is None
            assert cell["mlflow_run"]
            assert (folder / cell["record"]).is_file()

    def test_speeds_have_an_efficiency_and_no_mark(self, smoke: tuple[Path, Any]) -> None:
        folder, done = smoke
        timing = json.loads(done.stdout)["timings"]["fashion_mlp"]
        assert timing["differing"] == []
        assert timing["machine"]["matmul"] > timing["machine"]["copy"] / 8 > 0
        for contestant in timing["contestants"].values():
            assert 0 < contestant["efficiency"]["low"] <= contestant["efficiency"]["median"] < 1.5
        (kept,) = (timings.read(p) for p in (folder / "results").glob("timings/*/*.json"))
        assert (kept.machine, len(kept.operations)) == (timing["machine"], timing["rounds"])

    def test_the_record_says_where_how_and_on_what(self, smoke: tuple[Path, Any]) -> None:
        folder, _ = smoke
        for path in records.all_paths(folder / "results"):
            record = records.read(path)
            assert record.specification["optimizer"]["name"] == "RMSprop"
            assert record.specification["optimizer"]["rho"] == 0.9
            assert record.specification["parameters"] == 101_770
            assert record.provenance["source"] == "generated"
            assert len(record.provenance["digest"]) == 64
            assert record.packages["numpy"]
            assert record.machine["cpu"]
            assert record.memory["peak"] >= record.memory["after_import"] > 10**7
            assert set(record.worker["threads"].values()) == {1}
            assert record.worker["products"] == "all digits"
            assert record.worker["denormals"] in ("kept", "flushed to zero")
            assert 0 < record.worker["cores_used"] < 1.2
            assert sum(record.worker["running_threads"].values()) > 0
            assert len(record.chunks) == 8
            assert len(record.epochs) == 2
            assert record.equivalence
            assert verdict_from(record.equivalence).verified

    def test_all_backends_learn_the_same(self, smoke: tuple[Path, Any]) -> None:
        folder, _ = smoke
        first_epochs = [
            records.read(p).epochs[0]["metrics"] for p in records.all_paths(folder / "results")
        ]
        for metrics in first_epochs[1:]:
            assert metrics == pytest.approx(first_epochs[0], rel=1e-2)

    def test_a_second_run_takes_verdicts_from_the_cache(self, smoke: tuple[Path, Any]) -> None:
        folder, _ = smoke
        before = {p: p.stat().st_mtime_ns for p in (folder / "results" / "verified").iterdir()}
        assert len(before) == 2 * len(backends.NAMES)  # in float32 and in float64
        done = in_process(
            folder,
            *("run", *FASHION, "--profile", "smoke", "--backend", "numpy", *GENERATED, *ALONE),
            *BRIEF,
        )
        assert done.returncode == 0, done.stderr
        after = {p: p.stat().st_mtime_ns for p in (folder / "results" / "verified").iterdir()}
        assert after == before
        assert re.search(r"numpy:eager .* yes", done.stdout)
        assert "GENERATED DATA" in done.stdout

    def test_early_stopping_and_seeds_reach_the_workers_and_the_document(
        self, smoke: tuple[Path, Any], tmp_path: Path
    ) -> None:
        folder, _ = smoke
        done = tetragrad(
            folder,
            *("run", *FASHION, "--profile", "smoke", *GENERATED, "--json", "--seeds", "2"),
            *("--backend", "numpy", "--backend", "mirror", "--early-stopping", "2", *ALONE),
            *BRIEF,
            PYTHONPATH=str(mirrored(tmp_path)),
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        for cell in document["cells"]:
            assert cell["early_stopping"] == 2
            assert cell["stopped"] == {"epoch": 2, "best": 2}
            record = records.read(folder / cell["record"])
            assert record.stopped == cell["stopped"]
            assert record.validation == "test_loss"
        (comparison,) = document["comparisons"]
        assert (comparison["backend"], comparison["pairs"]) == ("mirror", 2)
        assert comparison["margin"] == 0.005

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--task", "fashion"], ["no task 'fashion'", "fashion_mlp"]),
            (["--task", "fashion_mlp:wide"], ["fashion_mlp has no variant 'wide'"]),
            (["--backend", "theano"], ["no backend 'theano'", "numpy, torch, tensorflow, jax"]),
            (["--backend", "torch:fast"], ["torch has no mode 'fast'", "eager, compile"]),
            (["--backend", "jax", "--mode", "xla"], ["--mode xla", "jax: jit"]),
            (["--profile", "huge"], ["no profile 'huge'", "smoke, quick, full"]),
            (["--threads", "4096"], ["--threads 4096"]),
            (["--seeds", "0"], ["--seeds"]),
            (["--timeout", "0"], ["--timeout 0"]),
            (["--early-stopping", "0"], ["--early-stopping"]),
            (["--data", "fake"], ["'fake'"]),
            (
                ["--set", "beam=4", "--task", "lstm"],
                ["--set beam=4", "transformer: beam, sentence"],
            ),
            (["--set", "beam"], ["--set beam", "transformer: beam, sentence"]),
            (["--set", "beam=0"], ["beam=0", "whole number from 1"]),
        ],
    )
    def test_a_request_that_cannot_be_met_is_refused(
        self, tmp_path: Path, arguments: list[str], words: list[str]
    ) -> None:
        assert_refused(in_process(tmp_path, "run", *arguments), *words)
        assert list(tmp_path.iterdir()) == []

    def test_a_refusal_is_one_line_of_a_process_too(self, tmp_path: Path) -> None:
        done = tetragrad(tmp_path, "run", "--task", "fashion")
        assert_refused(done, "error: there is no task 'fashion'")
        assert done.stderr.count("\n") == 1

    def test_results_that_cannot_be_written(self, tmp_path: Path) -> None:
        folder = unwritable(tmp_path)
        done = in_process(Path("/"), "run", *FASHION, "--results", str(folder), *GENERATED)
        assert_refused(done, str(folder), "cannot be written", "--results")

    def test_a_damaged_data_file(self, tmp_path: Path) -> None:
        from tasks.datasets.fashion_mnist import SOURCE

        (tmp_path / "fashion_mnist").mkdir()
        for file in SOURCE.files:
            (tmp_path / "fashion_mnist" / file).write_bytes(b"damaged")
        for command in (["run", *FASHION], ["verify", *FASHION], ["data", "verify"]):
            done = in_process(tmp_path, *command, TETRAGRAD_DATA=str(tmp_path))
            assert_refused(done, "train-images-idx3-ubyte.gz is damaged", "tetragrad data fetch")

    def test_a_framework_or_a_compiler_that_is_missing_skips_its_cells_alone(
        self, smoke: tuple[Path, Any], tmp_path: Path
    ) -> None:
        folder, _ = smoke
        (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['jax'] = None")
        (tmp_path / "nothing").mkdir()
        done = tetragrad(
            folder,
            *("run", *FASHION, "--profile", "smoke", "--json", *GENERATED, *ALONE, *BRIEF),
            *("--backend", "jax", "--backend", "numpy", "--backend", "torch:compile"),
            PYTHONPATH=str(tmp_path),
            PATH=str(tmp_path / "nothing"),
            CXX="g++",
        )
        assert done.returncode == 1, done.stderr  # they were asked for by name
        jax, numpy, torch = json.loads(done.stdout)["cells"]
        assert (torch["outcome"], torch["mode"]) == ("skipped", "compile")
        assert "needs a C++ compiler and there is no g++" in torch["reason"]
        assert jax["outcome"] == "skipped"
        assert "pip install 'tetragrad[jax]'" in jax["reason"]
        assert jax["throughput"]["median"] is None
        assert numpy["outcome"] == "ok"

    def test_a_device_that_is_missing_skips_its_cells(self, tmp_path: Path) -> None:
        if list(Path("/dev").glob("nvidia[0-9]*")):
            pytest.skip("this machine has a GPU")
        done = in_process(
            tmp_path,
            *("run", *FASHION, "--profile", "smoke", "--device", "cuda", "--json", *GENERATED),
            *("--backend", "numpy", "--backend", "torch", *ALONE),
        )
        assert done.returncode == 1  # nothing ran
        for cell in json.loads(done.stdout)["cells"]:
            assert cell["outcome"] == "skipped"
            assert "has no device 'cuda'" in cell["reason"]
            assert not cell["verified"]


LONG = (
    *("run", *FASHION, "--profile", "full", "--seeds", "2", "--json", *GENERATED),
    *BRIEF,
)


class TestFaults:
    def test_a_worker_that_is_killed_costs_only_its_cell(self, prepared: Path) -> None:
        process = start(prepared, *LONG, "--backend", "numpy")
        wait_for(process, r"epoch 1/5")
        for worker in workers(process):
            worker.kill()
        stdout, _ = process.communicate(timeout=300)
        assert process.returncode == 1
        killed, other = json.loads(stdout)["cells"]
        assert killed["outcome"] == "crashed"
        assert "SIGKILL" in killed["reason"]
        assert killed["mlflow_run"]
        assert records.read(prepared / killed["record"]).chunks  # what it had done is kept
        assert other["outcome"] == "ok"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_ctrl_c_keeps_what_was_done_and_marks_the_rest(
        self, prepared: Path, number: signal.Signals
    ) -> None:
        process = start(prepared, *LONG, *ALONE, "--backend", "numpy")
        wait_for(process, r"epoch 2/5")
        running = workers(process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 130
        assert "Traceback" not in stderr
        begun, rest = json.loads(stdout)["cells"]
        assert (begun["outcome"], rest["outcome"]) == ("interrupted", "not begun")
        assert rest["reason"] == "the session ended before"
        assert "test_accuracy" in begun["metrics"]
        assert len(list(records.all_paths(prepared / "results"))) == 2
        assert running
        assert not psutil.wait_procs(running, timeout=5)[1]

    def test_a_cell_that_takes_too_long_is_stopped(self, proved: Path) -> None:
        begin = time.monotonic()
        done = in_process(proved, *LONG, *ALONE, "--backend", "numpy", "--timeout", "0.5")
        assert time.monotonic() - begin < 60
        assert done.returncode == 1
        for cell in json.loads(done.stdout)["cells"]:
            assert (cell["outcome"], cell["reason"]) == ("timeout", "not done after 0.5 s")

    @pytest.mark.filterwarnings("ignore")  # MLflow's own
    def test_a_store_that_is_away_loses_nothing(self, prepared: Path) -> None:
        folder = prepared
        done = in_process(
            folder,
            *("run", *FASHION, "--profile", "smoke", "--backend", "numpy", "--json", *GENERATED),
            *BRIEF,
            *("--tracking-uri", "http://127.0.0.1:9"),
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",
        )
        assert done.returncode == 0
        assert "tetragrad sync" in done.stderr
        (cell,) = json.loads(done.stdout)["cells"]
        assert cell["mlflow_run"] is None
        assert (folder / cell["record"]).is_file()
        sent = in_process(folder, "sync")
        assert cell["record"] in re.sub(r"\s", "", sent.stderr)
        assert in_process(folder, "sync").stdout.startswith("0 sent")


class TestOtherCommands:
    def test_list_says_what_is_there_and_why_something_is_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PyTorch's line is looked at by test_devices."""
        monkeypatch.setitem(sys.modules, "jax", None)
        monkeypatch.setattr(backends, "names", lambda: ("numpy", "jax"))
        done = in_process(tmp_path, "list", COLUMNS="200")
        assert done.returncode == 0, done.stderr
        assert "fashion_mlp" in done.stdout
        assert "pip install 'tetragrad[jax]'" in done.stdout
        assert re.search(r"numpy\W+[\d.]+\S*\W+eager\W+cpu", done.stdout)

    def test_show_has_all_four_implementations(self, tmp_path: Path) -> None:
        done = in_process(tmp_path, "show", "fashion_mlp", COLUMNS="400")
        assert done.returncode == 0
        for backend in backends.NAMES:
            assert f"backends/{backend}/fashion_mlp.py" in done.stdout
        assert "softmax_cross_entropy_backward" in done.stdout
        assert_refused(in_process(tmp_path, "show", "nothing"), "no task 'nothing'")

    def test_data_path_list_and_verify(self, tmp_path: Path) -> None:
        where = {"TETRAGRAD_DATA": str(tmp_path)}
        done = in_process(tmp_path, "data", "path", "fashion_mnist", **where)
        assert done.stdout.strip() == str(tmp_path / "fashion_mnist")
        listed = in_process(tmp_path, "data", "list", **where, COLUMNS="300").stdout
        for name in ("imdb", "84.1", "no", "ai.stanford.edu", "d2l-data", "Maas"):
            assert name in listed
        assert_refused(in_process(tmp_path, "data", "verify", **where), "missing", "data fetch")
        assert_refused(in_process(tmp_path, "data", "verify", "x", **where), "no data set 'x'")

    def test_browse_serves_mlflow_on_the_own_machine_alone(self, smoke: tuple[Path, Any]) -> None:
        folder, _ = smoke
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        process = start(folder, "browse", "--port", str(port))
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith(f"fashion_mlp: http://127.0.0.1:{port}/#/experiments/1/runs")
            assert line.endswith("&viewStateShareKey=tetragrad\n")
            assert "Exit shared view" in process.stdout.readline()
            last = "Ctrl-C ends the server\n"
            assert process.stdout.readline() == last
            for _ in range(360):
                try:
                    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                    break
                except OSError:
                    time.sleep(0.5)
            assert b"MLflow" in page.read()
            tree = [process.pid, *(p.pid for p in psutil.Process(process.pid).children(True))]
            listening = [c for c in psutil.net_connections("inet") if c.status == "LISTEN"]
            ours = [c.laddr for c in listening if c.pid in tree and c.laddr]
            assert {address.ip for address in ours} == {"127.0.0.1"}
            there = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
            assert (process.returncode, stdout, stderr) == (0, "", "")
            assert not psutil.wait_procs(there, timeout=10)[1]
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate()

    def test_browse_says_when_there_is_nothing(self, tmp_path: Path) -> None:
        assert_refused(in_process(tmp_path, "browse"), "no results", "tetragrad run")
