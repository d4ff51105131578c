"""The command line, ``tetragrad``: one module for each command.

Exit codes: 0 all well; 1 the run found a failure; 2 the request was wrong; 130 interrupted.
"""

from __future__ import annotations

import importlib.metadata
from functools import partial
from typing import Annotated

import typer

from suite.cli import (
    baseline as baseline_cli,
    browse as browse_cli,
    check as check_cli,
    compare as compare_cli,
    data as data_cli,
    history as history_cli,
    listing as list_cli,
    new as new_cli,
    regress as regress_cli,
    report as report_cli,
    reproduce as reproduce_cli,
    run as run_cli,
    sync as sync_cli,
    time as time_cli,
    upgrade as upgrade_cli,
    verify as verify_cli,
)
from suite.cli.commands import Command, Commands
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
command = partial(app.command, cls=Command)
command()(run_cli.run)
command()(verify_cli.verify)
command(name="list")(list_cli.list_)
command()(list_cli.show)
command()(new_cli.new)
command()(sync_cli.sync)
command()(report_cli.report)
command()(browse_cli.browse)
app.add_typer(data_cli.app, name="data")
command()(time_cli.time)
command()(compare_cli.compare)
command()(upgrade_cli.upgrade)
command()(history_cli.history)
command()(reproduce_cli.reproduce)
command()(check_cli.check)
command()(regress_cli.regress)
app.add_typer(baseline_cli.app, name="baseline")


def main() -> None:
    """Entry point."""
    plain.prepare()
    app()
