"""The commands ``tetragrad data fetch | verify | path | list``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

import tasks
from suite.cli.commands import example_of
from suite.show.console import output, print_fitted, table
from tasks import datasets
from tasks.datasets.sources import Source

app = typer.Typer(help="The data sets: fetch, verify, locate, list.", no_args_is_help=True)
DataSets = Annotated[list[str] | None, typer.Argument(help="Data sets. Default: all.")]


@app.command(epilog=example_of("data fetch fashion_mnist"))
def fetch(names: DataSets = None) -> None:
    """Download what is missing or damaged."""
    for source in _sources(names):
        datasets.fetch(source)
        print(f"{source.name}: complete in {datasets.data_directory() / source.name}")


@app.command(epilog=example_of("data verify"))
def verify(names: DataSets = None) -> None:
    """Check every file against its SHA-256."""
    for source in _sources(names):
        datasets.verify(source)
        print(f"{source.name}: verified")


@app.command(epilog=example_of("data path imdb"))
def path(names: DataSets = None) -> None:
    """Print where the data sets lie, or would."""
    for source in _sources(names):
        print(datasets.data_directory() / source.name)


@app.command(name="list", epilog=example_of("data list"))
def list_(names: DataSets = None) -> None:
    """Show what there is: tasks, size, whether it is here, licence, citation, addresses."""
    shown = table(f"Data sets, in {datasets.data_directory()}")
    for column in ("data set", "tasks", "MB", "here", "licence"):
        shown.add_column(column, no_wrap=True, justify="right" if column == "MB" else "left")
    sources = _sources(names)
    for source in sources:
        learning = [task for task, name in tasks.DATASETS.items() if name == source.name]
        cells = (
            *(source.name, "\n".join(learning), f"{source.size / 1e6:.1f}"),
            *("no" if datasets.missing(source) else "yes", source.licence),
        )
        shown.add_row(*map(escape, cells))
    console = output()
    print_fitted(shown, console)
    for source in sources:  # outside the table, which would break an address into pieces
        for line in (f"{source.name}: {source.citation}", *source.addresses):
            console.print(escape(line), highlight=False, soft_wrap=True)


def _sources(names: Sequence[str] | None) -> list[Source]:
    return [datasets.source(name) for name in dict.fromkeys(names or datasets.NAMES)]
