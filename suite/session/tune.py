"""A search over the options of a task: trials on a split of its training data, kept by Optuna.

Grid search, random search (Bergstra & Bengio 2012), asynchronous successive halving (Li et al.
2018, "Massively parallel hyperparameter tuning") and Hyperband (Li et al. 2018). A trial is a cell
of the session like any other: its record and its MLflow run are those of ``tetragrad run``, its
data are held out by the task's option ``held_out``, and the test set is not evaluated.

``results/tuning/<session>.journal`` is Optuna's storage, with the plan. Trial ``n`` is drawn from
(seed, n), so that a search that is resumed draws what it would have drawn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GridSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

import backends
from suite.records import builder, checkpoints, record as records
from suite.records.cell import Cell
from suite.records.events import Event, Finished, Outcome
from suite.records.record import Record
from suite.records.verdict import PRECISIONS
from suite.session import resume, verification
from suite.session.process import Worker
from suite.session.reporter import Reporter
from suite.session.search import Plan, Search, Trial
from suite.tracking.tracker import Tracker
from tasks.paths import because
from tasks.task import RequestError

REDUCTION = 3
"""One in so many trials goes on behind each rung, as Hyperband has it."""
STUDY = "tune"
"""The same for all: Hyperband deals trials to brackets by the study's name."""
CHECKPOINT_EVERY = 60.0
"""Seconds of training."""
PLAN, VERSIONS = "plan", "versions"

optuna.logging.set_verbosity(optuna.logging.WARNING)


def _path(results: Path, session: str) -> Path:
    return results / "tuning" / f"{session}.journal"


def _storage(path: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def begin(results: Path, session: str, plan: Plan) -> optuna.Study:
    """The study of a search that begins, with the plan. RequestError if it cannot be written."""
    path = _path(results, session)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = _storage(path)
    except OSError as error:
        raise RequestError(f"{path} cannot be written {because(error)} with --results") from None
    study = optuna.create_study(storage=storage, study_name=STUDY, direction="maximize")
    study.set_user_attr(VERSIONS, resume.versions())
    study.set_user_attr(PLAN, asdict(plan))
    return study


def load(results: Path, session: str) -> tuple[optuna.Study, Plan]:
    """The study and the plan of a search to resume.

    RequestError if there is none, or if other sources or packages made its trials.
    """
    path = _path(results, session)
    known = sorted(p.stem for p in path.parent.glob("*.journal"))
    if session not in known:
        latest = ", ".join(known[-5:]) or "none"
        raise RequestError(
            f"there is no search {session!r} to resume in {results.resolve()}; the latest are: "
            f"{latest}"
        )
    try:
        study = optuna.load_study(storage=_storage(path), study_name=STUDY)
        document = study.user_attrs[PLAN]
        plan = Plan(**{**document, "cell": Cell(**document["cell"])})
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} is not the journal of a search ({error})") from None
    if study.user_attrs[VERSIONS] != resume.versions():
        raise RequestError(
            f"search {session} was begun with other sources or packages, and its trials cannot be "
            "compared with further ones; go back to those, or begin another search"
        )
    return study, plan


class Tuner:
    """Makes the trials of a study, one after the other.

    A trial is trained by one worker. With halving and Hyperband it waits at the end of every epoch:
    one that goes on goes on there, one that is stopped is not taken up again. A trial that was
    interrupted goes on from its last checkpoint, if it has one, or begins again.
    """

    def __init__(
        self,
        search: Search,
        study: optuna.Study,
        results: Path,
        tracker: Tracker,
        reporter: Reporter,
    ):
        self._search, self._plan, self._study = search, search.plan, study
        self._results, self._tracker, self._reporter = results, tracker, reporter
        study.pruner = self._pruner()
        ended = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        search.trials += [self._kept(frozen) for frozen in study.get_trials(states=ended)]

    def run(self) -> None:
        """All trials, or those that begin before the limit. KeyboardInterrupt if the user
        interrupts, records.NotWritten if a record cannot be written."""
        plan = self._plan
        deadline = math.inf if plan.limit is None else time.monotonic() + 60 * plan.limit
        for frozen in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._try(self._drawn(optuna.Trial(self._study, frozen._trial_id)))
        while len(self._search.trials) < plan.most:
            if time.monotonic() >= deadline:
                self._reporter.say(f"no further trial begins after {plan.limit:g} minutes")
                return
            self._study.sampler = self._sampler(len(self._search.trials))  # it gives a grid's point
            self._try(self._drawn(self._study.ask()))

    def _drawn(self, trial: optuna.Trial) -> optuna.Trial:
        """The trial, once it has drawn every option."""
        self._study.sampler = self._sampler(trial.number)
        for name, dimension in self._plan.dimensions.items():
            dimension.draw(trial, name)
        self._study.sampler = RandomSampler()  # a grid's ends the loop of `optimize`: there is none
        return trial

    def _sampler(self, number: int) -> BaseSampler:
        """A grid's points are in an order of its seed; what else is drawn has a seed each."""
        seed = self._plan.cell.seed
        if self._plan.grid:
            return GridSampler(self._plan.grid, seed)
        # spawn_key keeps this stream apart from those of training
        sequence = np.random.SeedSequence(seed, spawn_key=(3, number))
        return RandomSampler(int(sequence.generate_state(1)[0]))

    def _pruner(self) -> BasePruner:
        match self._plan.search:
            case "halving":
                return SuccessiveHalvingPruner(1, REDUCTION, 0)
            case "hyperband":
                return HyperbandPruner(1, self._plan.epochs, REDUCTION)
        return NopPruner()

    def _try(self, trial: optuna.Trial) -> None:
        """Makes one trial, keeps its record and tells the study."""
        cell = self._cell(trial.params)
        same = (t for t in self._search.trials if t.record.cell == cell)
        if before := next(same, None):
            ended = replace(before, number=trial.number + 1)
            self._reporter.say(f"trial {ended.number}: the same as trial {before.number}")
        else:
            chosen = " ".join(f"{n}={cell.options[n]}" for n in self._plan.space)
            self._reporter.busy(f"[{trial.number + 1}/{self._plan.most}] {chosen}")
            ended = self._trained(trial, builder.begin(self._search.session, cell))
        self._search.trials.append(ended)
        if ended.stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif ended.value is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, ended.value)

    def _cell(self, params: Mapping[str, Any]) -> Cell:
        plan = self._plan
        chosen = {name: d.text(params[name]) for name, d in plan.dimensions.items()}
        return replace(plan.cell, options={**plan.cell.options, **chosen})

    def _trained(self, trial: optuna.Trial, record: Record) -> Trial:
        stopped = self._train(trial, record)
        path = records.write(self._results, record)
        if record.outcome is Outcome.INTERRUPTED and not stopped:
            raise KeyboardInterrupt
        checkpoints.discard(self._checkpoint(record))
        ended = Trial(trial.number + 1, record, self._plan.metric, stopped)
        value = "" if ended.value is None else f"{self._plan.metric} {ended.value:.4f}, "
        reason = f" ({record.reason})" if record.reason and not stopped else ""
        self._reporter.say(f"trial {ended.number}: {value}{ended.fate}{reason}")
        self._tracker.try_log(record, path, self._reporter.say)
        return ended

    def _train(self, trial: optuna.Trial, record: Record) -> bool:
        """Fills the record in. Tells if the search stopped the training."""
        finished = False

        def heard(event: Event) -> None:
            nonlocal finished
            builder.hear(record, event)
            finished = finished or isinstance(event, Finished)
            self._reporter.cell_event(record.cell, event, self._plan.epochs)

        reported = 0
        with Worker(record.cell, "train", heard, self._plan.timeout, **self._job(record)) as worker:
            while worker.turn() and not finished:
                while reported < len(record.epochs):
                    reported += 1
                    if self._is_hopeless(trial, reported, record):
                        reason = f"stopped by the search after epoch {reported}"
                        builder.end(record, Outcome.INTERRUPTED, reason)
                        return True
            if worker.ending is None:
                worker.turn("stop")
            assert worker.ending
            ending = worker.ending
        builder.end(record, ending.outcome, ending.reason, ending.stderr)
        return False

    def _is_hopeless(self, trial: optuna.Trial, epoch: int, record: Record) -> bool:
        """Tells if the study wants no more of a trial than this epoch, which is not the last."""
        there = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if epoch not in there:  # it is, of a trial that was interrupted
            trial.report(record.epochs[epoch - 1]["metrics"][self._plan.metric], epoch)
        return epoch < self._plan.epochs and trial.should_prune()

    def _job(self, record: Record) -> dict[str, Any]:
        path = str(self._checkpoint(record).resolve())
        own = {"path": path, "every": CHECKPOINT_EVERY, "versions": resume.versions()}
        return {"checkpoint": own}

    def _checkpoint(self, record: Record) -> Path:
        return checkpoints.path_of(self._results, record.session, record.cell.label)

    def _kept(self, frozen: FrozenTrial) -> Trial:
        """A trial of before, by its record. RequestError if that is gone."""
        record = builder.begin(self._search.session, self._cell(frozen.params))
        found = records.read(records.path_of(self._results, record))
        stopped = frozen.state is TrialState.PRUNED
        return Trial(frozen.number + 1, found, self._plan.metric, stopped)


def prove(search: Search, reporter: Reporter) -> None:
    """Verifies the best in every backend, in its precision and in float64."""
    if not search.best:
        return
    cell = search.cell
    choice = (cell.task, cell.variant)
    search.verdicts = verification.verify_all(
        [choice],
        backends.chosen([], None, of=[choice]),
        tuple(dict.fromkeys((cell.precision, *PRECISIONS))),
        cell.data,
        cell.device,
        reporter,
        cell.options,
    )
