"""A node's side of a fleet: what it has, and a comparison, run as `tetragrad run` does it.

Ray's process there starts another one for that, whose environment is that of any `tetragrad run`:
Ray brings threads and packages of its own. Both talk in files of a folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

import tasks
from suite.records import builder
from suite.records.cell import Cell
from suite.records.events import Event
from suite.records.record import Record
from suite.session import store
from suite.session.plan import Plan, cells
from suite.session.preparation import Preparation
from suite.session.runner import Runner
from suite.system import environment, git
from suite.system.files import write_text
from suite.system.revisions import PACKAGES
from suite.tracking.tracker import NONE, Tracker
from tasks import outside
from tasks.datasets.cache import cache_directory
from tasks.task import RequestError

ATTAINED, SAID, PREPARE = "attained.json", "said.json", "prepare"
"""Files beside those that a session writes: rates of the machine, lines for the user; and the
order to prepare comparisons alone."""
PATIENCE = 60.0
"""Seconds to wait until what a killed process left there has ended."""
TAIL = 1000

Answer = tuple[dict[str, bytes], str | None]
"""Files by path; and why the work was not done, or None."""


def describe(plan: str) -> str:
    """Facts about this node, as JSON, with the data there that a plan needs. For Ray."""
    return _child("describe", plan).splitlines()[-1]  # before it there may be warnings


def work(files: Mapping[str, bytes], session: str, node: str) -> Answer:
    """Does a work in a folder with these files; those that it wrote. For Ray."""
    folder = cache_directory() / "fleet" / session / node
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock"), PATIENCE):
            _lay_out(folder, files)
            before = _contents(folder)
            _child("work", str(folder), session)
            return {n: own for n, own in _contents(folder).items() if before.get(n) != own}, None
    except Timeout:
        return {}, f"an earlier comparison has not ended in {folder}"
    except (OSError, RuntimeError) as error:
        return {}, str(error)


def forget(session: str, node: str) -> None:
    """Removes what a session has left on this node. For Ray."""
    shutil.rmtree(cache_directory() / "fleet" / session / node, ignore_errors=True)


def _lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files for a work, and nothing of another one but verdicts and checkpoints."""
    for name in ("records", "timings", "sessions"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (SAID, PREPARE):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.json")}


def _child(*arguments: str) -> str:
    """The output of this module as a program. RuntimeError if it fails.

    It ends when its standard input does: when this process is killed.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "suite.fleet.node", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        assert process.stdout
        output = process.stdout.read()
    if process.returncode:
        raise RuntimeError(output[-TAIL:].strip() or f"exit code {process.returncode}")
    return output


class _Heard:
    """A reporter that keeps the lines that stay."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def busy(self, text: str) -> None: ...
    def cell_event(self, cell: Cell, event: Event, epochs: int) -> None: ...
    def cell_finished(self, record: Record) -> None: ...
    def cell_timed(self, record: Record) -> None: ...


def facts(plan: Plan, data: bool = True) -> dict[str, Any]:
    """Facts about this machine: versions, the machine itself, and the data sources of a plan.

    Missing data are fetched; ``refused`` says why they, or the CPUs, will not do.
    """
    revision = environment.git_revision()
    found: dict[str, Any] = {
        "versions": {
            **environment.package_versions(),
            "Python": sys.version.split()[0],
            "Tetragrad's source": source_digest(),
            "the commit": str(revision["commit"]),
            "uncommitted changes": str(revision["dirty"]),
        },
        "machine": dict(environment.machine()),
        "data": {},
        "refused": None,
    }
    try:
        names = [*dict.fromkeys(name for name, _ in plan.choices)]
        own = {f"the folder {n}": outside.digest(n) for n in names if outside.is_path(n)}
        found["versions"] |= own
        if data:
            environment.require_cpus(plan.conditions.threads)
            for name in names:
                found["data"][name] = tasks.resolve(name, plan.data)[0]
    except RequestError as error:
        found["refused"] = str(error)
    return found


def source_digest() -> str:
    """SHA-256, in short, over the Python files that Tetragrad consists of here."""
    return ", ".join(outside.digest_of(git.ROOT / name)[:12] for name in PACKAGES)


def _work(folder: Path, session: str) -> str | None:
    """Runs the comparison whose plan lies in the folder: None, or why it was not done."""
    plan, heard = store.read_plan(folder, session), _Heard()
    preparation = Preparation(plan, folder, heard)
    rates = folder / ATTAINED
    if rates.exists():
        known = json.loads(rates.read_text(encoding="utf-8"))
        preparation.attained = {(a, b, c): own for (a, b, c), own in known}
    if (folder / PREPARE).exists():
        ((choice,), seed) = plan.choices, plan.seeds.start
        wanted = cells(plan, choice, seed, preparation.source(choice[0]))
        preparation.ready([builder.begin(session, cell) for cell in wanted])
        heard.lines.clear()  # the comparison says it again
    else:
        runner = Runner(plan, folder, Tracker(NONE, folder), heard, session, preparation)
        done = runner.run()
        if done.not_written or done.interrupted:
            return heard.lines[-1] if done.not_written else "it was interrupted"
    write_text(rates, json.dumps([*preparation.attained.items()]))
    write_text(folder / SAID, json.dumps(heard.lines))
    return None


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main(kind: str, *arguments: str) -> str | None:
    """The program: prints what is asked for, or leaves it in a folder. Why it failed, or None."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if kind == "describe":
        print(json.dumps(facts(store.plan_of(arguments[0]))))
        return None
    try:
        return _work(Path(arguments[0]), arguments[1])
    except RequestError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
