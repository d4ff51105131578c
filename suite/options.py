"""Types of options of the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import tasks


class Data(StrEnum):
    """Which data to use."""

    auto = "auto"
    real = "real"
    generated = "generated"


DataOption = Annotated[
    Data,
    typer.Option(
        help="auto: real if present or downloadable, else a generated stand-in, labelled."
    ),
]
RESULTS = Path("results")
"""Where they lie unless told."""

TaskOption = Annotated[
    list[str],
    typer.Option(
        "--task",
        help="task, task:variant, task:all or all; repeatable.",
        show_default=False,
    ),
]
BackendOption = Annotated[
    list[str],
    typer.Option(
        "--backend",
        help="backend, backend:mode, backend:all or all; repeatable. Default: every backend.",
        show_default=False,
    ),
]
ModeOption = Annotated[
    str | None, typer.Option(help="Mode of the backends that have it and are named without one.")
]
MemoryOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory of a worker, such as 512M or 4G. Default: no limit."),
]
CheckpointOption = Annotated[
    float,
    typer.Option(min=0, help="Seconds of training between checkpoints of a cell; 0: none."),
]
ResumeOption = Annotated[
    str | None,
    typer.Option(
        metavar="SESSION", help="Run only what this session has no good record of, as it was asked."
    ),
]
ResultsOption = Annotated[Path, typer.Option(help="Where records and the MLflow store lie.")]
UriOption = Annotated[
    str | None,
    typer.Option(
        "--tracking",
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        help="MLflow store, or none. Default: SQLite in the results folder.",
    ),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PATIENCE",
        help="End after so many epochs without a lower validation metric; keep the best.",
    ),
]
ProfileOption = Annotated[
    str, typer.Option(help=f"How much to train: {', '.join(tasks.PROFILES)}.")
]
BASELINES = RESULTS / "baselines"
BaselinesOption = Annotated[Path, typer.Option("--baselines", help="Where baselines lie.")]
TimeoutOption = Annotated[float, typer.Option(help="Seconds that a cell may take.")]
