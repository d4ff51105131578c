"""Records and baselines that pictures are drawn from, and the words that say where they are from.

Records lie in ``docs/lectures/records/``, whole, as `tetragrad run` wrote them.
"""

from __future__ import annotations

from pathlib import Path

from suite.records import baseline, record as records
from suite.records.baseline import Baseline
from suite.records.record import Record

FOLDER = Path(__file__).parents[1] / "records"
BASELINES = Path(__file__).parents[3] / "results" / "baselines"


def record(label: str) -> Record:
    """The record of that task and variant, such as ``imdb_text-bow``, by NumPy."""
    return records.read(FOLDER / f"{label}.json")


def base(label: str) -> Baseline:
    """The baseline of that name, such as ``fewshot-siamese-quick-real``."""
    return baseline.read(BASELINES / f"{label}.json")


def drawn_from(*labels: str) -> str:
    """The words below a picture that says which records it was drawn from, in Markdown."""
    kept = {label: record(label) for label in labels}
    links = ", ".join(
        f"[{own.cell.task_label}](records/{label}.json)" for label, own in kept.items()
    )
    (conditions,) = {(own.cell.profile, own.cell.seed) for own in kept.values()}
    (made,) = {(own.created[:10], own.git["commit"][:7]) for own in kept.values()}
    return (
        f"Drawn from records of runs by NumPy on real data: {links}. "
        f"Their profile is {conditions[0]}, their seed {conditions[1]}; "
        f"they were made on {made[0]} at commit {made[1]}. "
        "`tetragrad reproduce RECORD.json` trains such a model again."
    )


def drawn_from_baseline(label: str) -> str:
    """The same of a baseline in the source."""
    own = base(label)
    seeds = len(own.runs) // len({run.backend for run in own.runs})
    changed = ", with changes" if own.git["dirty"] else ""
    return (
        f"Drawn from the baseline `results/baselines/{label}.json`: {seeds} seeds in each of four "
        f"backends on real data, profile {own.conditions.profile}, made on "
        f"{own.made['created'][:10]} at commit {own.git['commit'][:7]}{changed}."
    )
