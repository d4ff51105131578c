"""The command line, ``tetragrad``: one module for each command.

Exit codes: 0 all well; 1 the run found a failure; 2 the request was wrong; 130 interrupted.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from suite.cli import (
    baseline as baseline_cli,
)
from suite.cli import (
    browse as browse_cli,
)
from suite.cli import (
    check as check_cli,
)
from suite.cli import (
    compare as compare_cli,
)
from suite.cli import (
    data as data_cli,
)
from suite.cli import history as history_cli
from suite.cli import (
    listing as list_cli,
)
from suite.cli import (
    regress as regress_cli,
)
from suite.cli import (
    report as report_cli,
)
from suite.cli import (
    reproduce as reproduce_cli,
)
from suite.cli import (
    run as run_cli,
)
from suite.cli import (
    sync as sync_cli,
)
from suite.cli import (
    time as time_cli,
)
from suite.cli import (
    verify as verify_cli,
)
from tasks.task import RequestError

app = typer.Typer(
    help="Benchmarks four gradients of one model: NumPy, PyTorch, TensorFlow, JAX.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(run_cli.run)
app.command()(verify_cli.verify)
app.command(name="list")(list_cli.list_)
app.command()(list_cli.show)
app.command()(sync_cli.sync)
app.command()(report_cli.report)
app.command()(browse_cli.browse)
app.add_typer(data_cli.app, name="data")
app.command()(time_cli.time)
app.command()(compare_cli.compare)
app.command()(history_cli.history)
app.command()(reproduce_cli.reproduce)
app.command()(check_cli.check)
app.command()(regress_cli.regress)
app.add_typer(baseline_cli.app, name="baseline")


def main() -> None:
    """Entry point: a request that cannot be met is one line on standard error and exit code 2."""
    try:
        app()
    except RequestError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
