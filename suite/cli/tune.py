"""``tetragrad tune``."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import backends
import tasks
from suite.cli import options
from suite.cli.options import (
    RESULTS,
    ConstantsOption,
    Data,
    DataOption,
    JsonOption,
    ProfileOption,
    ResultsOption,
    TimeoutOption,
    UriOption,
)
from suite.records import record as records
from suite.records.cell import Cell
from suite.session import store as sessions
from suite.show.console import output
from suite.show.progress import Terminal
from suite.tracking import tracker as tracking
from suite.tracking.tracker import Tracker
from tasks.options import HELD_OUT
from tasks.task import RequestError

if TYPE_CHECKING:
    from optuna import Study

    from suite.session.search import Search

SHARE = "0.2"
"""Share of the training data that trials are scored on, unless another is given."""


class Kind(StrEnum):
    """How options are searched."""

    grid = "grid"
    random = "random"
    halving = "halving"
    hyperband = "hyperband"


TaskArgument = Annotated[
    str | None, typer.Argument(help="task, or task:variant.", show_default=False)
]
KindOption = Annotated[Kind, typer.Option(help="How to search.")]
TrialsOption = Annotated[int, typer.Option(min=1, help="How many trials, at most.")]
SpaceOption = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=VALUES",
        help="Search this option: A,B,C, or a range LOW..HIGH, logarithmic unless LOW is 0; "
        "repeatable. Default: what the task declares.",
        show_default=False,
    ),
]
OneBackendOption = Annotated[str, typer.Option(help="backend, or backend:mode, of all trials.")]
SeedOption = Annotated[
    int, typer.Option(min=0, help="Of what is drawn, and of every trial's training.")
]
LimitOption = Annotated[
    float | None, typer.Option(min=0, help="Minutes after which no further trial begins.")
]
OnOption = Annotated[
    str | None, typer.Option(metavar="SESSION", help="Go on with the trials of this search.")
]


def tune(
    context: typer.Context,
    task: TaskArgument = None,
    search: KindOption = Kind.random,
    trials: TrialsOption = 20,
    space: SpaceOption = [],  # noqa: B006  (typer copies it)
    option: ConstantsOption = [],  # noqa: B006
    backend: OneBackendOption = "numpy",
    profile: ProfileOption = "quick",
    seed: SeedOption = 0,
    data: DataOption = Data.auto,
    timeout: TimeoutOption = 3600,
    limit: LimitOption = None,
    resume: OnOption = None,
    results: ResultsOption = RESULTS,
    tracking_uri: UriOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search the options of a task, then prove the best in every backend.

    Trials are scored on a fifth of the training data, which they do not train on. The test set is
    not evaluated. halving and hyperband stop trials early that fall behind.

    Exit code 1: the best is not verified, or no trial came to its end.
    """
    if not importlib.util.find_spec("optuna"):
        raise RequestError("a search needs Optuna; pip install 'tetragrad[tune]'")
    from suite.session import runner, space as spaces, tune as tuning  # slow to import
    from suite.session.search import Plan, Search, require_possible

    options.require_possible(1, timeout)
    notice = None
    if resume:
        study, plan = tuning.load(results, resume)
        changes = (trials, timeout, limit)
        plan = sessions.changed(context, plan, changes, ("trials", "timeout", "limit"))
    else:
        cell, notice = _cell(task, backend, option, profile, seed, data)
        wanted = spaces.chosen(cell.task, space, cell.options)
        plan = Plan(cell, search.value, trials, wanted, timeout, limit)
        require_possible(plan)
        records.require_writable(results)
        resume = runner.new_session_id()
        study = tuning.begin(results, resume, plan)
    tracker = Tracker(tracking_uri or tracking.default_uri(results), results)
    _search(Search(resume, plan), study, results, tracker, notice, as_json)


def _search(
    found: Search, study: Study, results: Path, tracker: Tracker, notice: str | None, as_json: bool
) -> None:
    """Makes the trials, proves the best, and shows all."""
    from suite.report import tuning as page  # slow to import
    from suite.session import tune as tuning
    from suite.show import tuning as tables

    with Terminal() as reporter, sessions.lock(results, found.session):
        if notice:
            reporter.say(notice)
        with _resumable(found.session, results):
            tuning.Tuner(found, study, results, tracker, reporter).run()
            tuning.prove(found, reporter)
        path = page.write(found, results)
        page.track(found, path, tracker, reporter.say)
    if as_json:
        print(json.dumps(tables.document(found, path), indent=1))
    else:
        tables.print_search(found, output())
        print(f"page: {path}")
        if not tracker.silent:
            print(f"to see the trials in MLflow: {tracker.command('browse')}")
    raise typer.Exit(0 if found.verified else 1)


def _cell(
    task: str | None, backend: str, option: Sequence[str], profile: str, seed: int, data: Data
) -> tuple[Cell, str | None]:
    """The cell of every trial, without what is searched, and a notice on the data.

    RequestError if there is no such task, backend, option or profile, or not one of it.
    """
    if task is None:
        raise RequestError("there is no task to search; name one, such as fashion_mlp")
    choices = tasks.choices(task)
    contestants = backends.choices(backend)
    for wanted, several in ((task, choices), (backend, contestants)):
        if len(several) > 1:
            raise RequestError(f"{wanted} is {len(several)} of them; a search is of one")
    ((name, variant),), ((own, mode),) = choices, contestants
    if reason := backends.unavailable(own, mode, name):
        raise RequestError(f"{backend} cannot train here: {reason}")
    source, notice = tasks.resolve(name, data.value)
    chosen = options.constants(option, choices, profile)
    cell = Cell(
        task=name,
        variant=variant,
        backend=own,
        mode=mode,
        profile=options.conditions(profile).profile,
        data=source,
        options={HELD_OUT: SHARE, **chosen},
        seed=seed,
    )
    return cell, notice


@contextmanager
def _resumable(session: str, results: Path) -> Iterator[None]:
    """A part of a search that says how to go on if it is interrupted or cannot write."""
    again = f"tetragrad tune --resume {session}{records.elsewhere(results)}"
    try:
        with options.answered():
            yield
    except KeyboardInterrupt:
        print(f"to go on: {again}", file=sys.stderr)
        raise typer.Exit(options.INTERRUPTED) from None
    except records.NotWritten as error:
        print(f"{error}: it cannot be written; make room and `{again}`", file=sys.stderr)
        raise typer.Exit(1) from None
