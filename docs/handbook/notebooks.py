"""Notebooks of `docs/notebooks` as pages: their texts, their code, and what it printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "notebooks"


def cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook, as Jupyter keeps them."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def printed(cell: dict[str, Any]) -> str:
    """The text that a cell has kept of what it printed."""
    return "".join("".join(output["text"]) for output in cell["outputs"])


def pages() -> dict[str, str]:
    """Every notebook as a page, by the page's path."""
    return {f"notebooks/{path.stem}.md": _page(path) for path in sorted(FOLDER.glob("*.ipynb"))}


def _page(path: Path) -> str:
    heading, *rest = _parts(path)
    link = f"This page is a notebook: [{path.name}]({path.name}). The tests run it."
    return "\n\n".join((heading, link, *rest)) + "\n"


def _parts(path: Path) -> Iterator[str]:
    for cell in cells(path):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
        else:
            yield f"```python\n{source}\n```"
            if text := printed(cell):
                yield f"```text\n{text.rstrip()}\n```"
