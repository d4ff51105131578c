"""``tetragrad new``: a task in a folder of its own, which runs at once."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

import backends
from tasks import outside
from tasks.outside import FILE
from tasks.paths import because, given
from tasks.task import RequestError, nearest

MODEL = "fashion_mlp"
"""The house's task whose files a new folder's begin as."""
TEACHING = {
    "numpy": """The model in NumPy, its gradients by hand: it is the oracle then.

loss returns the loss, the new buffers and the way back, from a cotangent to all gradients.
backends/numpy/layers.py has layers in pairs, each with its derivative.
""",
    "torch": """The model in PyTorch. Put your own module in build, and its loss in loss.

A layer's path and its parameters make the names: hidden=nn.Linear(...) has hidden.kernel, (in,
out), and hidden.bias; a layer that backends/torch/layers.py does not know keeps its own: path.name.
The engine trains it by task.optimizer, in every precision and mode. No line here names a device.
""",
    "tensorflow": """The model in TensorFlow. Put your own Keras model in build, its loss in loss.

The layers' names make those of the parameters: name="hidden" has hidden.kernel and hidden.bias.
""",
    "jax": """The model in JAX: pure functions of the parameters by name. Put your own in them.

key is for dropout, None where there is none. The engine jits, scans and differentiates.
""",
}


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
        if one not in TEACHING:
            known = f"{nearest(one, TEACHING)}; there are: {', '.join(TEACHING)}"
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
        **{f"{one}.py": _model(one) for one in wanted},
        "tests/test_same.py": _template(
            "test_same.py", backends=str(list(wanted)).replace("'", '"')
        ),
    }


def _template(name: str, **words: str) -> str:
    text = files("suite").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(words)


def _model(backend: str) -> str:
    """The house's file with what teaches in place of its first words."""
    file = backends.source(backend, MODEL)
    assert file
    text = file.read_text(encoding="utf-8")
    first = ast.parse(text).body[0]
    rest = text.splitlines(keepends=True)[first.end_lineno :]
    return f'"""{TEACHING[backend]}"""\n' + "".join(rest)
