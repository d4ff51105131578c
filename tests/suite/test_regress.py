"""``tetragrad regress``: a gate that cannot judge fails, and says why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from suite.system import revisions
from suite.system.git import ROOT
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process
from tests.suite.repositories import (
    at,
    commit,
    facts,
    git,
    refused,
    repository,
)


def shallow(source: Path, depth: int = 1) -> Path:
    """A clone of so many commits, which knows no origin/main, as actions/checkout makes one."""
    folder = source.parent / "shallow"
    git(source.parent, "clone", "--quiet", f"--depth={depth}", f"file://{source}", str(folder))
    git(folder, "update-ref", "-d", "refs/remotes/origin/main")
    return folder


def owned_by_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes git take every repository for that of another user; ``folder`` is for a program."""
    folder.mkdir()
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_base_is_the_merge_base_or_the_commit_before(source: Path) -> None:
    first, second = git(source, "rev-list", "--reverse", "HEAD").split()
    assert revisions.before() == first
    git(source, "update-ref", "refs/remotes/origin/main", second)
    assert revisions.before() == first
    commit(source, {})
    commit(source, {})
    assert revisions.before() == second


def test_a_shallow_clone_is_told_how_to_be_deeper(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(shallow(source), monkeypatch)
    words = r"a commit before HEAD: this clone is shallow.*--unshallow.*fetch-depth: 0"
    with pytest.raises(RequestError, match=words):
        revisions.before()
    assert "fetch-depth: 0" in refused("HEAD~1")
    git(source.parent / "shallow", "fetch", "--quiet", "--unshallow")
    assert revisions.before() == git(source, "rev-parse", "HEAD~1")


def test_a_merge_base_that_was_cut_off_is_not_the_commit_before(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(source, "checkout", "--quiet", "-b", "feature")
    for number in range(3):
        commit(source, {"feature.txt": str(number)})
    clone = shallow(source, depth=2)
    git(clone, "fetch", "--quiet", "--depth=1", "origin", "main:refs/remotes/origin/main")
    at(clone, monkeypatch)
    assert git(clone, "rev-parse", "HEAD~1")
    with pytest.raises(RequestError, match=r"the merge base of HEAD.*fetch-depth"):
        revisions.before()


def test_a_history_that_has_nothing_in_common_with_main(source: Path) -> None:
    git(source, "checkout", "--quiet", "--orphan", "another")
    commit(source, {})
    git(source, "update-ref", "refs/remotes/origin/main", "main")
    with pytest.raises(RequestError, match="the merge base of HEAD and origin/main"):
        revisions.before()


def test_a_first_commit_and_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(repository(tmp_path / "source", commits=1), monkeypatch)
    with pytest.raises(RequestError, match="a commit before HEAD: HEAD is the first one"):
        revisions.before()
    empty = at(tmp_path / "empty", monkeypatch)
    (empty / "suite").mkdir(parents=True)
    (empty / "suite" / "__init__.py").touch()
    git(empty, "init", "--quiet")
    git(empty, "add", "--all")
    with pytest.raises(RequestError, match="no revision 'HEAD'"):
        revisions.before()
    assert facts() == {"commit": None, "dirty": None}


def test_a_repository_of_another_user(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = git(source, "rev-parse", "HEAD~1")
    owned_by_another(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    with pytest.raises(RequestError, match=r"dubious ownership.*safe\.directory.*do as git says"):
        revisions.before()
    assert "safe.directory" in refused()
    assert facts() == {"commit": None, "dirty": None}
    (tmp_path / "config").write_text(f"[safe]\n\tdirectory = {source}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert revisions.before() == base


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, where this source's repository has one commit."""
    at(repository(tmp_path / "first", commits=1), monkeypatch)
    return tmp_path


GATE = ("regress", "--task", "fashion_mlp", "--data", "generated")
BASELINES = ("--baselines", str(ROOT / "results" / "baselines"))


def test_regress_without_a_base_fails_before_it_runs_anything(first: Path) -> None:
    done = in_process(first, *GATE, *BASELINES)
    assert_refused(done, "HEAD is the first one", "--allow-no-base")
    for named in ("nowhere", ""):  # a variable of the CI's that was not set
        done = in_process(first, *GATE, named, "--allow-no-base", *BASELINES)
        assert_refused(done, f"there is no revision {named!r}")
    assert not list((first / "results").glob("checks/*"))


def test_regress_passes_without_a_base_where_it_is_told_to(first: Path) -> None:
    done = in_process(first, *GATE, "--allow-no-base", "--backend", "numpy", *BASELINES)
    assert done.returncode == 0, done
    summary = (first / "results" / "regress" / "summary.md").read_text(encoding="utf-8")
    assert "fashion_mlp numpy:eager: equivalence | same model" in summary
    assert "speed | not compared" in summary
    assert "HEAD is the first one" in summary


def test_regress_that_has_no_baseline_to_check_is_refused(first: Path) -> None:
    baselines = first / "results" / "baselines"
    baselines.mkdir(parents=True)
    (path,) = (ROOT / "results" / "baselines").glob("fashion_mlp*smoke*generated*")
    document = json.loads(path.read_text())
    document["runs"] = [run for run in document["runs"] if run["backend"] == "numpy"]
    (baselines / path.name).write_text(json.dumps(document))
    done = in_process(first, *GATE, "--allow-no-base", "--backend", "torch")
    assert_refused(done, "fashion_mlp have no run of torch:eager")
