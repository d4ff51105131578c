"""``tetragrad publish``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from suite.cli.options import RESULTS, ResultsOption
from suite.records import published, record as records
from suite.report import words
from suite.show.console import errors
from tasks import paths
from tasks.task import RequestError


def publish(
    folder: Annotated[
        str, typer.Argument(help="The folder of the pages, and of the records that they show.")
    ],
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="Add these records: results folders, sessions' folders of records, or other "
            "published folders. Default: all of the results folder.",
            show_default=False,
        ),
    ] = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Make a static site of records: a page for each task and machine, to be checked by others.

    Each record lies there under the hash of its content. Exit code 1: something was refused.
    """
    from suite.report import gallery  # slow to import

    site = paths.given(folder)
    if site is None:
        raise RequestError("the folder of the pages has no name; give one, such as gallery")
    gallery.require_own(site)
    added = published.add(site, _sources(source or [], results))
    index, found = gallery.write(site)
    say = partial(errors().print, markup=False, highlight=False, soft_wrap=True, style="red")
    for refusal in (refused := (*added.refused, *found.refused)):
        say(f"refused: {refusal.file}: {refusal.reason}")
    print(
        f"{words.count(added.new, 'record')} added, {added.there} already there, "
        f"{len(refused)} refused; {len(found.published)} published"
    )
    print(index)
    raise typer.Exit(1 if refused else 0)


def _sources(wanted: list[str], results: Path) -> list[Path]:
    """The folders to add records from: those that are named, or the results if there are any."""
    if wanted:
        return [path for text in wanted if (path := paths.given(text))]
    return [results] if any(records.all_paths(results)) else []
