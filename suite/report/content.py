"""The content of a report, from records alone: numbers and plain words, nothing of how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import backends
import tasks
from suite.records import lecture
from suite.records.cell import Conditions
from suite.records.differences import differences
from suite.records.events import Outcome
from suite.records.machines import facts_of, names_of
from suite.records.record import Record
from suite.records.timing import Timing, of_speed, of_speed_at_any_batch
from suite.records.verdict import verdict_from
from suite.report import batches, deciding, exhibits, ledger, machines, measures, sentences, words
from suite.report.document import Curve, Entry, Report, Section
from suite.report.measures import Speed
from suite.show.summary import comparisons
from tasks.task import Precision


def build(found: Sequence[Record], timings: Sequence[Timing] = ()) -> Report:
    """The report on the records, at least one.

    ``timings`` may be of further sessions, which have no records.
    """
    groups: dict[Any, list[Record]] = {}
    found = sorted(found, key=_order)
    for record in found:
        groups.setdefault(record.cell.shared.key, []).append(record)
    ran = {r.session for r in found}
    alone, beside_records = (
        [t for t in timings if (t.session in ran) is with_records] for with_records in (False, True)
    )
    by_conditions = {of_speed(t.conditions).key: t for t in (*alone, *beside_records)}
    everyone = [group[0].cell.shared for group in groups.values()]
    sections = tuple(
        _section(
            number,
            _title(group[0].cell.shared, everyone),
            group,
            by_conditions.get(of_speed(group[0].cell).key),
            _at_any_batch((*beside_records, *alone), group),
            _variants(group[0].cell.shared, groups.values()),
        )
        for number, group in enumerate(groups.values(), 1)
    )
    columns = dict.fromkeys((e.backend, e.mode) for s in sections for e in s.entries)
    labels = list(dict.fromkeys(section.label for section in sections))
    kept: list[Record | Timing] = [*found, *timings]
    what = words.listed(labels) if len(labels) < 4 else f"{len(labels)} tasks"
    return Report(
        title=f"{what} in {words.listed(dict.fromkeys(words.backend(b) for b, _ in columns))}",
        sessions=tuple(sorted(ran | {t.session for t in timings})),
        began=min(one.created for one in kept),
        ended=max(one.ended or one.created for one in kept),
        answers=deciding.decision(
            sections, alone=len({*names_of([facts_of(r.machine) for r in found])}) == 1
        ),
        columns=tuple(sorted(columns, key=lambda key: _place_of_backend(*key))),
        sections=sections,
        ledger=ledger.build(found),
    )


def _title(own: Conditions, everyone: Sequence[Conditions]) -> str:
    """The task's label; where others have it too, with what tells their conditions apart."""
    rivals = [dict(other.key) for other in everyone if other.task_label == own.task_label]
    differing = {name for other in rivals for name, value in own.key if other[name] != value}
    said = [_said(name, value) for name, value in own.key if name in differing]
    return ", ".join((own.task_label, *filter(None, said)))


def _said(name: str, value: Any) -> str:
    """A condition in words, such as ``early stopping 5`` or ``full``."""
    match name:
        case "options":
            return ", ".join(f"{option}={chosen}" for option, chosen in value)
        case "threads":
            return words.count(value, "thread")
        case "early_stopping":
            return f"early stopping {value}" if value else "no early stopping"
        case "data":
            return f"{value} data"
        case _:
            return str(value)


def _place(name: str | None, known: Sequence[str | None]) -> int:
    return known.index(name) if name in known else len(known)


def _place_of_backend(backend: str, mode: str) -> tuple[Any, ...]:
    return _place(backend, backends.names()), backend, words.order(backend, mode), mode


def _order(record: Record) -> tuple[Any, ...]:
    """By task, variant and backend as the suite lists them, then by all else."""
    cell = record.cell
    variants = tasks.variants(cell.task)
    return (
        *(_place(cell.task, tasks.names()), cell.task, _place(cell.variant, variants)),
        *(str(cell.variant), cell.profile, cell.data, cell.device),
        *(_place(cell.precision, get_args(Precision)), cell.threads),
        *_place_of_backend(cell.backend, cell.mode),
        *(record.session, cell.seed),
    )


def _at_any_batch(timings: Sequence[Timing], group: Sequence[Record]) -> list[Timing]:
    """Those of the same conditions as the records, but for the size of batches."""
    wanted = of_speed_at_any_batch(group[0].cell)
    return [t for t in timings if of_speed_at_any_batch(t.conditions) == wanted]


def _variants(own: Conditions, groups: Iterable[Sequence[Record]]) -> list[Sequence[Record]]:
    """Records of the task's other variants that went well, where all else is equal."""
    wanted = own.without("variant").key
    shared = [(group[0].cell.shared, group) for group in groups]
    return [
        [r for r in group if r.outcome is Outcome.OK]
        for other, group in shared
        if other.key != own.key and other.without("variant").key == wanted
    ]


def _section(
    number: int,
    title: str,
    group: Sequence[Record],
    timing: Timing | None,
    at_any_batch: Sequence[Timing],
    variants: Sequence[Sequence[Record]],
) -> Section:
    cell = group[0].cell
    good = [r for r in group if r.outcome is Outcome.OK]
    by_backend: dict[tuple[str, str], list[Record]] = {}
    for record in group:
        by_backend.setdefault((record.cell.backend, record.cell.mode), []).append(record)
    differing = differences(good)
    speeds = measures.marked(_speeds(by_backend, timing), differing)
    own = [t for t in at_any_batch if of_speed(t.conditions) == of_speed(cell)]
    on_machines = machines.of_timings(own, group, _trusted(by_backend))
    targets = next((r.targets for r in group if r.targets), [])
    metrics = _metric_names(good)
    metric = targets[0]["metric"] if targets else next(iter(metrics), "train_loss")
    entries = tuple(_entry(records, metric, speeds, by_backend) for records in by_backend.values())
    return Section(
        anchor=f"task-{number}",
        title=title,
        conditions=cell.shared,
        seeds=tuple(sorted({r.cell.seed for r in group})),
        unit=next((r.unit for r in good), group[0].unit),
        metric=metric,
        targets=tuple(map(sentences.target, targets)),
        lecture=tuple(lecture.beside(group)),
        lecture_said=lecture.printed(group),
        judged=sentences.not_judged(group[0]) if targets else "the task states no target",
        lead=sentences.lead(entries, metric, speeds, timing is not None, cell.data),
        entries=entries,
        speeds=speeds,
        interleaved=timing is not None,
        machine=timing.machine if timing else {},
        differing=differing,
        warnings=(
            *sentences.differing(differing),
            *sentences.uneven(entries),
            *machines.warnings(on_machines),
            *(timing.warnings if timing else sentences.unsteady(good)),
        ),
        batches=batches.batch_lines(
            at_any_batch, {(e.backend, e.mode) for e in entries if e.seeds and not e.verified}
        ),
        machines=on_machines,
        curves=tuple(_curves(entries, by_backend, ["train_loss", *metrics])),
        texts=exhibits.texts(good),
        attention=exhibits.attention(good, variants),
        readings=tuple((r.cell, r.reading) for r in good if r.reading),
        comparisons=tuple((r.cell, c) for r, c in comparisons(group)),
    )


def _metric_names(good: Sequence[Record]) -> list[str]:
    names = dict.fromkeys(name for record in good for name in record.metrics)
    return [n for n in names if n != "train_loss" and not n.endswith("_ci95")]


def _speeds(
    by_backend: Mapping[tuple[str, str], Sequence[Record]], timing: Timing | None
) -> tuple[Speed, ...]:
    if timing is None:
        return measures.speeds_of_chunks(
            {key: [r for r in rs if r.outcome is Outcome.OK] for key, rs in by_backend.items()}
        )
    return measures.speeds_in_turns(timing, _trusted(by_backend))


def _trusted(by_backend: Mapping[tuple[str, str], Sequence[Record]]) -> dict[tuple[str, str], bool]:
    """Tells of (backend, mode) if some cell went well, and all that did are verified."""
    good = {key: [r for r in rs if r.outcome is Outcome.OK] for key, rs in by_backend.items()}
    return {key: bool(rs) and all(r.verified for r in rs) for key, rs in good.items()}


def _entry(
    records: Sequence[Record],
    metric: str,
    speeds: Sequence[Speed],
    groups: Mapping[tuple[str, str], Sequence[Record]],
) -> Entry:
    cell, good = records[0].cell, [r for r in records if r.outcome is Outcome.OK]
    verified = bool(good) and all(r.verified for r in good)
    last = next((r.equivalence for r in reversed(records) if r.equivalence), None)
    verdict = verdict_from(last) if last else None
    names = [*dict.fromkeys(name for r in good for name in r.metrics)]
    metrics = {
        n: measures.over_seeds([r.metrics[n] for r in good if n in r.metrics]) for n in names
    }
    reached = [r.time_to_target for r in good if r.time_to_target is not None]
    return Entry(
        backend=cell.backend,
        mode=cell.mode,
        name=words.name(cell.backend, cell.mode, groups),
        order=words.order(cell.backend, cell.mode),
        seeds=tuple(r.cell.seed for r in good),
        failures=sentences.failures(records),
        verified=verified,
        explanation=verdict.explanation if verdict and verdict.tested and not verified else None,
        quality=metrics.get(metric),
        missed=sentences.missed(good),
        speed=next((s for s in speeds if (s.backend, s.mode) == (cell.backend, cell.mode)), None),
        time_to_target=(
            measures.over_seeds(reached) if verified and len(reached) == len(good) else None
        ),
        metrics=metrics,
        phases=measures.phases(good) if verified else {},
        memory=measures.memory(good),
        **measures.epochs(good),
        findings=verdict.findings if verdict else (),
        steps=verdict.steps if verdict and verdict.findings else None,
        left_out=verdict.left_out if verdict else None,
        compilations=_most([r.compilations for r in good]),
    )


def _most(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for found in counts for name in found)
    return {name: max(found.get(name, 0) for found in counts) for name in names}


def _curves(
    entries: Sequence[Entry],
    groups: Mapping[tuple[str, str], Sequence[Record]],
    metrics: Sequence[str],
) -> list[Curve]:
    found = []
    for metric in metrics:
        for entry in entries:
            good = [r for r in groups[entry.backend, entry.mode] if r.outcome is Outcome.OK]
            loss = metric == "train_loss"
            points = measures.by_chunk(good) if loss else measures.by_epoch(good, metric)
            if points:
                name, order = entry.name, entry.order
                found.append(Curve(metric, name, entry.backend, order, points, entry.verified))
    return found
