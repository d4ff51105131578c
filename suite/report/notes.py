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
from suite.tracking.tracker import Tracker, TrackingError
from tasks.task import RequestError

NOTE = "mlflow.note.content"
"""MLflow's tag for a description, of runs and of experiments."""
NOTED_TAG, LATEST_TAG = "tetragrad.noted", "tetragrad.latest"
"""Tags for the basis of a run's note, and for the session that an experiment's note tells of."""
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


def write(tracker: Tracker, results: Path, session: str = "*") -> None:
    """Writes the notes on a session, or on all, whose records are not those it was made from.

    TrackingError if the store cannot be written, RequestError for a damaged record or timing.
    """
    paths = sorted((results / "records").glob(f"{session}/*.json"))
    for name, own in groupby(paths, key=lambda path: path.parent.name):
        by_task: dict[str, list[Record]] = {}
        for path in own:
            record = records.read(path)
            by_task.setdefault(record.cell.task, []).append(record)
        for found in by_task.values():
            _write(tracker, results, name, found)


def _write(tracker: Tracker, results: Path, session: str, found: list[Record]) -> None:
    """The notes on one task in a session, if it has a run in MLflow."""
    basis = f"{len(found)} {max(record.created for record in found)}"
    with tracker.connection() as client:
        experiment = client.get_experiment_by_name(found[0].cell.task)
        run = experiment and tracker.find_session_run(experiment.experiment_id, session)
        if not (experiment and run) or client.get_run(run).data.tags.get(NOTED_TAG) == basis:
            return
    sections = content.build(found, [*timings.of_session(results, session).values()]).sections
    summary = "\n\n".join("\n".join(exports.in_markdown(section)) for section in sections)
    answers = "\n\n".join(answer(section, session) for section in sections)
    with tracker.connection() as client:
        client.set_tag(run, NOTE, shortened(summary, session))
        if session >= experiment.tags.get(LATEST_TAG, ""):
            told = {NOTE: shortened(answers, session), LATEST_TAG: session}
            for tag, value in told.items():
                client.set_experiment_tag(experiment.experiment_id, tag, value)
        client.set_tag(run, NOTED_TAG, basis)  # last: what broke off before is done again


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
