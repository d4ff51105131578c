"""The suite with very many records: ``python -m tests.scale [COUNT ...]``.

How long commands take in a results folder of so many records (10, 100 and 1000 unless told), which
grows from one count to the next: synthetic ones, four of a session, of the size of real ones. Of
``copied:10000`` most are copied within the database, without files in MLflow, which takes seconds.
By hand, on a quiet machine.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

from suite import report
from suite.asv_benchmarks import synthetic
from suite.cli.history import history
from suite.cli.sync import sync
from suite.records import record as records
from suite.tracking import tracker as tracking
from suite.tracking.entries import NOTED_TAG, PARENT_TAG, RECORD_TAG, SESSION_TAG
from suite.tracking.tracker import Tracker

COUNTS = ("10", "100", "1000")
MORE = 40
"""Records that are sent once more, into a store that has so many."""


def seconds(act: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds that something takes, whatever it prints."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        begin = time.perf_counter(), time.process_time()
        act()
        return time.perf_counter() - begin[0], time.process_time() - begin[1]


def log_alone(results: Path, number: int) -> None:
    """Sends one record of a new session, as the first cell of a `run` does."""
    record = synthetic.record(number)
    path = records.write(results, record)
    Tracker(tracking.default_uri(results), results).log(record, path)


def copy(results: Path, have: int, count: int) -> None:
    """Copies the first session in the database to those of the numbers [have, count)."""
    first = synthetic.session_id(0)
    with closing(sqlite3.connect(results / "mlflow.db")) as database:
        known = database.execute(
            "SELECT run_uuid, value LIKE '%/%' FROM tags WHERE key IN (?, ?) GROUP BY run_uuid "
            "HAVING max(value LIKE ? || '%') ORDER BY count(*)",
            (SESSION_TAG, RECORD_TAG, first),
        ).fetchall()
        old = [run for run, _ in known]  # the session's own run first, which has one of both tags
        rows = []
        for number in range(have // len(old[1:]), count // len(old[1:])):
            own = [uuid.uuid4().hex for _ in old]
            name = synthetic.session_id(number)
            began = synthetic.FIRST + timedelta(hours=number)
            start = round(1000 * began.timestamp())
            noted = f"{len(old) - 1} {began.isoformat(timespec='milliseconds')}"
            rows += [(*pair, own[0], name, start, noted) for pair in zip(old, own, strict=True)]
        database.execute("CREATE TEMP TABLE copies (old, new, parent, session, start, noted)")
        database.executemany("INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?)", rows)
        changed = {
            "run_uuid": "new",
            "start_time": "start",
            ("tags", "value"): f"CASE key WHEN '{SESSION_TAG}' THEN session WHEN '{RECORD_TAG}' "
            f"THEN replace(value, '{first}', session) WHEN '{PARENT_TAG}' THEN parent "
            f"WHEN '{NOTED_TAG}' THEN noted ELSE value END",
        }
        for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
            names = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
            values = [changed.get((table, name), changed.get(name, name)) for name in names]
            database.execute(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
                f"FROM {table} JOIN copies ON run_uuid = old"
            )
        database.commit()


def measure(results: Path, have: int, count: int, copied: bool) -> list[tuple[float, float]]:
    """Times in a folder that has ``have`` records and is to have ``count``, multiples of four."""
    synthetic.write(results, have, count)
    session = synthetic.session_id(count // 8)
    if copied:
        copy(results, have, count)
    sent = seconds(lambda: sync(results=results))
    synthetic.write(results, count, count + MORE)
    return [
        _each(sent, count - have),
        _each(seconds(lambda: sync(results=results)), MORE),
        seconds(lambda: sync(results=results)),
        seconds(lambda: history("fashion_mlp", results=results)),
        seconds(lambda: report.write(results, report.find(results, [session]))),
        seconds(lambda: log_alone(results, count + MORE)),
    ]


def _each(found: tuple[float, float], count: int) -> tuple[float, float]:
    return found[0] / count, found[1] / count


def main() -> None:
    """Prints a line for each count."""
    asked = sys.argv[1:] or COUNTS
    print(
        "wall s (CPU s)  sync, a record | one of 40 more | sync, nothing new | history | "
        "report of a session | a record of run"
    )
    with tempfile.TemporaryDirectory() as folder:
        results, have = Path(folder), 0
        Tracker(tracking.default_uri(results), results).experiments()  # makes the tables
        for word in asked:
            copied, _, number = word.rpartition(":")
            count = 4 * -(-int(number) // 4)
            times = measure(results, have, count, copied == "copied")
            have = count + MORE + 4
            told = " | ".join(f"{wall:.3f} ({cpu:.3f})" for wall, cpu in times)
            print(f"{word:>12} records: {told}", flush=True)


if __name__ == "__main__":
    main()
