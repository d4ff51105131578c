"""Notebooks, run without Jupyter. ``python -m tests.notebooks`` keeps what they print in them.

A cell that needs a framework is tagged with its backend.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import backends
from docs.handbook import notebooks


def run(path: Path, frameworks: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], str]]:
    """Runs the cells of code that need none of the other frameworks: each with what it printed."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(notebooks.cells(path)):
        needed = set(cell["metadata"].get("tags", ())) & set(backends.NAMES)
        if cell["cell_type"] != "code" or not needed <= set(frameworks):
            continue
        source, name = "".join(cell["source"]), f"{path.name}[{number}]"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(source, name, "exec"), names)  # Jupyter does no other thing with it
        yield cell, shown.getvalue()


def differing(backend: str, path: Path) -> list[tuple[str, str]]:
    """Texts that cells have kept and print in the process of one framework, where they differ."""
    pairs = ((notebooks.printed(cell), text) for cell, text in run(path, ("numpy", backend)))
    return [(kept, text) for kept, text in pairs if kept != text]


def main() -> None:
    """Runs every notebook whole and keeps what its cells print."""
    for path in sorted(notebooks.FOLDER.glob("*.ipynb")):
        document = json.loads(path.read_text(encoding="utf-8"))
        texts = iter([text for _, text in run(path, backends.NAMES)])
        for cell in document["cells"]:
            if cell["cell_type"] == "code":
                lines = next(texts).splitlines(keepends=True)
                stream = {"name": "stdout", "output_type": "stream", "text": lines}
                cell["outputs"] = [stream] if lines else []
        text = json.dumps(document, indent=1, ensure_ascii=False)
        path.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
