"""``check --records``: finished records are judged where they hold here, else their cells run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import tasks
from suite.cli import regress as regress_cli
from suite.records import baseline as baselines, record as records
from suite.records.events import Outcome
from suite.records.findings import Finding
from suite.records.record import Record
from suite.records.specification import about
from suite.records.verdict import Deviation, Verdict
from suite.session import check as checking, compare as comparison
from suite.session.equivalence import TIMED_LOSSES
from suite.session.finished import Finished
from suite.system import environment, revisions, variables
from suite.system.revisions import HERE, Side
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import example_runs
from tests.suite.repositories import commit

CLEAN = {"commit": "c" * 40, "dirty": False}
SESSION = "20260101-000000-abcd"
CHECK = ("check", "--task", "fashion_mlp", "--data", "generated", "--records", SESSION)
BOTH = ("--backend", "numpy", "--backend", "jax")


@pytest.fixture(autouse=True)
def at_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """This source stands at a commit, unchanged, as CI has it; and no worker is started."""
    monkeypatch.setattr(environment, "git_revision", lambda: CLEAN)
    monkeypatch.setattr(checking.Cells, "_verified", never_run)


def never_run(cells: checking.Cells, task: object, ran: list[Any]) -> dict[str, Verdict]:
    if ran:
        raise AssertionError(f"these are run: {[cell.label for cell in ran]}")
    return {}


def finished_runs() -> list[Record]:
    """Five smoke runs of NumPy with the seeds 0 to 4, and five of JAX, as they end here and now."""
    known = json.loads(json.dumps(about(tasks.load("fashion_mlp", "smoke", "generated"))))
    parts = {name: known[name] for name in ("specification", "provenance")}
    facts = {"packages": environment.package_versions(), "machine": environment.machine()}
    runs = example_runs()
    for record in runs:
        cell = record.cell = replace(record.cell, profile="smoke")
        told = variables.told(environment.worker_environment(cell.backend, "cpu", 1))
        own = {**parts, **{name: dict(fact) for name, fact in facts.items()}}
        vars(record).update(own, git=CLEAN, worker={"environment": told})
        held = Deviation(TIMED_LOSSES, 1e-9, 1e-3, "", True)
        same = Verdict("fashion_mlp", cell.backend, "float32", 9, (held,), mode=cell.mode)
        record.equivalence = asdict(same)
    return runs


def keep(folder: Path, *found: Record) -> None:
    """Writes records as a session leaves them, and the baseline of runs like these."""
    made = baselines.baseline_of(finished_runs(), "tetragrad baseline update")
    baselines.write(folder / "results" / "baselines", made)
    for record in found:
        records.write(folder / "results", record)


def bench(runs: list[Record]) -> list[Record]:
    """The records of a run with seed 0: JAX's is of another seed than its own in the baseline."""
    jax = runs[5]
    jax.cell = replace(jax.cell, seed=0)
    return [runs[0], jax]


@pytest.mark.parametrize("session", [SESSION, "latest"])
def test_what_has_finished_is_judged_and_not_run_again(tmp_path: Path, session: str) -> None:
    keep(tmp_path, *bench(finished_runs()))
    done = in_process(tmp_path, *CHECK[:-1], session, *BOTH, "--markdown", "c.md")
    assert done.returncode == 0, done
    assert "2 records stand for their cells, not run again" in done.stderr
    found = (tmp_path / "c.md").read_text(encoding="utf-8")
    for backend in ("numpy:eager", "jax:jit"):
        assert f"{backend}: outcome | ok | seed 0, session {SESSION} |" in found
        assert f"{backend}: loss at step 1 | same |" in found
        assert f"{backend}: test_accuracy | in its band |" in found
    assert "numpy:eager: losses at fixed steps | same |" in found
    assert "jax:jit: losses at fixed steps | not judged | the baseline has seed 0 of num" in found
    assert not (tmp_path / "results" / "checks").exists()


def other(**changed: Any) -> Callable[[Record], None]:
    return lambda record: vars(record).update(changed)


def spoilt(name: str, key: str, value: Any) -> Callable[[Record], None]:
    return lambda record: getattr(record, name).update({key: value})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other(git={"commit": "d" * 40, "dirty": False}), "other source (commit)"),
        (other(git={**CLEAN, "dirty": True}), "a source that is no commit's, or was changed"),
        (other(git={"commit": None, "dirty": None}), "a source that is no commit's"),
        (spoilt("packages", "numpy", "0"), "other packages (numpy)"),
        (spoilt("machine", "cpu_model", "another"), "other machine (cpu_model)"),
        (lambda r: r.worker["environment"].update(LD_PRELOAD="x"), "other variables (LD_PRELOAD)"),
        (spoilt("provenance", "digest", "ff"), "other data"),
        (spoilt("specification", "hidden", 64), "other data, constants"),
        (other(outcome=Outcome.CRASHED), "not ended well"),
        (other(verified=False), "not ended well, or not verified"),
    ],
)
def test_what_does_not_hold_here_is_run(
    tmp_path: Path, change: Callable[[Record], None], why: str
) -> None:
    record = finished_runs()[0]
    assert Finished([record]).of(record.cell) is record
    change(record)
    finished = Finished([record])
    assert finished.of(record.cell) is None
    assert f"0 records stand for their cells, not run again; 1 does not ({why}" in finished.told


def test_a_source_that_has_changed_since_has_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    record = finished_runs()[0]
    monkeypatch.setattr(environment, "git_revision", lambda: {**CLEAN, "dirty": True})
    assert Finished([record]).of(record.cell) is None


@pytest.mark.parametrize("asked", [(), ("--seed", "1"), ("--backend", "jax")])
def test_what_is_missing_is_run(tmp_path: Path, asked: tuple[str, ...]) -> None:
    """A record of another commit; of another seed than was asked for; of another backend."""
    record = finished_runs()[0]
    if not asked:
        record.git = {**CLEAN, "commit": "d" * 40}
    keep(tmp_path, record)
    with pytest.raises(AssertionError, match=r"these are run: .*'fashion_mlp-"):
        in_process(tmp_path, *CHECK, "--backend", "numpy", *asked)


@pytest.mark.parametrize("seed", [0, 3, 9])
def test_a_record_of_any_seed_of_the_baseline_is_taken(seed: int) -> None:
    runs = finished_runs()
    record = runs[0]
    record.cell = replace(record.cell, seed=seed)
    made = baselines.baseline_of(finished_runs(), "")
    numpy = [("numpy", "eager")]
    assert checking.cells_of(made, numpy, None, Finished([record])) == [record.cell]
    record.cell = replace(record.cell, seed=10)
    (cell,) = checking.cells_of(made, numpy, None, Finished([record]))
    assert cell.seed == 0


WORSE: dict[str, tuple[int, Callable[[Record], None], str]] = {
    "a metric": (
        0,
        lambda r: r.epochs[1]["metrics"].update(test_accuracy=0.7),
        "numpy:eager: test_accuracy: below its band",
    ),
    "a loss": (
        0,
        lambda r: r.chunks[0]["losses"].__setitem__(1, 1.6),
        "numpy:eager: losses at fixed steps: changed",
    ),
    "a first loss, of a seed that another backend has": (
        1,
        lambda r: r.chunks[0]["losses"].__setitem__(0, 2.1),
        "jax:jit: loss at step 1: changed",
    ),
}


@pytest.mark.parametrize("command", ["check", "regress"])
@pytest.mark.parametrize("worse", WORSE)
def test_a_worse_result_in_a_record_is_a_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, worse: str
) -> None:
    number, change, said = WORSE[worse]
    found = bench(finished_runs())
    change(found[number])
    keep(tmp_path, *found)
    monkeypatch.setattr(regress_cli, "_compared", lambda *given: [])
    base = ("HEAD",) if command == "regress" else ()
    done = in_process(tmp_path, command, *CHECK[1:], *BOTH, *base)
    assert done.returncode == 1, done
    assert f"fashion_mlp {said}" in done.stdout


def test_a_backend_that_drops_out_by_itself_shares_no_loss_with_another() -> None:
    record = bench(finished_runs())[1]
    assert record.equivalence
    record.equivalence["findings"][0]["quantity"] = "loss"
    record.chunks[0]["losses"][0] = 2.1
    made = baselines.baseline_of(finished_runs(), "")
    (result,) = checking.Cells(Path(), "", 1, QUIET, Finished([record])).run([record.cell])
    found = checking.judged(made, result, 1e-3)
    assert [finding.name for finding in found if finding.passed is False] == []
    assert not any("step" in finding.name for finding in found)


class Quiet:
    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: None


QUIET: Any = Quiet()


def test_a_session_without_records_is_refused(tmp_path: Path) -> None:
    keep(tmp_path)
    assert_refused(in_process(tmp_path, *CHECK), f"--records {SESSION}", "none: `tetragrad run`")
    assert_refused(in_process(tmp_path, *CHECK[:-1], "latest"), "--records latest")


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Side, Side]:
    """Two copies of a source, with the folders that ours has."""
    files = ("suite/worker/main.py", "suite/records/events.py", "tasks/lstm.py", "tests/test_it.py")
    more = ("backends/program.py", "backends/numpy/engine.py", "backends/jax/engine.py")
    for name in ("base", "head"):
        for file in (*files, *more, "suite/report/page.py"):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
    return Side("base", tmp_path / "base"), Side("head", tmp_path / "head")


@pytest.mark.parametrize(
    ("file", "others"),
    [
        ("tests/test_it.py", ()),
        ("README.md", ()),
        ("suite/report/page.py", ()),
        ("backends/jax/engine.py", ("jax",)),
        ("backends/jax/new.py", ("jax",)),
        ("backends/program.py", ("numpy", "jax")),
        ("suite/worker/main.py", ("numpy", "jax")),
        ("suite/records/events.py", ("numpy", "jax")),
        ("tasks/lstm.py", ("numpy", "jax")),
    ],
)
def test_a_program_is_the_same_unless_a_file_of_its_worker_differs(
    trees: tuple[Side, Side], file: str, others: tuple[str, ...]
) -> None:
    base, head = trees
    (head.tree / file).write_text("changed")
    found = [b for b in ("numpy", "jax") if not revisions.same_program(base, head, b)]
    assert tuple(found) == others


def test_another_python_makes_another_program(trees: tuple[Side, Side]) -> None:
    base, head = trees
    assert revisions.same_program(base, head, "numpy")
    assert not revisions.same_program(replace(base, python="/other/python"), head, "numpy")


def test_the_files_of_a_worker_are_all_that_the_layers_let_it_import() -> None:
    """Lint holds these layers: a worker imports nothing above its own."""
    import tomllib

    text = (HERE.tree / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == ["suite"])
    below = {f"suite/{name}" for name in layers[layers.index("worker") :]}
    assert below == {f for f in revisions._RUN_BY_WORKERS if f.startswith("suite/")}


def test_regress_times_what_is_another_program_and_nothing_else(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[Any] = []

    def compare(plan: Any, base: Side, *given: Any) -> list[Finding]:
        timed.append((plan.backends, base.name))
        return [Finding("fashion_mlp in jax:jit", "same", "it was timed")]

    monkeypatch.setattr(comparison, "compare", compare)
    monkeypatch.setattr(regress_cli, "HERE", Side("working tree", source))
    first = commit(source, {"tests/test_it.py": "", "backends/jax/engine.py": ""})[:7]
    commit(source, {"tests/test_it.py": "changed"})
    keep(tmp_path, *bench(finished_runs()))
    asked = ("regress", "HEAD~1", *CHECK[1:], *BOTH)
    done = in_process(tmp_path, *asked)
    assert (done.returncode, timed) == (0, []), done
    summary = (tmp_path / "results" / "regress" / "summary.md").read_text(encoding="utf-8")
    for backend in ("numpy:eager", "jax:jit"):
        assert f"fashion_mlp in {backend} | same program | no file that its worker" in summary
    assert f"differs from {first}" in summary
    commit(source, {"backends/jax/engine.py": "changed"})
    done = in_process(tmp_path, *asked)
    assert (done.returncode, timed[0][0]) == (0, (("jax", "jit"),)), done
    summary = (tmp_path / "results" / "regress" / "summary.md").read_text(encoding="utf-8")
    assert "fashion_mlp in numpy:eager | same program |" in summary
    assert "fashion_mlp in jax:jit | same | it was timed |" in summary


def test_a_baseline_is_made_of_records_without_training(tmp_path: Path) -> None:
    for record in finished_runs():
        records.write(tmp_path / "results", record)
    asked = ("--task", "fashion_mlp", "--data", "generated", *BOTH, "--records", SESSION)
    done = in_process(tmp_path, "baseline", "update", *asked)
    assert done.returncode == 0, done
    assert "10 records stand for their cells, not run again" in done.stderr
    (path,) = (tmp_path / "results" / "baselines").iterdir()
    assert [run.seed for run in baselines.read(path).runs] == [*range(10)]
