"""Options of the command line: their types, and what is made of what they are given."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import backends
import tasks
from suite.records import record as records
from suite.records.cell import Conditions
from suite.show.console import errors
from suite.system import devices, environment
from suite.system.interrupts import Interrupts
from suite.tracking import tracker as tracking
from tasks import datasets, paths
from tasks.options import OPTIONS
from tasks.task import Precision, RequestError, nearest


def path_or(default: Path | None) -> Callable[[str], Path | None]:
    """Reads an option that is a path; an empty one is not given."""

    def path(text: str) -> Path | None:
        return paths.given(text) or default

    return path


path_given = path_or(None)


class Data(StrEnum):
    """Which data to use."""

    auto = "auto"
    real = "real"
    generated = "generated"


class PrecisionChoice(StrEnum):
    """Precisions that can be verified."""

    float32 = "float32"
    float64 = "float64"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


class TrainingPrecision(StrEnum):
    """Precisions that are trained and timed in."""

    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


def _tasks(incomplete: str) -> list[str]:
    """The tasks that a word of the command line may become; behind a colon, their variants."""
    name, colon, _ = incomplete.partition(":")
    known = [tasks.ALL, *tasks.names()]
    if colon and name in tasks.names():
        known = [f"{name}:{variant}" for variant in (*tasks.variants(name), tasks.ALL) if variant]
    return [word for word in known if word.startswith(incomplete)]


def _backends(incomplete: str) -> list[str]:
    """The backends that a word of the command line may become; behind a colon, their modes."""
    name, colon, _ = incomplete.partition(":")
    known = [backends.ALL, *backends.names()]
    if colon and name in backends.names():
        known = [f"{name}:{mode}" for mode in (*backends.load(name).MODES, backends.ALL)]
    return [word for word in known if word.startswith(incomplete)]


TaskOption = Annotated[
    list[str],
    typer.Option(
        "--task",
        help="task, task:variant, task:all, all, or the path of a folder with a task.py; "
        "repeatable.",
        show_default=False,
        autocompletion=_tasks,
    ),
]
BackendOption = Annotated[
    list[str],
    typer.Option(
        "--backend",
        help="backend, backend:mode, backend:all or all; repeatable. Default: every backend.",
        show_default=False,
        autocompletion=_backends,
    ),
]
ModeOption = Annotated[
    str | None, typer.Option(help="Mode of the backends that are named without one and have it.")
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
        metavar="SESSION", help="Run only the cells that this session has no good record of."
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Run on the nodes of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local:N for "
        "N nodes on this machine.",
    ),
]
RESULTS = records.RESULTS
ResultsOption = Annotated[
    Path,
    typer.Option(parser=path_or(RESULTS), help="Where records and the MLflow store lie."),
]
UriOption = Annotated[
    str | None,
    typer.Option(
        "--tracking",
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        parser=tracking.uri_given,
        help="MLflow store, or none. Default: SQLite in the results folder.",
    ),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PATIENCE",
        help="Stop after so many epochs without a lower validation metric; keep the best.",
    ),
]


def _data(context: typer.Context, parameter: typer.CallbackParam, value: Data) -> Data:
    """The data to use: real ones if the user names a folder of data and chooses none."""
    source = context.get_parameter_source(parameter.name)
    unasked = source is None or source.name == "DEFAULT"
    return Data.real if unasked and paths.from_variable(datasets.DIRECTORY) else value


DataOption = Annotated[
    Data,
    typer.Option(
        callback=_data,
        help="auto: real if present or downloadable, else a generated stand-in, labelled. "
        "Where TETRAGRAD_DATA is set, real is the default.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help=f"Where to compute: {devices.KNOWN}, which is cuda for the backends that have it.",
    ),
]
PrecisionOption = Annotated[
    TrainingPrecision,
    typer.Option(help="Precision of the factors of products; all else is float32."),
]
ProfileOption = Annotated[
    str, typer.Option(help=f"How much to train: {', '.join(tasks.PROFILES)}.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Threads of every backend.")]
ConstantsOption = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME=VALUE", help="Set an option of a task; repeatable."),
]
BatchScalesOption = Annotated[
    list[int],
    typer.Option(
        "--batch-scale",
        min=1,
        help="Batches so many times as large: for throughput alone; repeatable. Default: 1.",
        show_default=False,
    ),
]
MarkdownOption = Annotated[
    Path | None, typer.Option(parser=path_given, help="File for the findings as Markdown.")
]
JUnitOption = Annotated[
    Path | None, typer.Option(parser=path_given, help="File for the findings as JUnit XML.")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds that a cell may take.")]
TimingLimitOption = Annotated[
    float,
    typer.Option(min=0, help="Seconds added for a task, at most, to know speed ratios to 2%."),
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        metavar="BACKEND",
        help="backend or backend:mode that speeds are a multiple of. Default: NumPy.",
        show_default=False,
    ),
]
BASELINES = RESULTS / "baselines"
BaselinesOption = Annotated[
    Path,
    typer.Option("--baselines", parser=path_or(BASELINES), help="Where baselines lie."),
]
RecordsOption = Annotated[
    str | None,
    typer.Option(
        "--records",
        metavar="SESSION",
        help="Take the records of this session of `run` (latest: the last one) and run only the "
        "cells that it has no record of, made with this commit, data, environment and machine.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def _options_like(name: str) -> str:
    """The option that was meant, perhaps, and all there are."""
    known = "; ".join(f"{task}: {', '.join(has)}" for task, has in OPTIONS.items())
    names = [option for has in OPTIONS.values() for option in has]
    meant = f"; give {name}=VALUE" if name in names else nearest(name, names)
    return f"{meant}; options are: {known}"


def constants(
    wanted: Sequence[str], choices: Sequence[tasks.Choice], profile: str = "full"
) -> dict[str, str]:
    """The options that ``--set`` gives, by name. RequestError for a wrong one."""
    found = {}
    for one in wanted:
        # a text means the same, and names the same cell, in whichever form a keyboard gives it
        name, equals, found[name] = unicodedata.normalize("NFC", one).partition("=")
        owners = [task for task, variant in choices if name in tasks.options_of(task, variant)]
        if not equals or not owners:
            raise RequestError(f"--set {one} is no option of what is run{_options_like(name)}")
        for task in owners:
            tasks.config(task, profile, options={name: found[name]})
    return found


def conditions(
    profile: str, device: str = devices.CPU, precision: Precision = "float32", **others: Any
) -> Conditions:
    """The conditions that options ask for. RequestError for an unknown profile or device."""
    (known,) = chosen([profile], tasks.PROFILES, "profile")
    place = devices.parse(device)
    return Conditions(profile=known, device=place, precision=precision, **others)


def batch_scales(
    wanted: Sequence[int], choices: Sequence[tasks.Choice], profile: str
) -> tuple[int, ...]:
    """How many times as large batches are to be, one after the other.

    RequestError where those of a task cannot be.
    """
    for scale in wanted:
        for task, variant in choices:
            tasks.config(task, profile, variant, Conditions().at_batch_scale(scale).options)
    return tuple(dict.fromkeys(wanted)) or (1,)


def chosen(wanted: list[str], known: tuple[str, ...], kind: str) -> tuple[str, ...]:
    for name in wanted:
        if name not in known:
            like = nearest(name, known)
            raise RequestError(f"there is no {kind} {name!r}{like}; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(wanted)) or known


def contestants(
    backend: Sequence[str],
    mode: str | None,
    choices: Sequence[tasks.Choice],
    repeated: bool = False,
) -> dict[str, Any]:
    """Returns the ``backends`` of a plan for these tasks, and those ``named``."""
    return {
        "backends": backends.chosen(backend, mode, repeated, of=choices),
        "named": backends.named(backend, mode, of=choices),
    }


def base(wanted: str | None, among: Sequence[backends.Choice]) -> str | None:
    """The label of the one that ``--base`` names; RequestError if it is not among them."""
    if wanted is None:
        return None
    (found, *_) = backends.choices(wanted)
    if found not in among:
        there = ", ".join(dict.fromkeys(":".join(choice) for choice in among))
        raise RequestError(f"--base {wanted} is not among what is timed; there are: {there}")
    return ":".join(found)


def one_device(wanted: str) -> str:
    """The device that baselines are of. RequestError for what is none, or may be several."""
    if devices.parse(wanted) == devices.AUTO:
        raise RequestError("--device auto may be another one for each backend; give cpu or cuda")
    return wanted


def require_possible(threads: int, timeout: float) -> None:
    environment.require_cpus(threads)
    if timeout <= 0:
        raise RequestError(f"--timeout {timeout:g} leaves no time; give more than 0 seconds")


INTERRUPTED = 130


@contextmanager
def answered() -> Iterator[None]:
    """Ctrl-C says that the command stops, since that may take a while; then KeyboardInterrupt."""
    say = partial(errors().print, markup=False, highlight=False, soft_wrap=True)
    with Interrupts(say) as interrupts, interrupts.raised():
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C, or SIGTERM, is answered at once and ends the command without a traceback."""
    try:
        with answered():
            yield
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
