"""The pages of published records: one for each task and machine, and one that leads to them.

They are made from the folder alone and say nothing of when, so that they are the same each time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.records import published as folders
from suite.records.cell import computed
from suite.records.machines import facts_of, names_of
from suite.records.published import Folder, Published
from suite.records.verdict import Verdict, verdict_from
from suite.report import ledger, page, words
from suite.report.looks import look
from suite.session.reproduce import RERUNNABLE
from suite.system import environment
from suite.system.files import write_text
from tasks.paths import because
from tasks.task import RequestError

MARK = '<meta name="generator" content="tetragrad publish">'
"""A line that every page has, by which the pages of a folder are known for ours."""
INDEX, PAGES = "index.html", "pages"


@dataclass(frozen=True)
class Word:
    """The word of a machine on a record: reproduced there, then, or not."""

    good: bool
    text: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A record as a page shows it."""

    hash: str
    name: str
    backend: str
    order: int
    seed: int
    verified: bool
    verdict: Verdict | None
    explanation: str
    """The verdict in one sentence: what it rests on, or why there is none."""
    outcome: str
    quality: float | None
    speed: Mapping[str, Any] | None
    """Timed in turns, ``median``, ``low`` and ``high``; None if it was not or is not verified."""
    share: int
    """The speed as a share of the highest in its group [percent]."""
    command: str
    made: str
    facts: tuple[tuple[str, str], ...]
    """Facts by which rows are filtered."""
    words: tuple[Word, ...]
    commit: str
    packages: str

    @property
    def reproduced(self) -> bool:
        """Tells if some machine came to the same."""
        return any(word.good for word in self.words)


@dataclass(frozen=True)
class Group:
    """The records of one task and machine under equal conditions: numbers can be compared."""

    title: str
    generated: bool
    unit: str
    metric: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Page:
    """One task on one machine."""

    file: str
    task: str
    machine: str
    about: Mapping[str, str]
    """Facts of the machine."""
    groups: tuple[Group, ...]

    @property
    def rows(self) -> list[Row]:
        """All of them."""
        return [row for group in self.groups for row in group.rows]

    @property
    def size(self) -> int:
        """How many records there are."""
        return len(self.rows)

    @property
    def filters(self) -> dict[str, list[str]]:
        """Facts that are not the same in all rows, with their values."""
        values: dict[str, dict[str, None]] = {}
        for row in self.rows:
            for name, value in row.facts:
                values.setdefault(name, {})[value] = None
        return {name: sorted(found) for name, found in values.items() if len(found) > 1}


def require_own(folder: Path) -> None:
    """RequestError if the folder is one of results, or has pages that are not ours."""
    folders.require_no_results(folder)
    index = folder / INDEX
    if index.is_file() and not _is_ours(index):
        raise RequestError(f"{index} is no page of `tetragrad publish`; name another folder")


def write(folder: Path) -> tuple[Path, Folder]:
    """Makes the pages anew from what the folder holds. Returns the first page, and all it holds.

    Our pages of before that are no more are removed. RequestError if they cannot be written.
    """
    require_own(folder)
    found = folders.read(folder)
    pages = build(found)
    texts = {folder / PAGES / one.file: render("gallery.html.jinja", page=one) for one in pages}
    texts[folder / INDEX] = render(
        "gallery_index.html.jinja",
        pages=pages,
        refused=(*found.refused, *found.noted),
        folder=PAGES,
    )
    try:
        for path, text in texts.items():
            write_text(path, text)
        for path in (folder / PAGES).glob("*.html"):
            if path not in texts and _is_ours(path):
                path.unlink()
    except OSError as error:
        raise RequestError(f"{folder} cannot be written {because(error)}") from None
    return folder / INDEX, found


def render(template: str, **content: Any) -> str:
    """A page as text."""
    return (
        page.environment()
        .get_template(template)
        .render(
            **content,
            mark=MARK,
            look=look,
            count=words.count,
            rate=words.rate,
            style=page.asset("style.css"),
            own_style=page.asset("gallery.css"),
            script=page.asset("gallery.js"),
        )
    )


def build(found: Folder) -> list[Page]:
    """The pages, by task and machine."""
    facts = [facts_of(one.record.machine) for one in found.published]
    attested = [facts_of(a.machine) for one in found.published for a in one.attestations]
    names = iter(names_of([*facts, *attested]))
    machines = {one.hash: name for one, name in zip(found.published, names, strict=False)}
    reproducers = {one.hash: [next(names) for _ in one.attestations] for one in found.published}
    by_page: dict[tuple[str, str], list[Published]] = {}
    for one in found.published:
        by_page.setdefault((one.record.cell.task_label, machines[one.hash]), []).append(one)
    return [
        Page(
            file=_file_name(task, machine),
            task=task,
            machine=machine,
            about=max((facts_of(one.record.machine) for one in own), key=len),
            groups=tuple(_groups(own, reproducers)),
        )
        for (task, machine), own in sorted(by_page.items())
    ]


def _file_name(task: str, machine: str) -> str:
    plain = re.sub(r"\W+", "-", f"{task} {machine}", flags=re.ASCII).strip("-").lower()
    return f"{plain[:60]}-{hashlib.sha256(machine.encode()).hexdigest()[:6]}.html"


def _groups(own: Sequence[Published], on: Mapping[str, Sequence[str]]) -> Iterable[Group]:
    by_conditions: dict[Any, list[Published]] = {}
    for one in own:
        by_conditions.setdefault(one.record.cell.shared.key, []).append(one)
    for key in sorted(by_conditions, key=str):
        members = sorted(by_conditions[key], key=_place)
        first, cell = members[0].record, members[0].record.cell
        title = [cell.profile, computed(cell.device, cell.precision)]
        title += [words.count(cell.threads, "thread")]
        title += [f"{name} {value}" for name, value in cell.choices.items()]
        targets = next((m.record.targets for m in members if m.record.targets), [])
        metric = targets[0]["metric"] if targets else first.validation or "train_loss"
        speeds = [s["median"] for one in members if (s := _speed(one))]
        top = max(speeds, default=0.0)
        rows = tuple(_row(one, metric, top, on[one.hash]) for one in members)
        yield Group(" · ".join(title), cell.data != "real", first.unit, metric, rows)


def _place(one: Published) -> tuple[Any, ...]:
    cell = one.record.cell
    return cell.backend, words.order(cell.backend, cell.mode), cell.seed, one.record.created


def _row(one: Published, metric: str, top: float, machines: Sequence[str]) -> Row:
    record, cell, speed = one.record, one.record.cell, _speed(one)
    verdict = verdict_from(record.equivalence) if record.equivalence else None
    told = tuple(
        Word(a.reproduced, f"{machine}, {a.created[:10]}", _told(a))
        for a, machine in zip(one.attestations, machines, strict=True)
    )
    computing = environment.computing(record.packages)
    outcome = str(record.outcome) + (f": {record.reason}" if record.reason else "")
    return Row(
        hash=one.hash,
        name=words.name(cell.backend, cell.mode),
        backend=cell.backend,
        order=words.order(cell.backend, cell.mode),
        seed=cell.seed,
        verified=record.verified,
        verdict=verdict,
        explanation=_explanation(record.verified, verdict),
        outcome=outcome,
        quality=record.metrics.get(metric),
        speed=speed,
        share=round(100 * speed["median"] / top) if speed and top else 0,
        command=_command(one),
        made=record.created[:10],
        facts=_facts(one),
        words=told,
        commit=str(record.git.get("commit") or "unknown")
        + (", changed since" if record.git.get("dirty") else ""),
        packages=", ".join(f"{name} {version}" for name, version in computing.items()),
    )


def _facts(one: Published) -> tuple[tuple[str, str], ...]:
    cell, words_ = one.record.cell, one.attestations
    return (
        ("backend", words.name(cell.backend, cell.mode)),
        ("verified", "yes" if one.record.verified else "no"),
        ("reproduced", "yes" if any(a.reproduced for a in words_) else "no"),
        ("profile", cell.profile),
        ("data", cell.data),
        *(("precision", cell.precision), ("device", cell.device), ("threads", str(cell.threads))),
        ("session", one.record.session),
    )


def _speed(one: Published) -> dict[str, Any] | None:
    """No speed counts of another model."""
    found = one.record.throughput
    return found if one.record.verified and found["median"] is not None else None


def _command(one: Published) -> str:
    """The command that trains the cell again, in the folder of the pages."""
    if one.record.outcome in RERUNNABLE and one.record.chunks:
        return f"tetragrad reproduce {folders.RECORDS}/{one.hash}.json --attest ."
    (command,) = ledger.commands([one.record])
    return command


def _explanation(verified: bool, verdict: Verdict | None) -> str:
    """The sentence on what a verdict rests on, or on what it fails."""
    if verdict is None:
        return "It was not held against the oracle."
    if not verified:
        return verdict.explanation or "It is not verified."
    findings = verdict.findings
    precisions = words.listed(dict.fromkeys(f.precision or verdict.precision for f in findings))
    nearest = max(findings, key=lambda f: (f.error or 0) / f.tolerance if f.tolerance else 0)
    oracle = words.backend(verdict.oracle)
    left_out = f" {verdict.left_out}." if verdict.left_out else ""
    return (
        f"{len(findings)} quantities over {verdict.steps} steps in {precisions} agree with "
        f"{oracle}'s float64. Nearest to its limit comes {nearest.quantity}: "
        f"error {words.error(nearest.error)}, allowed {words.error(nearest.tolerance)}.{left_out}"
    )


def _told(attestation: folders.Attestation) -> tuple[str, ...]:
    said = (f"{f.name}: {f.verdict} ({f.reason})" for f in attestation.findings)
    return (*said, *(f"differs: {difference}" for difference in attestation.differences))


def _is_ours(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return MARK in file.read(2000)
