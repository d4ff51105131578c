"""asv: our benchmarks run in it as workers do, and a planted slowdown is listed as a regression."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backends
import tasks
from suite.asv_benchmarks import process
from tests.suite.repositories import git

ROOT = Path(backends.__file__).parent.parent
COMMITS = 14
SLOWER_FROM = 8
TINY = """
def time_slower(): pass
def time_steady(): pass
"""


def asv(folder: Path, *arguments: str, **variables: str) -> str:
    """Runs asv in ``folder``, which is its user's home too: it keeps the machine's name there."""
    environment = {**os.environ, "ASV_PYTHONPATH": str(ROOT), "HOME": str(folder), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "asv", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(folder: Path, commit: str, *arguments: str, **variables: str) -> dict[str, Any]:
    """The document that `asv run` writes for a commit, with one sample each."""
    asv(folder, "machine", "--yes", "--machine", "here")
    own = ("run", "--quick", "--python", "same", "--machine", "here")
    asv(folder, *own, "--set-commit-hash", commit, *arguments, **variables)
    (path,) = (folder / "results" / "asv" / "here").glob(f"{commit[:8]}-*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the project's configuration of asv, and two benchmarks of nothing."""
    shutil.copy(ROOT / "asv.conf.json", tmp_path)
    benchmarks = tmp_path / "suite" / "asv_benchmarks"
    benchmarks.mkdir(parents=True)
    (benchmarks / "__init__.py").touch()
    (benchmarks / "tiny.py").write_text(TINY)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "asv.conf.json", "suite")
    for day in range(1, COMMITS + 1):
        date = f"2026-03-{day:02}T00:00:00Z"
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", f"day {day}", **dates)
    return tmp_path


def test_publish_lists_a_planted_slowdown_and_nothing_else(repository: Path) -> None:
    commits = git(repository, "rev-list", "--reverse", "HEAD").split()
    document = run(repository, commits[0])
    dates = git(repository, "log", "--reverse", "--format=%ct").split()
    (first,) = (repository / "results" / "asv" / "here").glob(f"{commits[0][:8]}-*.json")
    noise = np.random.default_rng(0)
    for number, (commit, date) in enumerate(zip(commits, dates, strict=True)):
        document |= {"commit_hash": commit, "date": 1000 * int(date)}
        for name, factor in (("slower", 1.2 if number >= SLOWER_FROM else 1.0), ("steady", 1.0)):
            seconds = 0.01 * factor * (1 + 0.01 * noise.standard_normal())
            document["results"][f"tiny.time_{name}"][0] = [seconds]
        path = first.with_name(first.name.replace(commits[0][:8], commit[:8]))
        path.write_text(json.dumps(document))
    asv(repository, "publish")
    pages = repository / "results" / "asv-pages"
    ((name, *_, last, best, jumps),) = json.loads((pages / "regressions.json").read_text())[
        "regressions"
    ]
    assert name == "tiny.time_slower"
    assert last / best == pytest.approx(1.2, rel=0.02)
    ((_, revision, before, after),) = jumps
    assert after / before == pytest.approx(1.2, rel=0.02)
    revisions = json.loads((pages / "index.json").read_text())["revision_to_hash"]
    assert revisions[str(revision)] == commits[SLOWER_FROM]
    compared = asv(repository, "compare", "--machine", "here", commits[0], commits[-1])
    assert "time_slower" in compared


def test_every_benchmark_runs_and_is_kept_under_its_commit(tmp_path: Path) -> None:
    conf = (ROOT / "asv.conf.json").read_text()
    conf = conf.replace('"repo": "."', f'"repo": "{ROOT}"')
    conf = conf.replace('"suite/asv_benchmarks"', f'"{ROOT}/suite/asv_benchmarks"')
    (tmp_path / "asv.conf.json").write_text(conf)
    head = git(ROOT, "rev-parse", "HEAD")
    document = run(tmp_path, head, "--bench", r"\('fashion_mlp', 'numpy'\)", OMP_NUM_THREADS="7")
    assert document["commit_hash"] == head
    values = {name.partition(".")[2]: one[0][0] for name, one in document["results"].items()}
    assert set(values) == {
        *("time_train_step", "time_predict", "peakmem_train", "track_first_chunk_seconds"),
        *("track_loss_after_n_steps", "track_import_seconds"),
        *("track_exponent_of_time", "track_memory_per_chunk"),
    }
    assert abs(values.pop("track_memory_per_chunk")) < 1e5
    assert all(value > 0 and math.isfinite(value) for value in values.values())
    assert values["track_loss_after_n_steps"] == pytest.approx(1.4143, abs=1e-3)
    assert values["peakmem_train"] > 1e8
    listed = json.loads((tmp_path / "results" / "asv" / "benchmarks.json").read_text())
    every = [list(map(repr, tasks.NAMES)), list(map(repr, backends.NAMES))]
    assert listed["training.time_train_step"]["params"] == every


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system has no /proc")
def test_a_benchmark_has_the_environment_of_a_worker_from_its_beginning() -> None:
    """As ``/proc/self/environ`` shows it, which is what the allocator saw."""
    code = (
        "from suite.asv_benchmarks import process;"
        "process.become_worker('fashion_mlp', 'numpy');"
        "print(open('/proc/self/environ').read().replace('\\0', '\\n'))"
    )
    foreign = {
        "OMP_NUM_THREADS": "7",
        "MALLOC_ARENA_MAX": "7",
        "TF_X": "7",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **foreign},
    )
    lines = done.stdout.splitlines()
    assert {"OMP_NUM_THREADS=1", "MALLOC_ARENA_MAX=1", "CUDA_VISIBLE_DEVICES="} <= {*lines}
    assert "TF_X=7" not in lines


def test_a_backend_that_is_not_there_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.jax.available", lambda mode="jit": "JAX is not installed")
    with pytest.raises(NotImplementedError, match="not installed"):
        process.become_worker("fashion_mlp", "jax")
