"""``tetragrad baseline update``."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import backends
import tasks
from suite.cli import options
from suite.cli.check import SMOKE, cells_in, finished_in, sources
from suite.cli.commands import Command, example_of
from suite.cli.options import (
    BASELINES,
    RESULTS,
    BackendOption,
    BaselinesOption,
    Data,
    DataOption,
    DeviceOption,
    ModeOption,
    ProfileOption,
    RecordsOption,
    ResultsOption,
    TaskOption,
    TimeoutOption,
    interruptible,
)
from suite.records import baseline as baselines
from suite.session import check as checking
from suite.session.check import Result
from suite.show.console import errors
from suite.show.progress import Terminal
from suite.system import devices

app = typer.Typer(help="Reference results for `check`.", no_args_is_help=True)


@app.command(cls=Command, epilog=example_of("baseline update --task fashion_mlp --seeds 5"))
def update(
    task: TaskOption = [],  # noqa: B006
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    device: DeviceOption = devices.CPU,
    profile: ProfileOption = SMOKE,
    data: DataOption = Data.auto,
    seeds: Annotated[
        int, typer.Option(min=baselines.LEAST_SEEDS, help="How many seeds, of every backend.")
    ] = baselines.LEAST_SEEDS,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    recorded: RecordsOption = None,
    timeout: TimeoutOption = 3600,
    folder: BaselinesOption = BASELINES,
    results: ResultsOption = RESULTS,
) -> None:
    """Make new baselines, if every run is verified and ends well.

    Without --task: every task, in its default variant.
    """
    options.chosen([profile], tasks.PROFILES, "profile")
    place = options.one_device(device)
    choices = tasks.chosen(task or tasks.names())
    chosen = backends.chosen(backend, mode, of=choices)
    range_ = range(first_seed, first_seed + seeds)
    bad: list[str] = []
    with Terminal() as reporter, interruptible():
        used = sources(choices, data, reporter)
        plans = [checking.planned(c, chosen, profile, used[c[0]], range_, place) for c in choices]
        finished = finished_in(results, recorded)
        if finished:  # which then says how many of them it has
            for cell in itertools.chain.from_iterable(plans):
                finished.of(cell)
        cells = cells_in(results, timeout, reporter, finished)
        for wanted in plans:
            bad += _update(folder, cells.run(wanted), range_)
    for why in bad:
        errors().print(escape(f"no baseline: {why}"), style="red", soft_wrap=True)
    raise typer.Exit(1 if bad else 0)


def _update(folder: Path, found: Sequence[Result], seeds: range) -> list[str]:
    """Writes the baseline that these make, or says why they make none."""
    if bad := [why for result in found if (why := checking.why_not(result))]:
        return bad
    cell = found[0].record.cell
    names = dict.fromkeys(result.record.cell.backend_label for result in found)
    command = (
        f"tetragrad baseline update --task {shlex.quote(cell.task_label)} --profile {cell.profile} "
        f"--data {cell.data} --seeds {len(seeds)} --first-seed {seeds.start}"
        f"{'' if cell.device == devices.CPU else f' --device {cell.device}'}"
        f"{''.join(f' --backend {name}' for name in names)}"
    )
    made = baselines.baseline_of([result.record for result in found], command)
    print(f"{baselines.write(folder, made)}: {len(made.runs)} runs")
    return []
