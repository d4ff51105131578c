"""``tetragrad compare``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    path_given,
)
from suite.records import record as records
from suite.records.findings import Finding, Findings
from suite.session import compare as comparison
from suite.session.compare import THRESHOLD
from suite.session.first_slower import first_slower
from suite.session.plan import Plan
from suite.session.preparation import Preparation
from suite.session.reporter import Reporter
from suite.show.console import output
from suite.show.findings import print_findings
from suite.show.progress import Terminal
from suite.system import devices, revisions
from suite.system.revisions import HERE, Side
from tasks.task import RequestError

BaseRevision = Annotated[
    str | None, typer.Argument(help="Git revision to compare with.", show_default=False)
]
HeadRevision = Annotated[
    str | None,
    typer.Argument(help="Git revision that is new. Default: the working tree.", show_default=False),
]
BasePython = Annotated[
    Path | None,
    typer.Option(
        parser=path_given,
        help="Python of the base's environment; its source is the same if no BASE is named.",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(min=0.001, max=0.9, help="Largest difference that counts as the same speed."),
]


def compare(
    base: BaseRevision = None,
    head: HeadRevision = None,
    base_python: BasePython = None,
    task: TaskOption = [],  # noqa: B006  (typer copies it)
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    device: DeviceOption = devices.CPU,
    profile: ProfileOption = "quick",
    threads: ThreadsOption = 1,
    data: DataOption = Data.auto,
    threshold: Threshold = THRESHOLD,
    limit: Annotated[
        float, typer.Option(min=0, help="Seconds for each task and backend, at most.")
    ] = 30,
    timeout: TimeoutOption = 3600,
    results: ResultsOption = RESULTS,
    markdown: MarkdownOption = None,
    junit: JUnitOption = None,
    bisect: Annotated[
        bool,
        typer.Option("--bisect", help="Find the commit from BASE to HEAD that made it slower."),
    ] = False,
) -> None:
    """Compare the speed of the working tree with a revision or another environment.

    Both are timed in turns. Exit code 1: one is slower, its whole interval beyond the threshold.
    """
    options.require_possible(threads, timeout)
    if bisect and (base is None or base_python):
        raise RequestError("--bisect is for two revisions: name BASE and HEAD, no --base-python")
    commits = revisions.between(base, head or "HEAD") if bisect and base else []
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
    with Terminal() as reporter, _sides(base, head, base_python) as (old, new):
        found = _compared(plan, old, new, threshold, results, reporter)
        if bisect:

            def one(side: Side, name: str) -> Finding:
                asked = comparison.alone(plan, name)
                return _compared(asked, old, side, threshold, results, reporter)[0]

            found = first_slower(commits, found, one, reporter.say)
    findings = Findings(f"{new.name} compared with {old.name}", tuple(found))
    print(findings.title)
    print_findings(findings.found, output())
    findings.write(markdown, junit)
    raise typer.Exit(1 if findings.failed else 0)  # nothing decided is no regression


def _compared(
    plan: Plan, old: Side, new: Side, threshold: float, results: Path, reporter: Reporter
) -> list[Finding]:
    preparation = Preparation(plan, results, reporter, new)
    return comparison.compare(plan, old, new, threshold, preparation, reporter.busy)


@contextmanager
def _sides(
    base: str | None, head: str | None, base_python: Path | None
) -> Iterator[tuple[Side, Side]]:
    """The two sides, for as long as the block lasts."""
    if base is None and base_python is None:
        raise RequestError("nothing to compare with: name a BASE revision or give --base-python")
    if base_python and not base_python.is_file():
        raise RequestError(f"--base-python {base_python} is no program")
    with ExitStack() as stack:
        new = HERE
        if head is not None:
            tree = stack.enter_context(revisions.checked_out(head))
            new = Side(revisions.short(head), tree)
        old = Side(f"{new.name} in another environment", new.tree)
        if base is not None:
            tree = stack.enter_context(revisions.checked_out(base))
            old = Side(revisions.short(base), tree)
        if base_python:
            old = Side(old.name, old.tree, str(base_python))
        yield old, new
