"""``tetragrad verify``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
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
    path_given,
)
from suite.records import record as records
from suite.records.events import Outcome
from suite.records.verdict import PRECISIONS
from suite.session import verification
from suite.show import verdicts as verdict_tables
from suite.show.console import output
from suite.show.progress import Terminal
from suite.system import devices
from tasks.task import Precision

LocateOption = Annotated[
    bool,
    typer.Option("--locate", help="Show the error of every operation, of backends that pass too."),
]

KeptOption = Annotated[
    Path | None,
    typer.Option(
        "--results",
        parser=path_given,
        help="Keep what is verified in this results folder: `run` and `time` need not prove it "
        "again.",
        show_default=False,
    ),
]
ProofOption = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="[PATH]",
        parser=path_given,
        help="Write one HTML page of the proof, to proof.html if no path is given.",
        show_default=False,
    ),
]


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
    locate: LocateOption = False,
    results: KeptOption = None,
    report: ProofOption = None,
) -> None:
    """Prove that every backend computes the same model as NumPy in float64.

    A task in a folder without numpy.py is compared with the backend that it names its oracle.

    Where a backend differs, the first operation that adds error is named: by the names of its
    layers, and of what tap(name, x) names. So is the cause, if a known one explains the difference.

    Without --task: every task in every variant. Exit code 1: a backend is not the same model, or
    was asked for by name and could not be tested.
    """
    chosen: Sequence[Precision] = [p.value for p in dict.fromkeys(precision)] or PRECISIONS
    choices = tasks.chosen(task or [tasks.ALL])
    searches: list[verdict_tables.Searched] = []
    watch = (lambda *found: searches.append(found)) if locate or report else None
    if results:
        records.require_writable(results)
    with Terminal() as reporter, interruptible():
        verdicts = verification.verify_all(
            choices,
            backends.chosen(backend, mode, of=choices),
            chosen,
            data.value,
            devices.parse(device),
            reporter,
            constants(option, choices),
            watch=watch,
            cache_folder=results and results / "verified",
        )
    verdict_tables.print_searches(searches if locate else [], output())
    verdict_tables.print_verdicts(verdicts, output())
    if report:
        from suite.report import proof  # slow to import

        asked = [word for word in sys.argv[1:] if word]
        proof.write(proof.Proof(verdicts, searches, shlex.join(["tetragrad", *asked])), report)
        print(report)
    named = backends.named(backend, mode, of=choices)
    ran = [v for v in verdicts if v.outcome is not Outcome.SKIPPED or (v.backend, v.mode) in named]
    raise typer.Exit(0 if ran and all(v.verified for v in ran) else 1)
