"""``tetragrad new``: a task in a folder of its own, which runs at once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from tasks import outside
from tasks.outside import FILE
from tasks.paths import because, given
from tasks.task import RequestError, nearest

BACKENDS = ("numpy", "torch", "tensorflow", "jax")
"""Those that there is a template of a model for."""


def new(
    name: Annotated[str, typer.Argument(help="The folder to write, such as ports/mine.")],
    backend: Annotated[
        list[str] | None,
        typer.Option("--backend", help="Repeatable. Default: torch and jax.", show_default=False),
    ] = None,
) -> None:
    """Write a task in a folder of its own, with a model in each backend and a test of the proof.

    It runs at once: the comments in its files say what to put in their place.
    """
    wanted = tuple(dict.fromkeys(backend or ("torch", "jax")))
    for one in wanted:
        if one not in BACKENDS:
            known = f"{nearest(one, BACKENDS)}; there are: {', '.join(BACKENDS)}"
            raise RequestError(f"there is no template for the backend {one!r}{known}")
    if len(wanted) < 2:
        raise RequestError(f"{wanted[0]} alone is compared with nothing; give --backend twice")
    folder = given(name) or Path()
    for path, text in _texts(folder, wanted).items():
        _write(folder, path, text)
    print(f"{folder}: {', '.join((FILE, *(f'{one}.py' for one in wanted)))}, tests/test_same.py")
    asked = shlex.quote(outside.shown(str(folder.resolve())))
    print(f"prove it: tetragrad verify --task {asked}")
    print(f"time it:  tetragrad time --task {asked}")


def _write(folder: Path, path: str, text: str) -> None:
    """RequestError for a folder that is there already, or cannot be written."""
    try:
        if path == FILE:
            folder.mkdir(parents=True)
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise RequestError(f"{folder} is there already; give another name, or remove it") from None
    except OSError as error:
        raise RequestError(f"{folder} cannot be written {because(error)}") from None


def _texts(folder: Path, wanted: Sequence[str]) -> dict[str, str]:
    """The files to be written, by path in the folder, the task first."""
    words = re.findall(r"[A-Za-z0-9]+", folder.name)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    oracle = (
        "    # In float64 it is held against central differences, and the others against it.\n"
        f'    oracle = "{wanted[0]}"\n'
    )
    return {
        FILE: _template(
            FILE,
            **{"class": name if name[:1].isalpha() else f"Task{name}"},
            oracle="" if "numpy" in wanted else oracle,
        ),
        **{f"{one}.py": _template(f"{one}.py") for one in wanted},
        "tests/test_same.py": _template(
            "test_same.py", backends=str(list(wanted)).replace("'", '"')
        ),
    }


def _template(name: str, **words: str) -> str:
    text = files("suite").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(words)
