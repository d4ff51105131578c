"""Checking: is what runs today what the baselines say? And the runs that baselines are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

import backends
import tasks
from suite.records import baseline as baselines, builder, record as records
from suite.records.baseline import FALSE_ALARMS, Baseline, Run
from suite.records.cell import Cell, Conditions
from suite.records.events import Outcome
from suite.records.findings import Finding, Findings
from suite.records.record import Record
from suite.records.specification import differing
from suite.records.verdict import Verdict, verdict_from
from suite.session.equivalence import TIMED_LOSSES, TIMED_STEPS
from suite.session.finished import Finished
from suite.session.race import train_untimed
from suite.session.reporter import Reporter
from suite.session.trajectory import Trajectories
from suite.session.verifier import Verifier
from suite.system import devices, environment
from tasks.task import DataSource, Envelope, RequestError, Task


@dataclass(frozen=True)
class Result:
    """A cell that was verified and trained, and what its task allows in its precision."""

    record: Record
    verdict: Verdict | None
    """None where the backend is not there."""
    envelope: Envelope


class Cells:
    """Verifies and trains cells, as many at once as there are CPUs; ``timeout`` [s] bounds each.

    Their records lie in ``results/checks``, where no report or history takes their seconds, in
    which others were at work, for speeds. A cell that has ``finished`` already is not run again.
    """

    def __init__(
        self,
        results: Path,
        session: str,
        timeout: float,
        reporter: Reporter,
        finished: Finished | None = None,
    ):
        self._results, self._session = results, session
        self._timeout, self._reporter = timeout, reporter
        self._finished = finished or Finished()

    def run(self, cells: Sequence[Cell]) -> list[Result]:
        """Records and verdicts of the cells of one task. KeyboardInterrupt if the user interrupts.

        A backend is verified once for all its seeds.
        """
        kept = [record for cell in cells if (record := self._finished.of(cell))]
        ran = [record.cell for record in kept]
        fresh = [builder.begin(self._session, cell) for cell in cells if cell not in ran]
        for record in fresh:
            cell = record.cell
            if reason := backends.unavailable(cell.backend, cell.mode, cell.task):
                builder.end(record, Outcome.SKIPPED, reason)
        there = [record for record in fresh if record.outcome is not Outcome.SKIPPED]
        first = cells[0]
        task = tasks.load(first.task, "full", first.data, first.variant)
        verdicts = self._verified(task, [record.cell for record in there])
        for record in there:
            verdict = verdicts[record.cell.backend_label]
            record.verified, record.equivalence = verdict.verified, asdict(verdict)
        self._train(there)
        self._judge(there, task)
        for record in fresh:
            records.write(self._results / "checks", record)
        found = {record.cell.label: record for record in (*kept, *fresh)}
        return [
            Result(
                record,
                verdict_from(record.equivalence) if record.equivalence else None,
                task.envelopes[record.cell.precision],
            )
            for record in (found[cell.label] for cell in cells)
        ]

    def _train(self, found: Sequence[Record]) -> None:
        if not found:
            return
        cell = found[0].cell
        self._reporter.busy(f"training {cell.task_label}, {len(found)} cells")
        epochs = tasks.config(cell.task, cell.profile, cell.variant).epochs
        train_untimed(
            found,
            lambda record, event: self._reporter.cell_event(record.cell, event, epochs),
            self._timeout,
        )

    def _judge(self, trained: Sequence[Record], task: Task) -> None:
        """Holds the first losses of each training against the oracle's."""
        trajectories = Trajectories(self._timeout)
        for record in trained:
            if record.chunks:
                trajectories.prepare(record.cell)
                trajectories.judge(record, np.asarray(record.first_losses(TIMED_STEPS)), task)

    def _verified(self, task: Task, cells: Sequence[Cell]) -> dict[str, Verdict]:
        """A verdict for every ``backend:mode``."""
        if not cells:
            return {}
        first, cache_folder = cells[0], self._results / "verified"
        verifier = Verifier(
            task, first.device, first.threads, timeout=self._timeout, cache_folder=cache_folder
        )
        wanted = {c.backend_label: ((c.backend, c.mode), c.precision) for c in cells}
        self._reporter.busy(f"verifying {task.label} in {', '.join(wanted)}")
        return dict(zip(wanted, verifier.prove(list(wanted.values())), strict=True))


def planned(
    choice: tasks.Choice,
    chosen: Sequence[backends.Choice],
    profile: str,
    data: DataSource,
    seeds: range,
    device: str = devices.CPU,
) -> list[Cell]:
    """The cells of a new baseline: every backend has seeds of its own, as many as ``seeds``.

    The backends are the same model: with other seeds, each of their runs is one more observation.
    """
    return [
        Cell(
            task=choice[0],
            variant=choice[1],
            backend=backend,
            mode=mode,
            device=device,
            profile=profile,
            data=data,
            seed=seeds.start + len(seeds) * number + own,
        )
        for number, (backend, mode) in enumerate(chosen)
        for own in range(len(seeds))
    ]


def why_not(result: Result) -> str | None:
    """Why a result is no part of a baseline; None if it may be."""
    record, verdict = result.record, result.verdict
    if record.outcome is not Outcome.OK:
        return f"{record.cell.label}: {record.outcome}, {record.reason}"
    if not (verdict and verdict.verified):
        return f"{record.cell.label} is not verified: {verdict and verdict.explanation}"
    return None


def cells_of(
    baseline: Baseline,
    chosen: Sequence[backends.Choice],
    seed: int | None,
    finished: Finished | None = None,
) -> list[Cell]:
    """A cell for each of the ``chosen`` backends that the baseline has.

    Their seed is ``seed``, or the first that the backend has in the baseline; or another one of the
    baseline's, if that cell has ``finished`` already.
    """
    found = []
    for backend, mode in chosen:
        if runs := baseline.runs_of(f"{backend}:{mode}"):
            seeds = (*(run.seed for run in runs), *(run.seed for run in baseline.runs))
            shared = {**asdict(baseline.conditions), "backend": backend, "mode": mode}
            able = [Cell(**shared, seed=own) for own in (seeds if seed is None else (seed,))]
            found.append(next((cell for cell in able if finished and finished.of(cell)), able[0]))
    return found


def wanted(
    there: Sequence[Baseline],
    chosen: Sequence[backends.Choice],
    seed: int | None,
    finished: Finished | None = None,
) -> list[tuple[Baseline, list[Cell]]]:
    """Every baseline with its ``cells_of`` the chosen. RequestError if one of them has none."""
    found = [(baseline, cells_of(baseline, chosen, seed, finished)) for baseline in there]
    if bare := [baseline.label for baseline, own in found if not own]:
        asked = ", ".join(f"{name}:{mode}" for name, mode in chosen)
        raise RequestError(
            f"the baselines of {', '.join(bare)} have no run of {asked}; choose another --backend "
            "or --task, or `tetragrad baseline update`"
        )
    return found


def check(found: Sequence[tuple[Baseline, Sequence[Cell]]], cells: Cells, profile: str) -> Findings:
    """Runs the cells and holds each against its baseline; the quantities share FALSE_ALARMS."""
    looked_at = sum(len(baseline.names) * len(own) for baseline, own in found)
    return Findings(
        f"check, {profile} profile",
        tuple(
            finding
            for baseline, own in found
            for result in cells.run(own)
            for finding in judged(baseline, result, FALSE_ALARMS / looked_at)
        ),
    )


def judged(baseline: Baseline, result: Result, false_alarms: float) -> list[Finding]:
    """Findings on one cell. Each of its quantities may raise ``false_alarms``."""
    record, place = result.record, f"{baseline.label} {result.record.cell.backend_label}"
    found = [_outcome(record, place)]
    if result.verdict:
        found.append(equivalence(result.verdict, place))
    if not record.specification:  # it ended before it had begun
        return found
    same = [_constants(baseline, record, place), _data(baseline, record, place)]
    found += same
    if record.outcome is not Outcome.OK or not all(finding.passed for finding in same):
        return found
    return [
        *found,
        *_losses(baseline, result, place),
        *_quantities(baseline, record, place, false_alarms),
    ]


def _outcome(record: Record, place: str) -> Finding:
    name = f"{place}: outcome"
    if record.outcome is Outcome.OK:
        return Finding(name, "ok", f"seed {record.cell.seed}, session {record.session}")
    reason = f"the baseline's runs were ok, this one: {record.reason}"
    return Finding(name, record.outcome, reason, False)


def equivalence(verdict: Verdict, place: str) -> Finding:
    """The finding on a verdict; ``place`` is the task and the backend."""
    name = f"{place}: equivalence"
    if not verdict.verified:
        return Finding(name, "not the same model", verdict.explanation or "", False)
    title = backends.load(verdict.oracle).TITLE
    worst = (
        f"{f.quantity} {f.error:.1e} of {f.tolerance:.0e} ({f.precision})" for f in verdict.findings
    )
    return Finding(name, "same model", f"largest errors against {title}: {', '.join(worst)}")


def _constants(baseline: Baseline, record: Record, place: str) -> Finding:
    name = f"{place}: constants"
    if changed := differing(baseline.specification, record.specification):
        reason = f"{'; '.join(changed)}; if that is meant, `tetragrad baseline update`"
        return Finding(name, "changed", reason, False)
    count = record.specification.get("parameters")
    return Finding(name, "same", f"all of them, and {count} parameters")


def _data(baseline: Baseline, record: Record, place: str) -> Finding:
    name = f"{place}: data"
    then, now = baseline.provenance["digest"], record.provenance["digest"]
    if then == now:
        return Finding(name, "same", f"{baseline.conditions.data}, digest {now[:12]}")
    reason = f"the digest was {then} and is {now}: what comes of them cannot be compared"
    return Finding(name, "changed", reason, False)


def _losses(baseline: Baseline, result: Result, place: str) -> Iterator[Finding]:
    """Losses at fixed steps against the run of the same seed, if the baseline has that.

    The first is of the initial parameters and the first batch: forward alone, it parts by rounding
    wherever it runs, and in whichever backend, unless that drops out by itself. With an update,
    rounding may carry an input over a corner of the model; so the others are judged where nothing
    rounds otherwise, in the same backend, with the same versions and processor.
    """
    record, envelope, now = result.record, result.envelope, baselines.run_of(result.record)
    alike = [run for run in baseline.runs if run.seed == record.cell.seed]
    own = next((run for run in alike if run.backend_label == now.backend_label), None)
    then = own or next(iter(alike if _shares_losses(result) else ()), None)
    if then is None:
        return
    yield _at_steps(f"{place}: loss at step 1", then, now, envelope, ("1",))
    name = f"{place}: losses at fixed steps"
    if own is None:
        reason = f"the baseline has seed {then.seed} of {then.backend_label}; the first losses are "
        yield Finding(name, "not judged", f"{reason}held against the oracle's", None)
    elif devices.kind(record.cell.device) != devices.CPU:
        reason = "on a card, sums are added in an order that varies"
        yield Finding(name, "not judged", reason, None)
    elif environment.computing(record.packages) != baseline.packages:
        yield Finding(name, "not judged", "the baseline is of other versions", None)
    elif any(record.machine.get(k) != baseline.machine.get(k) for k in ("cpu", "cpu_model")):
        yield Finding(name, "not judged", "the baseline is of another processor", None)
    else:
        steps = tuple(step for step in then.losses if 1 < int(step) <= envelope.steps)
        yield _at_steps(name, then, now, envelope, steps)


def _shares_losses(result: Result) -> bool:
    """Tells if its losses were held against those of the oracle with the same seed."""
    found = result.verdict.findings if result.verdict else ()
    return any(finding.quantity == TIMED_LOSSES for finding in found)


def _at_steps(name: str, then: Run, now: Run, envelope: Envelope, steps: Sequence[str]) -> Finding:
    """Each within twice the envelope: both runs may be as far from the oracle."""
    allowed = 2 * envelope.loss_tolerances()
    for step in steps:
        before, after = then.losses[step], now.losses.get(step, float("nan"))
        error, most = abs(after - before) / max(abs(before), 1e-300), allowed[int(step) - 1]
        if not error <= most:
            reason = (
                f"at step {step} the loss was {before:.9g} with seed {then.seed} and is "
                f"{after:.9g}: {error:.1e} apart, {most:.0e} allowed (twice the task's envelope)"
            )
            return Finding(name, "changed", reason, False)
    said = f"as with seed {then.seed}, within twice the task's envelope"
    return Finding(name, "same", f"steps {', '.join(steps)}: {said}" if len(steps) > 1 else said)


def _quantities(
    baseline: Baseline, record: Record, place: str, false_alarms: float
) -> Iterator[Finding]:
    """Each in its band, which has two ends: what is too good has not learned the task either."""
    now = baselines.quantities(record)
    for quantity in baseline.names:
        name, value = f"{place}: {quantity}", now.get(quantity)
        band = baselines.band(baseline.values(quantity), false_alarms)
        if value is None:
            yield Finding(name, "missing", "the baseline's runs have it", False)
            continue
        if band is None:
            yield Finding(name, "no band", "it was the same in all of the baseline's runs", None)
            continue
        reason = (
            f"{value:.4g}, the band is [{band.low:.4g}, {band.high:.4g}]: {band.mean:.4g} +- "
            f"{band.spread:.2g} in {band.runs} runs"
        )
        side = "below" if value < band.low else "above" if value > band.high else None
        yield Finding(name, f"{side} its band" if side else "in its band", reason, side is None)


def find(
    folder: Path,
    wanted: Sequence[tasks.Choice],
    profile: str,
    sources: Mapping[str, DataSource],
    device: str = devices.CPU,
) -> list[Baseline]:
    """The baselines of the ``wanted`` tasks, for a device, on the data that each has here.

    RequestError names the first that is missing.
    """
    found = []
    for name, variant in wanted:
        source = sources[name]
        wanted_of = Conditions(
            task=name, variant=variant, profile=profile, data=source, device=device
        )
        path = baselines.path_of(folder, wanted_of)
        if not path.exists():
            raise RequestError(
                f"{wanted_of.task_label} has no baseline of the {profile} profile on "
                f"{sources[name]} data, {device} ({path}); make it with `tetragrad baseline "
                "update`, or name another --profile, --data, --device or --task"
            )
        baseline = baselines.read(path)
        own = replace(baseline.conditions, task=name, device=device)
        found.append(replace(baseline, conditions=own))
    return found
