"""Revisions of this source, side by side: each a copy in a folder of its own."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from suite.system import environment, git
from tasks.task import RequestError

PACKAGES = ("suite", "backends", "tasks")
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
    tree: Path = git.ROOT
    python: str = sys.executable

    @property
    def command(self) -> tuple[str, ...]:
        """Starts a worker."""
        return (self.python, "-P", "-c", _WORKER, str(self.tree))

    @property
    def packages(self) -> Mapping[str, str]:
        """The version of every distribution that a worker may import, by name."""
        return environment.versions_in(self.python)


HERE = Side("working tree")

_RUN_BY_WORKERS = ("suite/worker", "suite/causes", "suite/records", "suite/system", "tasks")
"""Folders of which a worker may import anything; besides, backends' own and what all share."""


def same_program(one: Side, other: Side, backend: str) -> bool:
    """Tells if a worker of ``backend`` runs the same files and packages on both sides.

    What starts it and what judges it is this source's, whichever side it runs.
    """
    same_python = one.python == other.python
    return same_python and _worker_files(one.tree, backend) == _worker_files(other.tree, backend)


def _worker_files(tree: Path, backend: str) -> dict[str, bytes]:
    """The files below ``tree`` that a worker of a backend may import."""
    folders = (tree / name for name in (*_RUN_BY_WORKERS, f"backends/{backend}"))
    files = {file for folder in folders for file in folder.rglob("*.py")}
    shared = {*(tree / "backends").glob("*.py"), *(tree / "suite").glob("*.py")}
    return {str(file.relative_to(tree)): file.read_bytes() for file in sorted(files | shared)}


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """The source tree of a revision, as long as the block lasts.

    It is a copy that the repository knows nothing of: git runs no hook for it, and whatever ends
    this process leaves the repository as it was. RequestError if there is no such revision, or no
    repository that tracks this source.
    """
    commit = _commit(revision)
    with _temporary_folder() as folder:
        archive, tree = Path(folder) / "source.zip", Path(folder) / "tree"
        try:
            git.ask("archive", "--format=zip", "-0", f"--output={archive}", commit)
            with zipfile.ZipFile(archive) as files:
                files.extractall(tree)
            archive.unlink()
        except git.GitError as error:
            again = f"`git -C {shlex.quote(str(git.ROOT))} archive {commit[:12]}` must work"
            raise RequestError(
                f"git cannot put the source of {revision} into {folder}: {error}; {again}, and "
                f"{_ROOM}"
            ) from None
        except OSError as error:
            raise RequestError(
                f"the source of {revision} cannot be written: {error}; {_ROOM}"
            ) from None
        # else a worker would take for it what is installed
        if missing := [name for name in PACKAGES if not (tree / name / "__init__.py").is_file()]:
            raise RequestError(f"{revision} has no source that can be run: no {', '.join(missing)}")
        yield tree


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a revision's source. One that cannot be cleared away costs no result."""
    try:
        return tempfile.TemporaryDirectory(prefix="tetragrad-", ignore_cleanup_errors=True)
    except OSError as error:
        raise RequestError(
            f"there is no folder for a revision's source: {error}; {_ROOM}"
        ) from None


def before() -> str:
    """The commit that this source is to be compared with: the merge base, or the one before.

    RequestError if it is not known here: then nothing can be said about what has changed.
    """
    head, main = _commit("HEAD"), _answer("rev-parse", "--verify", "origin/main^{commit}")
    cut = f": {_SHALLOW}" if _is_shallow() else ""
    try:
        fork = git.ask("merge-base", head, main) if main else head
        _, *parents = git.ask("rev-list", "--parents", "--max-count=1", head).split()
    except git.GitError as error:
        raise RequestError(
            f"{git.ROOT} does not hold the merge base of HEAD and origin/main ({error}){cut}"
        ) from None
    if fork != head:
        return fork
    if not parents:
        why = cut or ": HEAD is the first one"
        raise RequestError(f"{git.ROOT} does not hold a commit before HEAD{why}")
    return parents[0]


def between(good: str, bad: str) -> list[str]:
    """The commits that lead from one revision to another, oldest first, without these two.

    Of a merge, the commits of the branch that was merged are not among them. RequestError unless
    ``good`` is an ancestor of ``bad``.
    """
    first, last = _commit(good), _commit(bad)
    if first == last or _answer("merge-base", first, last) != first:
        raise RequestError(
            f"{good} is no ancestor of {bad}: nothing leads from one to the other; "
            f"`git merge-base {good} {bad}` names one"
        )
    listed = _answer("rev-list", "--first-parent", "--reverse", f"{first}..{last}") or ""
    return [commit for commit in listed.split() if commit != last]


def short(revision: str) -> str:
    """A revision's abbreviated hash, or the revision as it is if git knows none."""
    return _answer("rev-parse", "--short", "--end-of-options", revision) or revision


def titled(commit: str) -> str:
    """A commit's abbreviated hash with the first line of its message."""
    return _answer("log", "-1", "--format=%h %s", "--end-of-options", commit) or commit


_ROOM = "TMPDIR may name a folder with more room"
_SHALLOW = (
    "this clone is shallow; `git fetch --unshallow` fetches the history, and "
    "in GitHub's actions/checkout `fetch-depth: 0`"
)


def _commit(revision: str) -> str:
    """The full hash of a revision. RequestError if there is none, in this source's repository."""
    try:
        git.require_tracked()
    except git.GitError as error:
        remedy = "a clone has them: `git clone`, then `pip install --editable` there"
        if "safe.directory" in str(error):
            remedy = "if you trust its owner, do as git says"
        elif not shutil.which("git"):
            remedy = "install git"
        raise RequestError(f"no revisions of {git.ROOT} are known: {error}; {remedy}") from None
    try:
        wanted = ("--end-of-options", f"{revision}^{{commit}}")
        return git.ask("rev-parse", "--verify", *wanted)
    except git.GitError as error:
        remedy = _SHALLOW if _is_shallow() else "`git log --oneline` lists those there"
        raise RequestError(
            f"there is no revision {revision!r} in {git.ROOT} ({error}); {remedy}"
        ) from None


def _is_shallow() -> bool:
    """Tells if the clone's history was cut off."""
    return _answer("rev-parse", "--is-shallow-repository") == "true"


def _answer(*arguments: str) -> str | None:
    """The output of git in this source's repository; None where "no" is an answer, too."""
    try:
        return git.ask(*arguments)
    except git.GitError:
        return None
