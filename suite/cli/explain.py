"""``tetragrad explain``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import tasks
from suite.cli import options
from suite.cli.options import (
    RESULTS,
    ConstantsOption,
    Data,
    DataOption,
    DeviceOption,
    JsonOption,
    ProfileOption,
    ResultsOption,
    ThreadsOption,
    TimeoutOption,
    path_given,
)
from suite.records import record as records
from suite.session.explain import Explainer
from suite.session.plan import Plan
from suite.session.preparation import Preparation
from suite.session.switches import NAMES
from suite.show.console import output
from suite.show.explanation import document, print_explanation
from suite.show.progress import Terminal
from suite.system import devices
from tasks.task import RequestError


def explain(
    task: Annotated[str, typer.Argument(help="task, task:variant, or the path of a folder.")],
    a: Annotated[str, typer.Argument(help="backend or backend:mode whose speed is in question.")],
    b: Annotated[str, typer.Argument(help="backend or backend:mode that it is compared with.")],
    switch: Annotated[
        list[str],
        typer.Option(help=f"Flip this alone; repeatable: {', '.join(NAMES)}. Default: all."),
    ] = [],  # noqa: B006  (typer copies it)
    device: DeviceOption = devices.CPU,
    profile: ProfileOption = "quick",
    threads: ThreadsOption = 1,
    data: DataOption = Data.auto,
    option: ConstantsOption = [],  # noqa: B006
    limit: Annotated[
        float, typer.Option(min=0, help="Seconds for the switches, and for the phases, at most.")
    ] = 60,
    timeout: TimeoutOption = 3600,
    results: ResultsOption = RESULTS,
    as_json: JsonOption = False,
    page: Annotated[
        Path | None, typer.Option(parser=path_given, help="File for the explanation as HTML.")
    ] = None,
) -> None:
    """Explain why A is faster than B, or slower: by switches flipped alone and by phases of a step.

    Every flip is timed in turns with A and B as they stand. A factor says how much of the ratio of
    their speeds a switch stands for, and the last line what no switch explains.
    """
    options.require_possible(threads, timeout)
    choices = tasks.chosen([task])
    contestants = options.contestants([a, b], None, choices, repeated=True)
    if len(choices) != 1 or len(contestants["backends"]) != 2:
        raise RequestError(f"explain {task} {a} {b}: it takes one task, one A and one B; name each")
    plan = Plan(
        choices=choices,
        **contestants,
        conditions=options.conditions(
            *(profile, device),
            threads=threads,
            options=options.constants(option, choices, profile),
        ),
        seeds=range(1),
        data=data.value,
        timeout=timeout,
        timing_limit=limit,
    )
    wanted = options.chosen(switch, NAMES, "switch")
    records.require_writable(results)
    with Terminal() as reporter, options.interruptible():
        preparation = Preparation(plan, results, reporter)
        found = Explainer(plan, preparation, reporter.busy).explain(wanted)
    if as_json:
        print(json.dumps(document(found), indent=1))
    else:
        print_explanation(found, output())
    if page:
        from suite.report import explanation  # slow to import

        explanation.write(found, page)
