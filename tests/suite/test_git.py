"""Git is asked about this source alone, from wherever it is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suite.system import git as own_git, revisions
from suite.system.git import ROOT, cleaned
from tasks.task import RequestError
from tests.suite.command import TETRAGRAD
from tests.suite.planting import planted
from tests.suite.repositories import (
    at,
    commit,
    facts,
    git,
    left,
    refused,
    repository,
    state,
)


def of_a_hook(folder: Path) -> dict[str, str]:
    """Variables that git gives hooks of the repository in ``folder``, and more that name it."""
    inside = str(folder / ".git")
    return {
        **{"GIT_DIR": inside, "GIT_WORK_TREE": str(folder), "GIT_COMMON_DIR": inside},
        **{"GIT_INDEX_FILE": f"{inside}/index.lock", "GIT_PREFIX": "suite/"},
        **{"GIT_OBJECT_DIRECTORY": f"{inside}/objects", "GIT_NAMESPACE": "other"},
        **{"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.worktree"},
        **{"GIT_CONFIG_VALUE_0": str(folder), "GIT_CONFIG_PARAMETERS": "'core.bare=true'"},
        # of a receiving repository: git forbids every change of a reference
        "GIT_QUARANTINE_PATH": f"{inside}/objects/incoming",
    }


def test_a_hook_of_another_repository_asks_about_this_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = repository(tmp_path / "other", commits=5)
    before = state(source), state(other)
    known, base = facts(), revisions.before()
    assert known == {"commit": git(source, "rev-parse", "HEAD"), "dirty": False}
    for name, value in of_a_hook(other).items():
        monkeypatch.setenv(name, value)
    assert (facts(), revisions.before()) == (known, base)
    with revisions.checked_out("HEAD~1") as tree:
        assert (tree / "number.txt").read_text() == "0\n"
    assert (state(source), state(other)) == before
    assert left(source) == []


def test_what_git_calls_local_goes_and_what_a_user_says_stays() -> None:
    local = dict.fromkeys(git(ROOT, "rev-parse", "--local-env-vars").split(), "x")
    user = {
        **{"PATH": "p", "HOME": "h", "GIT_CONFIG_GLOBAL": "g", "GIT_SSH_COMMAND": "ssh"},
        **{"GITHUB_SHA": "s", "EDITOR": "safe.directory"},
    }
    assert cleaned({**local, **user, "GIT_QUARANTINE_PATH": "q", "GIT_REFLOG_ACTION": "r"}) == user


def test_a_containers_word_on_who_is_trusted_stays() -> None:
    said = {
        **{"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "core.bare", "GIT_CONFIG_VALUE_0": "true"},
        **{"GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*"},
    }
    assert cleaned(said) == {
        **{"GIT_CONFIG_COUNT": "1"},
        **{"GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
    }


@pytest.mark.parametrize("module", ["noxfile", "tests.conftest"])
def test_sessions_and_tests_in_a_hook_forget_it(module: str, tmp_path: Path) -> None:
    """Both start programs that call git: the tests' own commits went into that repository."""
    code = f"import json, os, {module}; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **of_a_hook(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not of_a_hook(tmp_path).keys() & json.loads(done.stdout).keys()


def test_facts_are_read_without_a_lock_and_whatever_the_settings_hide(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(source / "number.txt", (1, 1))  # git would note in the index that it is unchanged
    before = state(source)
    assert facts()["dirty"] is False
    assert state(source) == before
    git(source, "config", "status.showUntrackedFiles", "no")
    (source / "backends" / "new.py").touch()
    assert facts()["dirty"] is True


COMPARED = (
    *("--task", "fashion_mlp", "--backend", "numpy", "--profile", "smoke", "--data", "generated"),
    *("--limit", "0", "--threshold", "0.9"),
)


@pytest.mark.parametrize("how", ["added", "all", "named"])
def test_a_commit_holds_the_users_change_alone(how: str, tmp_path: Path) -> None:
    """Whatever index git makes the commit from; in one of the ways, all of `compare` runs."""
    tree = planted(tmp_path / "source")
    shutil.copy(ROOT / "tetragrad.py", tree)
    git(tree, "init", "--quiet")
    commit(tree, {"mine.txt": "one\n", "theirs.txt": "one\n", ".gitignore": "__pycache__/\n"})
    commit(tree, {"mine.txt": "one\ntwo\n", "theirs.txt": "one\ntwo\n"})
    code = "from suite.system import revisions; revisions.checked_out('HEAD~1').__enter__()"
    run = (*TETRAGRAD, "compare", "HEAD~1", *COMPARED, "--results", str(tmp_path / "results"))
    command = run if how == "all" else (sys.executable, "-P", "-c", code)
    hook = tree / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\nexec {' '.join(map(repr, command))} > ../said 2>&1\n")
    hook.chmod(0o755)
    (tree / "mine.txt").write_text("one\ntwo\nthree\n")
    if how == "added":
        git(tree, "add", "mine.txt")
    chosen = {"added": (), "all": ("--all",), "named": ("mine.txt",)}[how]
    git(tree, "commit", "--quiet", "-m", "mine", *chosen, PYTHONPATH=str(tree))
    assert git(tree, "show", "--format=", "--numstat") == "1\t0\tmine.txt"
    assert git(tree, "status", "--porcelain") == ""
    if how == "all":
        assert "fashion_mlp in numpy:eager" in (tmp_path / "said").read_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's project, with this source installed in its environment."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for number in range(2):
        commit(folder, {".gitignore": ".venv/\n", "suite/__init__.py": f"# theirs, {number}"})
    packages = folder / ".venv" / "lib" / "site-packages"
    for name in revisions.PACKAGES:
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").touch()
    at(packages, monkeypatch)
    return folder


@pytest.mark.parametrize("ignored", [True, False])
def test_a_projects_commits_are_not_those_of_what_is_installed_there(
    project: Path, ignored: bool
) -> None:
    if not ignored:
        (project / ".gitignore").unlink()
    assert facts() == {"commit": None, "dirty": None}
    assert f"the git repository {project} does not track this source" in refused("HEAD~1")
    with pytest.raises(RequestError, match=r"does not track this source.*git clone"):
        revisions.before()


def test_a_source_that_a_project_tracks_has_its_commits(project: Path) -> None:
    """Somebody's copy of it, in a folder of a larger repository."""
    packages = own_git.ROOT
    git(project, "add", "--force", str(packages))
    git(project, "commit", "--quiet", "-m", "a copy of it")
    old = git(project, "rev-parse", "HEAD")
    (packages / "suite" / "__init__.py").write_text("# ours, changed")
    git(project, "commit", "--quiet", "--all", "-m", "a change of it")
    (project / "theirs.txt").touch()  # no change of this source
    assert facts() == {"commit": git(project, "rev-parse", "HEAD"), "dirty": False}
    assert revisions.before() == old
    with revisions.checked_out(old) as tree:
        assert (tree / "suite" / "__init__.py").read_text() == ""
    (packages / "suite" / "new.py").touch()
    git(project, "add", "--force", "--intent-to-add", str(packages / "suite" / "new.py"))
    assert facts()["dirty"] is True


def test_a_source_in_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(tmp_path, monkeypatch)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert facts() == {"commit": None, "dirty": None}
    assert "not a git repository" in refused()
