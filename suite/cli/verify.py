"""``tetragrad verify``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import backends
import tasks
from suite.cli.options import (
    BackendOption,
    ConstantsOption,
    Data,
    DataOption,
    DeviceOption,
    ModeOption,
    PrecisionChoice,
    TaskOption,
    constants,
    interruptible,
)
from suite.records.events import Outcome
from suite.records.verdict import PRECISIONS
from suite.session import verification
from suite.show import verdicts as verdict_tables
from suite.show.console import output
from suite.show.progress import Terminal
from suite.system import devices
from tasks.task import Precision


def verify(
    task: TaskOption = [],  # noqa: B006
    backend: BackendOption = [],  # noqa: B006
    mode: ModeOption = None,
    precision: Annotated[
        list[PrecisionChoice],
        typer.Option(help="Repeatable. Default: float32 and float64.", show_default=False),
    ] = [],  # noqa: B006
    data: DataOption = Data.auto,
    device: DeviceOption = devices.CPU,
    option: ConstantsOption = [],  # noqa: B006
    locate: Annotated[
        bool,
        typer.Option(
            "--locate", help="Show the error of every operation, of backends that pass too."
        ),
    ] = False,
) -> None:
    """Prove that every backend computes the same model as NumPy in float64.

    Of a task in a folder: as the backend that it names its oracle, if it has no numpy.py.

    Where one does not, the first operation that adds error is named: by the names of its layers,
    and of what tap(name, x) names.

    Without --task: every task in every variant. Exit code 1: one is not, or could not be tested
    though it was asked for by name.
    """
    chosen: Sequence[Precision] = [p.value for p in dict.fromkeys(precision)] or PRECISIONS
    choices = tasks.chosen(task or [tasks.ALL])
    searches: list[verdict_tables.Searched] = []
    watch = (lambda *found: searches.append(found)) if locate else None
    with Terminal() as reporter, interruptible():
        verdicts = verification.verify_all(
            choices,
            backends.chosen(backend, mode, of=choices),
            chosen,
            data.value,
            devices.parse(device),
            reporter,
            constants(option, choices),
            watch,
        )
    verdict_tables.print_searches(searches, output())
    verdict_tables.print_verdicts(verdicts, output())
    named = backends.named(backend, mode, of=choices)
    ran = [v for v in verdicts if v.outcome is not Outcome.SKIPPED or (v.backend, v.mode) in named]
    raise typer.Exit(0 if ran and all(v.verified for v in ran) else 1)
