"""``tetragrad time``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import tasks
from suite.cli import options
from suite.cli.options import (
    RESULTS,
    BackendOption,
    BaseOption,
    BatchScalesOption,
    ConstantsOption,
    Data,
    DataOption,
    DeviceOption,
    JsonOption,
    MemoryOption,
    ModeOption,
    PrecisionOption,
    ProfileOption,
    ResultsOption,
    TaskOption,
    ThreadsOption,
    TimeoutOption,
    TrainingPrecision,
)
from suite.records import record as records
from suite.session.plan import Plan
from suite.session.stopwatch import Stopwatch
from suite.show.console import output
from suite.show.progress import Terminal
from suite.show.timings import document, print_timings
from suite.system import devices, memory


def time(
    task: TaskOption = [],  # noqa: B006  (typer copies it)
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    device: DeviceOption = devices.CPU,
    precision: PrecisionOption = TrainingPrecision.float32,
    profile: ProfileOption = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Of the model, the data and the turns.")] = 0,
    threads: ThreadsOption = 1,
    data: DataOption = Data.auto,
    option: ConstantsOption = [],  # noqa: B006
    batch_scale: BatchScalesOption = [],  # noqa: B006
    base: BaseOption = None,
    limit: Annotated[
        float, typer.Option(min=0, help="Seconds for a task, at most, to know ratios to 2%.")
    ] = 60,
    timeout: TimeoutOption = 3600,
    memory_limit: MemoryOption = None,
    results: ResultsOption = RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Time backends in turns, after verifying them, without training to the end.

    A backend that is given twice is timed as two: their difference is the clock's error.
    """
    options.require_possible(threads, timeout)
    choices = tasks.chosen(task or tasks.names())
    asked = options.contestants(backend, mode, choices, repeated=True)
    plan = Plan(
        choices=choices,
        **asked,
        conditions=options.conditions(
            *(profile, device, precision.value),
            threads=threads,
            options=options.constants(option, choices, profile),
        ),
        seeds=range(seed, seed + 1),
        data=data.value,
        timeout=timeout,
        timing_limit=limit,
        base=options.base(base, asked["backends"]),
        memory_limit=memory.parse(memory_limit),
    )
    scales = options.batch_scales(batch_scale, choices, plan.conditions.profile)
    records.require_writable(results)
    with Terminal() as reporter:
        watch = Stopwatch(plan, results, reporter, scales)
        try:
            with options.answered():
                watch.run()
        except KeyboardInterrupt:
            watch.interrupted = True
        except records.NotWritten as error:
            reporter.say(f"{error}: it cannot be written; make room, or give another --results")
            watch.not_written = True
    if as_json:
        print(json.dumps(document(watch), indent=1))
    else:
        print_timings(watch, output())
    raise typer.Exit(watch.exit_code)
