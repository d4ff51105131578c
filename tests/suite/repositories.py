"""Throw-away git repositories for the tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from suite.system import environment, git as own_git, revisions
from suite.system.revisions import PACKAGES
from tasks.task import RequestError


def git(folder: Path, *arguments: str, **variables: str) -> str:
    """The output of git in ``folder``, by an author of its own, whatever the user's settings."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    command = ["git", "-C", str(folder), *identity, *arguments]
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **settings, **variables}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, files: dict[str, str], message: str = "a change") -> str:
    """Writes the files' texts, commits all there is, and returns the commit."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, commits: int = 2) -> Path:
    """A repository of packages named like ours, with ``number.txt`` counting its commits."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    packages = {f"{name}/__init__.py": "" for name in PACKAGES}
    for number in range(commits):
        commit(folder, {**packages, "number.txt": f"{number}\n"})
    return folder


def at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Takes a folder for this source."""
    monkeypatch.setattr(own_git, "ROOT", folder)
    return folder


def facts() -> dict[str, object]:
    """The record's facts of git, read anew."""
    return dict(environment.git_revision.__wrapped__())


def state(folder: Path) -> dict[str, bytes]:
    """Every file of a repository, git's own included."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def left(source: Path) -> list[Path]:
    """The temporary files and folders."""
    return list((source.parent / "temporary").iterdir())


def refused(revision: str = "HEAD") -> str:
    """The words of a RequestError, on one line."""
    with pytest.raises(RequestError) as caught, revisions.checked_out(revision):
        raise AssertionError
    assert "\n" not in str(caught.value)
    return str(caught.value)
