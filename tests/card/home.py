"""The way home: records to MLflow, a report with the tables, baselines to be committed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.records import record as records, timing as timings
from tasks.task import RequestError
from tests.card.commands import environment
from tests.card.journal import Status

ENDED = (Status.DONE, Status.FAILED)


def bring(folder: Path, results: Path) -> int:
    """Brings the results of a session on a card to ``results``. Returns an exit code.

    RequestError if there is no journal in ``folder``.
    """
    sessions = _sessions(folder)
    code = _tetragrad(results, "sync", str(folder.resolve()))
    if code == 0 and (shown := related(folder, sessions)):
        print("the tables, in Markdown too:")
        code = _tetragrad(results, "report", *shown)
    for path in sorted((folder / "baselines").glob("*.json")):
        (results / "baselines").mkdir(parents=True, exist_ok=True)
        print(f"to be committed: {shutil.copy(path, results / 'baselines')}")
    return code


def _sessions(folder: Path) -> list[str]:
    """Those of the last try of every step that came to its end."""
    path = folder / "journal.json"
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        ended = [entry for entry in steps.values() if entry["status"] in ENDED]
        return [session for entry in ended for session in entry["sessions"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{path} is no journal of a session on a card ({error})") from None


def related(folder: Path, sessions: Sequence[str]) -> list[str]:
    """The sessions that a report can show together: those with records, and timings of the same
    conditions. Nothing if there are no records."""
    own = {name: records.paths_of(folder, name) for name in sessions}
    known = {
        timings.of_speed_at_any_batch(records.read(path).cell).key
        for paths in own.values()
        for path in paths
    }
    timed = {name: timings.of_session(folder, name).values() for name in sessions}
    return [
        name
        for name in sessions
        if known
        and (
            own[name]
            or any(timings.of_speed_at_any_batch(t.conditions).key in known for t in timed[name])
        )
    ]


def _tetragrad(results: Path, *words: str) -> int:
    command = [sys.executable, "-P", "-m", "tetragrad", *words, "--results", str(results)]
    return subprocess.run(command, env=environment(results), check=False).returncode
