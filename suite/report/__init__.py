"""``tetragrad report``: what sessions came to, as one page that needs nothing but itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from suite.records import record as records, timing as timings
from suite.records.record import Record
from suite.records.timing import Timing
from suite.report import content, exports
from suite.tracking.errors import TrackingError
from suite.tracking.tracker import Tracker
from tasks.paths import because
from tasks.task import RequestError

NAME_LENGTH = 200
"""A folder's name is no longer than this, however many sessions are taken together."""


@dataclass(frozen=True)
class Files:
    """Where a report lies."""

    html: Path
    markdown: Path
    csv: Path
    json: Path


def find(results: Path, sessions: Sequence[str]) -> list[Record]:
    """The records of the sessions, of the latest one if none is named.

    RequestError for a session that is not there, or if none of them has records.
    """
    if strange := [name for name in sessions if Path(name).name != name]:
        raise RequestError(f"{strange[0]!r} is no session, but a path; give its name alone")
    own = {name: records.paths_of(results, name) for name in sessions}
    timed = {name for name in sessions if any((results / "timings" / name).glob("*.json"))}
    if sessions and timed.issuperset(sessions) and not any(own.values()):
        latest = next(records.sessions(results), "none: `tetragrad run` makes one")
        raise RequestError(
            f"{', '.join(sessions)}: speeds alone, of `tetragrad time`; name the session of "
            f"`tetragrad run` that they belong to beside it (the latest is {latest})"
        )
    if not (known := [*islice(records.sessions(results), 5)]):
        raise RequestError(f"there are no results in {results.resolve()}; `tetragrad run` first")
    for name, paths in own.items():
        if not (paths or name in timed):
            raise RequestError(
                f"there is no session {name!r} in {results.resolve()}; the latest are: "
                f"{', '.join(reversed(known))}"
            )
    own = own or {known[0]: records.paths_of(results, known[0])}
    return [records.read(path) for paths in own.values() for path in paths]


def write(
    results: Path,
    found: Sequence[Record],
    output: Path | None = None,
    beside: Sequence[str] = (),
) -> Files:
    """Writes the report on the records, at least one, as four files; RequestError if it cannot.

    The timings of the sessions ``beside`` are taken too.
    """
    from suite.report import page  # its charts need Plotly, which a machine that measures may lack

    sessions = sorted({record.session for record in found} | set(beside))
    folder = output or results / "reports" / "+".join(sessions)[:NAME_LENGTH]
    timed = [t for session in sessions for t in timings.of_session(results, session).values()]
    _require_related(timed, found)
    report = content.build(found, timed)
    files = Files(*(folder / f"report.{kind}" for kind in ("html", "md", "csv", "json")))
    texts = {
        files.html: page.render(report),
        files.markdown: exports.as_markdown(report),
        files.csv: exports.as_csv(report),
        files.json: json.dumps(exports.as_json(report), indent=1, allow_nan=False) + "\n",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(
            f"the report cannot be written to {folder.resolve()} {because(error)} with --output"
        ) from None
    return files


def _require_related(timed: Sequence[Timing], found: Sequence[Record]) -> None:
    """RequestError if a session has no records, and no timing that belongs to those of others."""
    own = {timings.of_speed_at_any_batch(record.cell).key for record in found}
    there = {record.session for record in found}
    there |= {t.session for t in timed if timings.of_speed_at_any_batch(t.conditions).key in own}
    for one in timed:
        if one.session not in there:
            raise RequestError(
                f"session {one.session} timed {one.title} under other conditions than the records "
                f"({one.conditions.arguments()}); name a session of `tetragrad run` with the same"
            )


def track(
    tracker: Tracker | None, found: Sequence[Record], files: Files, say: Callable[[str], None]
) -> None:
    """Adds the page and the Markdown to the sessions' runs in MLflow; says what it could not."""
    if tracker is None:
        say("not tracked: there is no MLflow store here yet; `tetragrad sync` makes it")
        return
    try:
        missing = tracker.log_report(found, (files.html, files.markdown))
    except TrackingError as error:
        say(f"not tracked: {error}; the report is kept")
        return
    for what in missing:
        say(f"not tracked: MLflow has no run of {what}; `{tracker.command('sync')}` sends it")
