"""``tetragrad upgrade``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import tasks
from suite.cli import options
from suite.cli.options import (
    RESULTS,
    BackendOption,
    Data,
    DataOption,
    DeviceOption,
    JUnitOption,
    MarkdownOption,
    ModeOption,
    ProfileOption,
    ResultsOption,
    TaskOption,
    ThreadsOption,
    TimeoutOption,
    interruptible,
)
from suite.records import record as records
from suite.records.findings import Finding, Findings
from suite.session import upgrade as upgrading
from suite.session.compare import RISK, THRESHOLD, Limits
from suite.session.culprit import LimitReached, Probes, Search, Symptom
from suite.session.plan import Plan, cells
from suite.session.reporter import Reporter
from suite.session.symptom import Looking
from suite.session.upgraded import Upgraded
from suite.show.console import output
from suite.show.findings import print_checked, print_findings
from suite.show.progress import Terminal
from suite.system import devices, overlay
from suite.system.index import Index
from suite.system.overlay import Environments, Overlay
from suite.system.revisions import Side
from tasks.task import RequestError

Requirements = Annotated[
    list[str],
    typer.Argument(
        metavar="REQUIREMENT...",
        help="Packages of the new environment: 'jax==0.10.1', 'optax<0.2.6', or jax for its "
        "newest version; a file of constraints; or a Python, whose versions are meant.",
        show_default=False,
    ),
]
Base = Annotated[
    list[str],
    typer.Option(
        "--base",
        help="The same of the old environment; repeatable. Default: what is installed here.",
        show_default=False,
    ),
]
IndexUrl = Annotated[str | None, typer.Option(help="Package index instead of pip's.")]
ExtraIndexUrls = Annotated[
    list[str],
    typer.Option("--extra-index-url", help="Another index; repeatable.", show_default=False),
]
FindLinks = Annotated[
    list[str],
    typer.Option("--find-links", help="Folder or page of wheels; repeatable.", show_default=False),
]
NoIndex = Annotated[bool, typer.Option("--no-index", help="Look into --find-links alone.")]
Threshold = Annotated[
    float, typer.Option(min=0.001, max=0.9, help="By how much a speed may differ and be the same.")
]
Limit = Annotated[
    float, typer.Option(min=0, help="Seconds of timing for each task and backend, at most.")
]
Bisect = Annotated[
    bool,
    typer.Option("--bisect", help="Find the package and the version that bring one symptom."),
]
Slower = Annotated[bool, typer.Option("--slower", help="The symptom: a task is slower.")]
Differs = Annotated[bool, typer.Option("--differs", help="The symptom: losses are others.")]
Fails = Annotated[bool, typer.Option("--fails", help="The symptom: a task fails.")]
Most = Annotated[
    int, typer.Option("--probes", min=1, help="Environments that --bisect tries, at most.")
]


EXPECTED = 20
"""Environments that a search times, about: a wrong verdict on any of them has the chance RISK."""


@dataclass(frozen=True)
class _Two:
    """The old and the new environment, and who makes them."""

    old: Overlay
    new: Overlay
    named: frozenset[str]
    index: Index
    environments: Environments

    @property
    def title(self) -> str:
        changed = self._said(self.named) or "the same versions"
        return f"upgrade: {changed}"

    @property
    def about(self) -> tuple[str, ...]:
        """Lines on what else the resolver changed, and what it broke."""
        others = self._said(self.new.changed(self.old).keys() - self.named)
        before = self.old.conflicts()
        conflicts = [line for line in self.new.conflicts() if line not in before]
        return (
            f"Also changed, for it has to be: {others or 'nothing'}.",
            *(f"In conflict: {line}" for line in conflicts),
        )

    def _said(self, names: frozenset[str] | set[str]) -> str:
        changed = self.new.changed(self.old).items()
        return ", ".join(f"{n} {before} → {after}" for n, (before, after) in changed if n in names)


def upgrade(
    requirements: Requirements,
    base: Base = [],  # noqa: B006  (typer copies it)
    index_url: IndexUrl = None,
    extra_index_url: ExtraIndexUrls = [],  # noqa: B006
    find_links: FindLinks = [],  # noqa: B006
    no_index: NoIndex = False,
    task: TaskOption = [],  # noqa: B006
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    device: DeviceOption = devices.CPU,
    profile: ProfileOption = "quick",
    threads: ThreadsOption = 1,
    data: DataOption = Data.auto,
    threshold: Threshold = THRESHOLD,
    limit: Limit = 30,
    timeout: TimeoutOption = 3600,
    bisect: Bisect = False,
    slower: Slower = False,
    differs: Differs = False,
    fails: Fails = False,
    probes: Most = 100,
    results: ResultsOption = RESULTS,
    markdown: MarkdownOption = None,
    junit: JUnitOption = None,
) -> None:
    """Say what other versions of packages make slower, faster, worse or different.

    Both are verified, trained and timed in turns. Exit code 1: one is worse, or has the symptom.
    """
    options.require_possible(threads, timeout)
    symptom = _symptom(bisect, {"slower": slower, "differs": differs, "fails": fails})
    choices = tasks.chosen(task or tasks.names())
    plan = Plan(
        choices=choices,
        **options.contestants(backend, mode, choices),
        conditions=options.conditions(profile, device, threads=threads),
        seeds=range(1),
        data=data.value,
        timeout=timeout,
        timing_limit=limit,
    )
    records.require_writable(results)
    index = _index(index_url, extra_index_url, find_links, no_index)
    with Terminal() as reporter, interruptible():
        two = _two(requirements, base, index, results, reporter)
        if symptom and not two.new.changed(two.old):
            raise RequestError("the two environments have the same versions: nothing to search in")
        if symptom:
            found = _culprits(symptom, plan, two, threshold, probes, results, reporter)
        else:
            found = _upgraded(plan, two, threshold, results, reporter)
        findings = (Findings if symptom else Upgraded)(two.title, tuple(found), two.about)
    print(findings.title, *findings.about, sep="\n")
    if isinstance(findings, Upgraded):
        print_checked(findings.found, output())
    telling = findings.telling if isinstance(findings, Upgraded) else findings.found
    print_findings(telling, output())
    findings.write(markdown, junit)
    raise typer.Exit(1 if findings.failed else 0)  # nothing decided is no regression


def _symptom(bisect: bool, wanted: dict[str, bool]) -> Symptom | None:
    """The symptom that is searched for; None without ``--bisect``."""
    named = [Symptom(name) for name, given in wanted.items() if given]
    if bisect and len(named) == 1:
        return named[0]
    if bisect or named:
        given = " ".join(["--bisect"] * bisect + [f"--{name}" for name in named])
        raise RequestError(
            f"{given} is no search: give --bisect and one of --slower, --differs, --fails"
        )
    return None


def _index(url: str | None, extra: Sequence[str], links: Sequence[str], alone: bool) -> Index:
    pairs = [("--index-url", url)] if url else []
    pairs += [("--extra-index-url", one) for one in extra]
    pairs += [("--find-links", one) for one in links]
    words = [word for pair in pairs for word in pair]
    return Index((*words, *(["--no-index"] if alone else [])))


def _two(
    requirements: Sequence[str], base: Sequence[str], index: Index, results: Path, say: Reporter
) -> _Two:
    """Both environments. RequestError for packages or versions that there are not."""
    say.busy("asking the index what the new environment is")
    named: set[str] = set()
    new = overlay.asked(requirements, index, named)
    old = overlay.asked(base, index, named) if base else Overlay()
    environments = Environments(results / "environments", index)
    for side in (old, new):
        environments.python(side)
    return _Two(old, new, frozenset(named), index, environments)


def _upgraded(
    plan: Plan, two: _Two, threshold: float, results: Path, reporter: Reporter
) -> list[Finding]:
    old = Side("the old environment", python=two.environments.python(two.old))
    new = Side("the new environment", python=two.environments.python(two.new))
    return list(upgrading.upgrade(plan, old, new, threshold, results, reporter))


def _culprits(
    symptom: Symptom,
    plan: Plan,
    two: _Two,
    threshold: float,
    most: int,
    results: Path,
    reporter: Reporter,
) -> list[Finding]:
    """A finding on every cell until one shows the symptom, whose culprit is searched for."""
    found = []
    limits = Limits(threshold, plan.timing_limit, 1 - RISK / EXPECTED)
    for choice in plan.choices:
        source, notice = tasks.resolve(choice[0], plan.data)
        if notice:
            reporter.say(notice)
        for cell in cells(plan, choice, plan.seeds.start, source):
            place = f"{cell.task_label} in {cell.backend_label}"
            reporter.busy(f"looking whether {place} {symptom}")
            looking = Looking(
                *(symptom, cell, two.old, two.new, two.environments),
                *(plan, limits, results, reporter),
            )
            probes = Probes(looking, results / "environments" / "probes", most, reporter.say)
            finding = _culprit(place, looking, two, probes)
            found.append(finding)
            if finding.passed is False:
                return found
    return found


def _culprit(place: str, looking: Looking, two: _Two, probes: Probes) -> Finding:
    """The finding on one cell: the culprit, if it shows the symptom."""
    symptom = looking.symptom
    whole = probes(two.new, "the new environment as it is")
    if not whole.shows:
        passed = None if whole.shows is None else True
        return Finding(place, f"no symptom ({symptom})", whole.words, passed)
    looking.slowed = whole.ratio
    try:
        said = Search(two.old, two.new, two.index, probes).answer()
    except LimitReached:
        said = f"not known after {probes.made} probes; the same command goes on from there"
    count = f"{probes.made} probes" + f" and {probes.kept} from before" * bool(probes.kept)
    return Finding(place, str(symptom), f"{said} ({count})", False)
