"""A task in a folder of its user's: ``tetragrad new``, its proof, its records, its failures."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import backends
import tasks
from backends.numpy import fashion_mlp
from backends.numpy.central_differences import of_program, relative_errors
from backends.program import Program
from suite.cli.new import BACKENDS
from suite.proof import NotSame, require_same
from suite.records import baseline as baselines, record as records
from suite.records.cell import Conditions
from suite.records.record import Record
from suite.session import check, reproduce, resume
from suite.session.equivalence import CENTRAL_DIFFERENCES
from suite.session.verifier import Verifier
from suite.show import listing
from tasks.task import RequestError, Tree
from tests.folders import MODEL, written
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import example_baseline
from tests.tiny import tiny_task

RUN = ("run", "--profile", "smoke", "--timing-limit", "0", "--tracking", "none", "--json")
WITHOUT = tuple(name for name in ("torch", "jax") if backends.load(name).available())
needs_both = pytest.mark.skipif(bool(WITHOUT), reason=f"{' and '.join(WITHOUT)} not installed")


class TestNew:
    def test_writes_a_folder_that_says_what_to_do(self, tmp_path: Path) -> None:
        done = in_process(tmp_path, "new", "ports/my-port")
        assert done.returncode == 0
        assert "tetragrad verify --task ./ports/my-port" in done.stdout
        folder = tmp_path / "ports" / "my-port"
        files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.py"))
        assert files == ["jax.py", "task.py", "tests/test_same.py", "torch.py"]
        assert "class MyPort(OwnTask)" in (folder / "task.py").read_text()
        assert 'oracle = "torch"' in (folder / "task.py").read_text()
        assert 'backends=["torch", "jax"]' in (folder / "tests" / "test_same.py").read_text()
        texts = ((folder / name).read_text() for name in files if "/" not in name)
        lines = sum(len(text.splitlines()) for text in texts)
        assert lines <= 120  # all that a user has to write of a perceptron in two frameworks

    def test_has_a_template_for_every_backend_of_the_house(self, tmp_path: Path) -> None:
        wanted = [word for name in backends.NAMES for word in ("--backend", name)]
        assert in_process(tmp_path, "new", "4", *wanted).returncode == 0
        assert {*BACKENDS} == {*backends.NAMES}
        for name in backends.NAMES:
            tree = ast.parse((tmp_path / "4" / f"{name}.py").read_text())
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert defined == {"forward", "loss", "build"}
            assert str(ast.get_docstring(tree)).startswith("The model in")
        task = (tmp_path / "4" / "task.py").read_text()
        assert "class Task4(OwnTask)" in task
        assert "oracle" not in task  # NumPy's model is there

    def test_overwrites_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "port").mkdir()
        assert_refused(in_process(tmp_path, "new", "port"), "port is there already")
        assert not [*(tmp_path / "port").iterdir()]
        assert_refused(
            in_process(tmp_path, "new", "x", "--backend", "trch"), "'trch'; did you mean"
        )
        assert_refused(
            in_process(tmp_path, "new", "x", "--backend", "jax"), "compared with nothing"
        )
        assert not (tmp_path / "x").exists()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    assert in_process(folder, "new", "port").returncode == 0
    return folder / "port"


@needs_both
class TestTheProofWithoutNumPy:
    def test_holds_as_pytest_runs_it(self, port: Path) -> None:
        """In its own folder, where torch.py must not hide PyTorch."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
            cwd=port,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout

    def test_names_a_slip(self, port: Path, tmp_path: Path) -> None:
        slipped = tmp_path / "port"
        shutil.copytree(port, slipped)
        right = '+ params["hidden.bias"])'
        text = (slipped / "jax.py").read_text()
        assert text.count(right) == 1
        wrong = '+ jax.lax.stop_gradient(params["hidden.bias"]))'
        (slipped / "jax.py").write_text(text.replace(right, wrong))
        with pytest.raises(NotSame) as raised:
            require_same(slipped, backends=["jax"], precisions=["float64"])
        assert "port in jax:jit, float64: the loss agrees, its gradients differ" in str(
            raised.value
        )
        assert "differs most at hidden.bias: error 1.0e+00, allowed 1e-09" in str(raised.value)
        # by the names of torch's modules and the taps of jax.py
        assert "; error begins at hidden.bias, its gradient: values and" in str(raised.value)
        assert "; cause: no gradient reaches hidden.bias: look for detach()" in str(raised.value)


SLIPS = {
    "import": ("import flux\n", "numpy.py, line 1: ModuleNotFoundError: No module named 'flux'"),
    "nothing to build": ("forward = None\n", "numpy.py has no build(task, state, seed)"),
    "a name": (
        MODEL
        + "import dataclasses\nright = build\ndef build(task, state, seed):\n"
        + "    state.params['hidden.kernal']\n",
        "numpy.py, line 5: KeyError: 'hidden.kernal'; mend it there",
    ),
    "a shape": (
        "from . import perceptron as house\nfrom backends.numpy.engine import Program\n"
        "def forward(params, buffers, batch):\n"
        "    return {'logits': batch['images'] @ params['hidden.kernel'].T}\n"
        "def build(task, state, seed):\n"
        "    return Program(task, state, seed, forward, house.loss)\n",
        "numpy.py, line 4: ValueError: matmul",
    ),
    "random numbers": (
        "import numpy as np\nfrom . import perceptron as house\n"
        "from backends.numpy.engine import Program\n"
        "def loss(params, buffers, batch, key):\n"
        "    noise = np.random.random(batch['images'].shape)\n"
        "    noisy = {**batch, 'images': batch['images'] + noise}\n"
        "    return house.loss(params, buffers, noisy, key)\n"
        "def build(task, state, seed):\n"
        "    return Program(task, state, seed, house.forward, loss)\n",
        "numpy is not deterministic: the same state and batch gave another",
    ),
    "a gradient": (
        "from . import perceptron as house\nfrom backends.numpy.engine import Program\n"
        "def loss(*given):\n"
        "    value, buffers, back = house.loss(*given)\n"
        "    def backward(c):\n"
        "        return {n: g * (1.01 if n == 'hidden.bias' else 1) for n, g in back(c).items()}\n"
        "    return value, buffers, backward\n"
        "def build(task, state, seed):\n"
        "    return Program(task, state, seed, house.forward, loss)\n",
        "central differences in float64 differs most at hidden.bias",
    ),
}


class TestABrokenModel:
    @pytest.mark.parametrize("slip", SLIPS)
    def test_is_a_failed_verdict_that_says_where(self, tmp_path: Path, slip: str) -> None:
        model, said = SLIPS[slip]
        written(tmp_path / "port", numpy=model)
        done = in_process(tmp_path, "verify", "--task", "port", "--precision", "float64")
        assert done.returncode == 1
        assert "Traceback" not in done.stdout + done.stderr
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("./port in numpy"))
        assert said in line

    def test_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        folder = written(tmp_path / "port")
        (folder / "numpy.py").unlink()
        wanted = ("verify", "--task", "port")
        assert_refused(in_process(tmp_path, *wanted), "./port has no model; write two or more of:")
        (folder / "task.py").unlink()
        assert_refused(in_process(tmp_path, *wanted), "no task 'port'", "a folder with a task.py")
        assert_refused(in_process(tmp_path, *wanted[:2], "./port"), "it has no task.py")
        assert_refused(in_process(tmp_path, "./port"), "did you mean tetragrad run --task ./port?")

    def test_that_is_compared_with_nothing_is_no_proof(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="only numpy:eager is to be compared"):
            require_same(written(tmp_path / "port"))


class Foreign:
    """A program of another backend, as far as central differences need one."""

    def __init__(self, program: Program, wrong: float) -> None:
        self.restore, self.place = program.restore, program.place
        self._program, self._wrong = program, wrong

    def gradients(self, placed: Any) -> tuple[float, Tree]:
        loss, found = self._program.gradients(placed)
        return loss, {**found, "hidden.bias": found["hidden.bias"] * self._wrong}


@pytest.mark.parametrize("wrong", [1.0, 1.001])
def test_central_differences_need_restore_and_gradients_alone(wrong: float) -> None:
    task = tiny_task()
    state = task.initial(0).astype("float64")
    program: Any = Foreign(fashion_mlp.build(task, state, None), wrong)
    batch = {name: a[0] for name, a in next(task.chunks("train")).items()}
    errors = relative_errors(of_program(program, state), state.params, batch, seed=0)
    assert errors.keys() == task.params.keys()
    assert {leaf for leaf, error in errors.items() if error > CENTRAL_DIFFERENCES} == (
        set() if wrong == 1 else {"hidden.bias"}
    )


def test_a_task_needs_its_oracle_s_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "port", torch="", jax="")
    monkeypatch.setattr(backends.load("torch"), "available", lambda mode: "it is away")
    with pytest.raises(RequestError, match="port is compared with torch, and it is away"):
        require_same(folder, backends=["jax"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folders ``a/port`` and ``b/port``, and the results of both."""
    here = tmp_path_factory.mktemp("ran")
    for place in ("a", "b"):
        written(here / place / "port")
    done = in_process(here, *RUN, "--task", "a/port", "--task", "b/port")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["cells"]
    assert first["verified"]
    assert first["record"] != second["record"]
    assert "/port." in first["record"]
    return here


class TestItsRecords:
    def paths(self, ran: Path) -> list[Path]:
        return [*(ran / "results" / "records").rglob("*.json")]

    def record(self, ran: Path) -> Record:
        found = map(records.read, self.paths(ran))
        return next(record for record in found if record.cell.task == str(ran / "a" / "port"))

    def test_know_the_folder_and_its_files(self, ran: Path) -> None:
        record = self.record(ran)
        assert record.cell.task == str(ran / "a" / "port") == record.worker["task_folder"]["path"]
        assert record.efficiency is None  # its operations are not known
        assert record.metrics.keys() == {"train_loss"}
        task = reproduce.require_rerunnable(record)
        assert resume.still_holds(record, record.cell, task)

    def test_are_reported_with_the_files(self, ran: Path) -> None:
        assert in_process(ran, "report", "--tracking", "none").returncode == 0
        (page,) = (ran / "results" / "reports").rglob("report.html")
        assert page.read_text().count("Show port/numpy.py") == 2

    def test_are_reproduced_and_say_what_changed(self, ran: Path) -> None:
        record = self.record(ran)
        (path,) = (path for path in self.paths(ran) if path.stem == record.cell.label)
        done = in_process(ran, "reproduce", str(path))
        assert done.returncode == 0, done.stdout
        assert "The environment is the same." in done.stdout
        file = ran / "a" / "port" / "numpy.py"
        file.write_text(f"{MODEL}# a word more\n")
        done = in_process(ran, "reproduce", str(path))
        assert "task_folder.sha256" in done.stdout
        assert not resume.still_holds(record, record.cell, reproduce.require_rerunnable(record))
        file.write_text(MODEL)

    def test_say_when_the_folder_is_gone(self, ran: Path) -> None:
        record = self.record(ran)
        moved = ran / "a" / "moved"
        (ran / "a" / "port").rename(moved)
        try:
            with pytest.raises(RequestError, match=r"no folder .*a/port; name that of a task"):
                reproduce.require_rerunnable(record)
        finally:
            moved.rename(ran / "a" / "port")


def test_a_verdict_is_kept_until_a_file_changes(tmp_path: Path) -> None:
    folder, kept = written(tmp_path / "port"), tmp_path / "kept"
    task = tasks.load(str(folder), "full", "real")

    def files_after_verifying() -> int:
        verifier = Verifier(task, "cpu", 1, cache_folder=kept)
        (verdict,) = verifier.verify([(("numpy", "eager"), "float64")])
        assert verdict.verified
        return len([*kept.iterdir()])

    assert [files_after_verifying(), files_after_verifying()] == [1, 1]
    (folder / "numpy.py").write_text(f"{MODEL}# a word more\n")
    assert files_after_verifying() == 2


def test_a_baseline_is_that_of_a_folder_wherever_it_lies(tmp_path: Path) -> None:
    folder, made = str(written(tmp_path / "port")), example_baseline()
    elsewhere = Conditions(task="/elsewhere/port", profile="smoke", data="real")
    provenance = {**made.provenance, "source": "real"}
    baselines.write(tmp_path, replace(made, conditions=elsewhere, provenance=provenance))
    (found,) = check.find(tmp_path, [(folder, None)], "smoke", {folder: "real"})
    assert found.conditions.task == folder
    assert found.runs == made.runs


def test_the_list_says_where_each_task_and_backend_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "_probed", lambda name: (["cpu"], None, None))
    monkeypatch.setattr(
        tasks, "origin", {**dict.fromkeys(tasks.names(), "here"), "lstm": "there"}.get
    )
    console = Console(width=200)
    with console.capture() as capture:
        listing.print_listing(console)
    rows = {words[0]: words[-1] for line in capture.get().splitlines() if (words := line.split())}
    assert (rows["fashion_mlp"], rows["lstm"], rows["torch"]) == ("here", "there", "tetragrad")


def test_one_task_is_shown_at_a_time(tmp_path: Path) -> None:
    written(tmp_path / "port")
    shown = in_process(tmp_path, "show", "port").stdout
    assert "from .perceptron import build" in shown
    assert "torch" not in shown
    assert_refused(in_process(tmp_path, "show", "all"), "all is 8 tasks; name one of: fashion_mlp")
