"""The report's numbers for programs and for MLflow's pages: CSV, JSON, Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, fields
from html import escape
from typing import Any

from suite.records.cell import OPTION, Conditions
from suite.report import machines, sentences, words
from suite.report.batches import AtBatch, BatchLine, sizes
from suite.report.document import Entry, Report, Section
from suite.report.measures import Interval, Speed

SCHEMA_VERSION = 1
ALONE = " in training"
"""Behind the name of what training alone showed, where nothing was timed in turns."""
INTERVALS = (
    "In brackets: 95% intervals of the medians. Undecided: the interval contains 1, and the two "
    "cannot be told apart."
)
CONDITIONS = tuple(f.name for f in fields(Conditions) if OPTION in f.metadata)


def as_json(report: Report) -> dict[str, Any]:
    """All that the page says, numbers in full."""
    document = {"schema_version": SCHEMA_VERSION, **asdict(report)}
    document["sections"] = [
        {"label": section.label, **asdict(section.conditions), **_section(section)}
        for section in report.sections
    ]
    return document


def _section(section: Section) -> dict[str, Any]:
    """A section; what training alone showed is not called its speed."""
    document = asdict(section)
    for part in (document, *document["entries"]):
        for name in ("speed", "speeds"):
            if name in part and not section.interleaved:
                part[f"training_{name}"] = part[name]
                part[name] = [] if name == "speeds" else None
    return document | {"machines": machines.document(section.machines, section.unit)}


def as_csv(report: Report) -> str:
    """A line for every task, backend and mode: what the summary says, numbers in full.

    Behind them come lines that have a ``batch``: throughput with batches of that size.
    """
    rows = [_row(section, entry) for section in report.sections for entry in section.entries]
    rows += [
        _batch_row(section, line, point)
        for section in report.sections
        for line in section.batches
        for point in line.points
    ]
    file = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(file, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _row(section: Section, entry: Entry) -> dict[str, Any]:
    speed = entry.speed
    return {
        **_conditions(section),
        "backend": entry.backend,
        "mode": entry.mode,
        "batch": None,
        "seeds": len(entry.seeds),
        "verified": entry.verified,
        "failures": "; ".join(entry.failures),
        "metric": section.metric,
        **_ends("quality", entry.quality),
        "missed": None if entry.missed is None else " ".join(entry.missed),
        "unit": section.unit,
        **_measured("throughput", speed.rate if speed else None, section),
        **_measured("times_numpy", speed.ratio if speed else None, section),
        "verdict": speed.verdict if speed else None,
        **_ends("efficiency", speed.efficiency if speed else None),
        "differing": "; ".join(speed.differing) if speed else None,
        "interleaved": section.interleaved,
        "seconds_to_target": entry.time_to_target.median if entry.time_to_target else None,
        **{f"seconds_{phase}": seconds for phase, seconds in entry.phases.items()},
    }


def _batch_row(section: Section, line: BatchLine, point: AtBatch) -> dict[str, Any]:
    return {
        **_conditions(section),
        "backend": line.backend,
        "mode": line.mode,
        "batch": point.batch,
        "verified": True,
        "unit": section.unit,
        **_ends("throughput", point.rate),
    }


def _conditions(section: Section) -> dict[str, Any]:
    own = {name: getattr(section.conditions, name) for name in CONDITIONS}
    own["options"] = " ".join(f"{name}={value}" for name, value in own["options"].items())
    return {"task": section.label, **own}


def _measured(name: str, interval: Interval | None, section: Section) -> dict[str, float | None]:
    """A speed under its name, or under another one if training alone showed it."""
    own, training = (interval, None) if section.interleaved else (None, interval)
    return _ends(name, own) | _ends(f"training_{name}", training)


def _ends(name: str, interval: Interval | None) -> dict[str, float | None]:
    ends = ("median", "low", "high")
    return {f"{name}_{end}": getattr(interval, end) if interval else None for end in ends}


def as_markdown(report: Report) -> str:
    """The summary as a page of Markdown."""
    return "\n".join(_markdown(report)) + "\n"


def _markdown(report: Report) -> Iterator[str]:
    yield f"# {plain(report.title)}"
    yield ""
    when = f"Began {plain(report.began)}, ended {plain(report.ended)}."
    yield f"Sessions: {plain(', '.join(report.sessions))}. {when}"
    for answer in report.answers:
        yield from ("", f"**{plain(answer.headline)}**", "")
        yield from (f"- {plain(text)}" for text in answer.tasks)
    for section in report.sections:
        yield from ("", *in_markdown(section))


def in_markdown(section: Section) -> Iterator[str]:
    """Lines on one task in a report's Markdown."""
    yield from (f"## {plain(section.title)}", "")
    if section.generated:
        yield from ("**GENERATED DATA, not the real data set.**", "")
    yield from (plain(section.lead), "")
    how = "interleaved" if section.interleaved else "not interleaved"
    alone = "" if section.interleaved else ALONE
    own = section.conditions
    yield (
        f"Profile {plain(own.profile)}, {words.count(own.threads, 'thread')}, "
        f"{plain(own.device)}, {plain(own.precision)}, "
        f"seeds {words.ranges(section.seeds)}; timings {how}."
    )
    yield ""
    headings = (
        *("backend", section.metric, "target", section.unit + alone, "times NumPy" + alone),
        *("of matmul peak", "same model"),
    )
    yield _line([plain(heading) for heading in headings])
    yield "|---|---:|---|---:|---:|---:|---|"
    for entry in section.entries:
        yield _line(_markdown_row(entry))
    yield from _lecture(section)
    if section.speeds:
        yield f"\n{plain(INTERVALS)}"
    yield from (f"\n{plain(text)}" for text in sentences.differing(section.differing))
    yield from _batches(section)
    yield from _machines(section)
    for entry in section.entries:
        yield from (f"\n{plain(entry.name)}: {plain(text)}" for text in entry.failures)
        if entry.explanation:
            yield f"\n{plain(entry.name)} is not verified: {plain(entry.explanation)}"


def _lecture(section: Section) -> Iterator[str]:
    """The figures that a lecture prints, beside ours."""
    if not section.lecture_said:
        return
    names = [*dict.fromkeys(name for row in section.lecture for name in row.ours)]
    yield from ("", f"Beside the lecture, {plain(section.lecture_said['document'])}:", "")
    yield _line(["figure", "lecture", *map(plain, names)])
    yield f"|---|---:|{'---:|' * len(names)}"
    for row in section.lecture:
        ours = (row.shown(row.ours.get(name)) for name in names)
        yield _line([row.quantity, row.shown(row.printed), *ours])
    yield f"\n{plain(section.lecture_said['differs'])}"


def _batches(section: Section) -> Iterator[str]:
    """Throughput against the size of batches, if there are several."""
    if not section.batches:
        return
    found = sizes(section.batches)
    yield from (
        "",
        f"{plain(section.unit)} against batch size (larger batches say nothing but throughput):",
        "",
    )
    yield _line(["backend", *(f"{size:,}" for size in found)])
    yield f"|---|{'---:|' * len(found)}"
    keys = [(line.backend, line.mode) for line in section.batches]
    for line in section.batches:
        rates = {point.batch: point.rate for point in line.points}
        name = plain(words.name(line.backend, line.mode, keys))
        yield _line([name, *(_rate(rates.get(size)) for size in found)])


def _machines(section: Section) -> Iterator[str]:
    """The same contestants on several machines, if there are."""
    if not section.machines:
        return
    headings, rows = machines.table(section.machines, section.unit)
    yield from ("", "On several machines:", "", _line(list(map(plain, headings))))
    yield f"|---|{'---:|' * (len(headings) - 1)}"
    for row in rows:
        yield _line(list(map(plain, row)))
    yield from (f"\n{plain(text)}" for text in machines.notes(section.machines, section.unit))


def _rate(interval: Interval | None) -> str:
    """A throughput with its interval."""
    if interval is None:
        return words.NOTHING
    low, middle, high = map(words.rate, (interval.low, interval.median, interval.high))
    return f"{middle} [{low}, {high}]"


def _markdown_row(entry: Entry) -> list[str]:
    speed = entry.speed
    missed = entry.missed and f"missed: {', '.join(entry.missed)}"
    return [
        plain(entry.name),
        spread(entry.quality),
        "not judged" if entry.missed is None else plain(missed or "met"),
        _rate(speed.rate if speed else None),
        _against(speed) if speed else words.NOTHING,
        words.percent(speed.efficiency.median if speed and speed.efficiency else None),
        "yes" if entry.verified else "NO" if entry.seeds else words.NOTHING,
    ]


def _against(speed: Speed) -> str:
    """The ratio to NumPy's speed, with its marks."""
    alike, mark = " undecided" * speed.undecided, plain("*" * bool(speed.differing))
    return f"{times(speed.ratio)}{alike}{mark}"


def spread(quality: Interval | None) -> str:
    """The median, with the lowest and highest of the seeds where they differ."""
    if quality is None:
        return words.NOTHING
    low, middle, high = map(words.figure, (quality.low, quality.median, quality.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def times(ratio: Interval | None) -> str:
    """A ratio with its interval; the base itself has none."""
    if ratio is None:
        return words.NOTHING
    low, middle, high = map(words.ratio, (ratio.low, ratio.median, ratio.high))
    return middle if ratio.low == ratio.high else f"{middle} [{low}, {high}]"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Text that Markdown and its HTML leave as it is, on one line."""
    escaped = escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]|" else c for c in escaped)
