"""Notes on MLflow's own pages: which backend is fastest on a task, and is it the same model?

A session's run has the summary as its description, a task's experiment the latest session's answer.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from suite.records import record as records, timing as timings
from suite.records.record import Record
from suite.report import content, exports, sentences, words
from suite.report.document import Section
from suite.tracking import view, writing
from suite.tracking.entries import NOTED_TAG
from suite.tracking.errors import TrackingError
from suite.tracking.session_runs import SessionRun
from suite.tracking.tracker import Tracker
from tasks.task import RequestError

NOTE = "mlflow.note.content"
"""MLflow's tag for a description, of runs and of experiments."""
LATEST_TAG = "tetragrad.latest"
"""The tag for the session that an experiment's note tells of."""
LONGEST = 7_500
"""Characters of a note: MLflow cuts tags of runs at 8000."""


def try_write(tracker: Tracker, results: Path, session: str, say: Callable[[str], None]) -> None:
    """Writes the notes on a session that ends; says why if it cannot."""
    if tracker.silent:
        return
    try:
        write(tracker, results, session)
    except (TrackingError, RequestError) as error:
        say(f"no notes in MLflow: {error}; `{tracker.command('sync')}` writes them later")


class Bases:
    """The bases of notes, of records as they pass: by session and task, how many, and the last."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, tuple[int, str]]] = {}

    def add(self, record: Record) -> None:
        """Counts a record in."""
        own = self._found.setdefault(record.session, {})
        count, last = own.get(record.cell.task, (0, ""))
        own[record.cell.task] = count + 1, max(last, record.created)

    def of(self, session: str) -> dict[str, str]:
        """By task, as the tag has it; nothing of a session none of whose records has passed."""
        own = self._found.get(session, {})
        return {task: f"{count} {last}" for task, (count, last) in own.items()}


def write(tracker: Tracker, results: Path, session: str = "*", known: Bases | None = None) -> None:
    """Writes the notes on a session, or on all, whose records are not those it was made from.

    Sessions whose notes rest on what is ``known`` are not read again.

    TrackingError if the store cannot be written, RequestError for a damaged record or timing.
    """
    paths = sorted((results / "records").glob(f"{session}/*.json"), reverse=True)
    runs = tracker.session_runs(None if session == "*" else session)
    # the latest first: its answer is the one that its task keeps
    for name, own in groupby(paths, key=lambda path: path.parent.name):
        bases = known.of(name) if known else {}
        if bases and all(_noted(runs.find(task, name), basis) for task, basis in bases.items()):
            continue
        by_task: dict[str, list[Record]] = {}
        for path in own:
            record = records.read(path)
            by_task.setdefault(record.cell.task, []).append(record)
        for task, found in by_task.items():
            _write(tracker, results, runs.find(task, name), found)


def _noted(run: SessionRun | None, basis: str) -> bool:
    """Tells if nothing is to be written: no run, or the view and a note that rests on ``basis``."""
    return run is None or (
        run.head.tags.get(NOTED_TAG) == basis and view.TAG in run.experiment.tags
    )


def _write(tracker: Tracker, results: Path, run: SessionRun | None, found: list[Record]) -> None:
    """The notes on one task in a session, if it has a run in MLflow."""
    session, passed = found[0].session, Bases()
    for record in found:
        passed.add(record)
    ((_, basis),) = passed.of(session).items()
    if run is None or _noted(run, basis):
        return
    sections = content.build(found, [*timings.of_session(results, session).values()]).sections
    summary = "\n\n".join("\n".join(exports.in_markdown(section)) for section in sections)
    answers = "\n\n".join(answer(section, session) for section in sections)
    with tracker.connection() as client:
        if session >= run.experiment.tags.get(LATEST_TAG, ""):
            told = {NOTE: shortened(answers, session), LATEST_TAG: session}
            metrics, units = (dict.fromkeys(s.metric for s in sections), [sections[0].unit])
            told[view.TAG] = view.state(metrics, units)
            for tag, value in told.items():
                client.set_experiment_tag(run.experiment.experiment_id, tag, value)
            run.experiment.tags.update(told)
        writing.tag(client, run.head.id, {NOTE: shortened(summary, session), NOTED_TAG: basis})


def answer(section: Section, session: str) -> str:
    """Who was fastest at a task and who is the same model, in one sentence of Markdown."""
    entries = section.entries
    same = [entry.name for entry in entries if entry.verified]
    parted = [entry.name for entry in entries if entry.seeds and not entry.verified]
    failed = [entry.name for entry in entries if not entry.seeds]
    said = [
        *(
            text.rstrip(".")
            for text in sentences.said_of_speed(section.speeds, section.interleaved)
        ),
        f"verified as the same model: {words.listed(same)}" if same else "none is verified",
        *([f"NOT verified, so without a speed: {words.listed(parted)}"] if parted else []),
        *([f"without a result: {words.listed(failed)}"] if failed else []),
    ]
    data = "GENERATED DATA" if section.generated else "real data"
    own = section.conditions
    threads = words.count(own.threads, "thread")
    how = f"{own.profile}, {own.device}, {threads}, {data}, session {session}"
    # the answer first: of a long description the page of runs shows but the beginning
    return f"**{exports.plain(section.label)}**: " + exports.plain(f"{'; '.join(said)} ({how}).")


def shortened(text: str, session: str) -> str:
    """``text`` as far as MLflow keeps it, whole lines, and where the rest is."""
    if len(text) <= LONGEST:
        return text
    end = f"\n\nCut here: `tetragrad report {session}` has the rest.\n"
    return text[: LONGEST - len(end)].rpartition("\n")[0] + end
