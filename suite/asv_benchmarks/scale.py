"""How long it takes to send, to look back on and to report, by the number of records there are."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite import report
from suite.asv_benchmarks import synthetic
from suite.history import page, series
from suite.report import notes
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker

COUNTS = (12, 100, 1000)
TIMEOUT = 1800
"""Seconds for all of it."""


class Scale:
    """A results folder with so many synthetic records, which are sent; made once for all three."""

    params = COUNTS
    param_names = ("records",)
    timeout = TIMEOUT
    unit = "s"

    def setup_cache(self) -> dict[int, tuple[float, float, float]]:
        """Seconds by the number of records: to send one, of the history, of one session's report.

        asv gives every benchmark its process, and what this returns to all of them.
        """
        with tempfile.TemporaryDirectory() as folder:
            return {count: _measure(Path(folder) / str(count), count) for count in COUNTS}

    setup_cache.timeout = TIMEOUT  # type: ignore[attr-defined]

    def track_sync_seconds_per_record(self, found: dict[int, Any], count: int) -> float:
        """Sending a record with its curves, and its share of the notes [s]."""
        return float(found[count][0])

    def track_history_seconds(self, found: dict[int, Any], count: int) -> float:
        """The history of a task over all sessions, and its page [s]."""
        return float(found[count][1])

    def track_report_seconds(self, found: dict[int, Any], count: int) -> float:
        """The report of one session [s]."""
        return float(found[count][2])


def _measure(results: Path, count: int) -> tuple[float, float, float]:
    synthetic.write(results, 0, count)
    tracker = Tracker(tracking.default_uri(results), results)
    tracker.experiments()  # makes the tables

    def send() -> None:
        tracking.sync(results, tracker, lambda said: None)
        notes.write(tracker, results)

    return (
        _seconds(send) / count,
        _seconds(lambda: page.render(series.build(tracker, ("fashion_mlp", None)))),
        _seconds(
            lambda: report.write(results, report.find(results, [synthetic.session_id(count // 8)]))
        ),
    )


def _seconds(act: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin
