"""Records of another machine, brought home: where they lie among ours."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from suite.records import record as records, timing as timings
from tasks.task import RequestError

NAME = re.compile(r"\w[\w.-]*")
"""A session or label that is a plain name for a file."""


def bring_home(folder: Path, results: Path) -> int:
    """Copies the records and timings of ``folder`` to ``results``; how many records were new.

    ``folder`` is a results folder, or a session's folder of records. Of two records of the same
    cell the younger one stays. RequestError if there are none, or one that is damaged.
    """
    own = folder.parent.parent if folder.parent.name == "records" else folder
    paths = sorted((folder / "records").glob("*/*.json")) or sorted(folder.glob("*.json"))
    if not paths:
        raise RequestError(
            f"there are no records in {folder.resolve()}; give a results folder, or a session's "
            "folder of its records"
        )
    brought = sum(_bring_record(path, results) for path in paths)
    sessions = {records.read(path).session for path in paths}
    for session in sessions | (timings.sessions(own) if own == folder else set()):
        for path in sorted((own / "timings" / session).glob("*.json")):
            timing = timings.read(path)
            place = timing.label.replace(":", "-") + timing.other_machine
            _require_plain(path, timing.session, place)
            records.write_json(timings.path_of(results, timing), asdict(timing))
    return brought


def _bring_record(path: Path, results: Path) -> bool:
    record = records.read(path)
    _require_plain(path, record.session, record.cell.label)
    target = records.path_of(results, record)
    if target.exists() and records.read(target).created >= record.created:
        return False
    records.write(results, record)
    return True


def _require_plain(path: Path, *names: str) -> None:
    """RequestError if a name would lead out of its folder."""
    for name in names:
        if not NAME.fullmatch(name):
            raise RequestError(f"{path} names itself {name!r}, which is no name for a file")
