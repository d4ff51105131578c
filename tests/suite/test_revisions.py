"""Revisions: what git refuses is said, and nothing stays behind in a user's repository."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

import pytest

from suite.system import git as own_git, revisions
from suite.system.git import GitError
from tasks.task import RequestError
from tests.suite.repositories import (
    at,
    commit,
    facts,
    git,
    left,
    refused,
    state,
)


def blob(source: Path, name: str) -> Path:
    """The file in which git keeps what ``name`` was at HEAD."""
    digest = git(source, "rev-parse", f"HEAD:{name}")
    return source / ".git" / "objects" / digest[:2] / digest[2:]


def test_a_damaged_repository_is_named_in_gits_words(source: Path) -> None:
    path = blob(source, "number.txt")
    path.unlink()
    before = state(source)
    words = refused()
    assert path.parent.name + path.name in words
    assert "archive" in words
    assert (state(source), left(source)) == (before, [])


def test_a_filter_that_fails_is_named_in_gits_words(source: Path) -> None:
    """As Git LFS, where it is not installed."""
    (source / ".gitattributes").write_text("number.txt filter=large\n")
    commit(source, {})
    git(source, "config", "filter.large.smudge", "no-such-program")
    git(source, "config", "filter.large.required", "true")
    assert "smudge filter large failed" in refused()
    assert left(source) == []


def test_a_clone_that_lacks_objects_and_its_remote(source: Path, tmp_path: Path) -> None:
    git(source, "config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", f"file://{source}", str(partial))
    source.rename(tmp_path / "away")
    with pytest.MonkeyPatch.context() as patch:
        at(partial, patch)
        assert "promisor remote" in refused("HEAD~1")


def test_a_revision_is_had_without_writing_to_the_repository(source: Path) -> None:
    """Hooks of the user's do not run, and a repository that is read-only is enough."""
    hook = source / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    before = state(source)
    with revisions.checked_out("HEAD"):
        assert state(source) == before
        assert git(source, "worktree", "list").count("\n") == 0
    assert state(source) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_stays_behind_whatever_ends_the_block(
    source: Path, error: type[BaseException]
) -> None:
    before = state(source)
    with pytest.raises(error), revisions.checked_out("HEAD"):
        raise error
    assert (state(source), left(source)) == (before, [])


def test_nothing_stays_behind_of_a_folder_that_somebody_deleted(source: Path) -> None:
    before = state(source)
    with revisions.checked_out("HEAD") as tree:
        shutil.rmtree(tree.parent)
    assert (state(source), left(source)) == (before, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_stays_behind_of_half_a_copy(
    source: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(source)

    def fails(archive: zipfile.ZipFile, folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "extractall", fails)
    if isinstance(error, OSError):
        assert "No space left on device" in (words := refused())
        assert "TMPDIR" in words
    else:
        with pytest.raises(KeyboardInterrupt), revisions.checked_out("HEAD"):
            raise AssertionError
    assert (state(source), left(source)) == (before, [])


def test_no_folder_for_a_copy(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(source / "nowhere"))
    assert "TMPDIR" in refused()


def test_a_machine_without_git(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(source))
    assert "install git" in refused()
    assert facts() == {"commit": None, "dirty": None}


def test_git_that_does_not_end(source: Path) -> None:
    git(source, "config", "alias.sleep", "!sleep 60")
    with pytest.raises(GitError, match=r"git sleep was not done after 0\.1 s"):
        own_git.ask("sleep", timeout=0.1)


def test_a_revision_from_before_this_source(source: Path) -> None:
    """A worker would not find the packages there, and take the installed ones for them."""
    shutil.rmtree(source / "tasks")
    old = commit(source, {})
    assert f"{old} has no source that can be run: no tasks" in refused(old)


def test_the_commits_between_two(source: Path) -> None:
    first = git(source, "rev-parse", "HEAD")
    later = [commit(source, {"number.txt": f"later {n}\n"}, f"later {n}") for n in range(3)]
    assert revisions.between(first, later[-1]) == later[:-1]
    assert revisions.between(first, later[0]) == []
    assert revisions.titled(later[1]) == f"{revisions.short(later[1])} later 1"
    for good, bad in ((later[-1], first), (first, first)):
        with pytest.raises(RequestError, match=r"is no ancestor of .* `git merge-base"):
            revisions.between(good, bad)
