"""Revisions of this source, side by side: each in a git worktree of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.task import RequestError

ROOT = Path(__file__).resolve().parents[2]
# the tree first: an installed Tetragrad must not be taken for it
_WORKER = """
import sys
sys.path.insert(0, sys.argv.pop(1))
try:
    from suite.worker.main import main
except ImportError:  # a revision of before the worker was a package
    from suite.worker import main
main()
"""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: a source tree, and the Python that runs its workers."""

    name: str
    tree: Path = ROOT
    python: str = sys.executable

    @property
    def command(self) -> tuple[str, ...]:
        """Starts a worker."""
        return (self.python, "-P", "-c", _WORKER, str(self.tree))


HERE = Side("the source as it is")


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """The source tree of a revision, as long as the block lasts.

    RequestError if there is no such revision, or this source is in no git repository.
    """
    commit = _git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise RequestError(
            f"there is no revision {revision!r} in {ROOT}; `git log --oneline` lists those there"
        )
    with tempfile.TemporaryDirectory(prefix="tetragrad-") as folder:
        tree = Path(folder) / "tree"
        if _git("worktree", "add", "--quiet", "--detach", str(tree), commit) is None:
            raise RequestError(f"git cannot check out {revision} into {tree}; is the disk full?")
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def before() -> str | None:
    """What this source is to be compared with: the merge base, or the commit before; or nothing."""
    head, fork = _git("rev-parse", "HEAD"), _git("merge-base", "HEAD", "origin/main")
    if fork and fork != head:
        return fork
    return _git("rev-parse", "--verify", "--quiet", "HEAD~1")


def short(revision: str) -> str:
    """A revision's abbreviated hash, or the revision as it is if git knows none."""
    return _git("rev-parse", "--short", "--end-of-options", revision) or revision


def _git(*arguments: str) -> str | None:
    """What git says in this source's repository; None if it fails."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
