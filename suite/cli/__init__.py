"""The command line, ``tetragrad``: one module for each command.

Exit codes: 0 all well; 1 the run found a failure; 2 the request was wrong; 130 interrupted.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from suite.cli import (
    baseline as baseline_cli,
    browse as browse_cli,
    check as check_cli,
    compare as compare_cli,
    data as data_cli,
    explain as explain_cli,
    history as history_cli,
    listing as list_cli,
    new as new_cli,
    publish as publish_cli,
    regress as regress_cli,
    report as report_cli,
    reproduce as reproduce_cli,
    run as run_cli,
    sync as sync_cli,
    time as time_cli,
    tune as tune_cli,
    upgrade as upgrade_cli,
    verify as verify_cli,
)
from suite.cli.commands import Command, Commands, example_of
from suite.show import plain


def _version(wanted: bool) -> None:
    if wanted:
        try:
            print(f"tetragrad {importlib.metadata.version('tetragrad')}")
        except importlib.metadata.PackageNotFoundError:
            print("tetragrad, from a folder of its source: it is not installed")
        raise typer.Exit


def _before_every_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Takes the options that are no command's own."""


app = typer.Typer(
    cls=Commands,
    callback=_before_every_command,
    help="Benchmarks four gradients of one model: NumPy, PyTorch, TensorFlow, JAX.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_Function = TypeVar("_Function", bound=Callable[..., None])


def _add(purpose: str, example: str, name: str | None = None) -> Callable[[_Function], _Function]:
    """Registers a function as a command, below its ``purpose`` in the list of commands."""
    return app.command(name, cls=Command, rich_help_panel=purpose, epilog=example_of(example))


MEASURE, PROVE, GUARD, LOOK, DATA = "Measure", "Prove", "Guard", "Look", "Data and records"
"""Purposes of the commands, in the order in which they are listed."""

_add(MEASURE, "run --task fashion_mlp --backend numpy --backend jax")(run_cli.run)
_add(MEASURE, "time --task lstm --backend torch:all --limit 30")(time_cli.time)
_add(MEASURE, "tune fashion_mlp --search random --trials 12")(tune_cli.tune)
_add(MEASURE, "explain fashion_mlp jax torch --limit 30")(explain_cli.explain)
_add(PROVE, "verify --task transformer --backend torch")(verify_cli.verify)
_add(PROVE, "new ports/mine --backend torch --backend jax")(new_cli.new)
_add(PROVE, "reproduce results/records/SESSION/CELL.json")(reproduce_cli.reproduce)
_add(GUARD, "check --task fashion_mlp --backend numpy")(check_cli.check)
_add(GUARD, "compare HEAD~1 --task fashion_mlp --backend torch")(compare_cli.compare)
_add(GUARD, "regress --task fashion_mlp --limit 10")(regress_cli.regress)
_add(GUARD, "upgrade 'jax==0.10.1' --task lstm --backend jax")(upgrade_cli.upgrade)
app.add_typer(baseline_cli.app, name="baseline", rich_help_panel=GUARD)
_add(LOOK, "list --json", "list")(list_cli.list_)
_add(LOOK, "show lstm --backend numpy --backend jax")(list_cli.show)
_add(LOOK, "report --output page")(report_cli.report)
_add(LOOK, "publish gallery")(publish_cli.publish)
_add(LOOK, "history fashion_mlp --metric test_accuracy")(history_cli.history)
_add(LOOK, "browse --port 5001")(browse_cli.browse)
app.add_typer(data_cli.app, name="data", rich_help_panel=DATA)
_add(DATA, "sync ../other-machine/results")(sync_cli.sync)


def main() -> None:
    """Entry point."""
    plain.prepare()
    app(prog_name="tetragrad")
