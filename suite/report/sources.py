"""The four implementations of a task, with the colours of their syntax."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import backends
from suite.report import words


@dataclass(frozen=True)
class Implementation:
    """A file and its text as HTML that is safe to insert."""

    name: str
    path: str
    lines: int
    html: Markup


def implementations(task: str) -> list[Implementation]:
    """Implementations ``backends/<backend>/<task>.py`` that exist, in the house's order."""
    root = Path(backends.__file__).parent
    found = []
    for backend in backends.NAMES:
        file = root / backend / f"{task}.py"
        if Path(task).name == task and file.is_file():
            text = file.read_text(encoding="utf-8")
            html = Markup(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True)))
            path = f"backends/{backend}/{task}.py"
            found.append(Implementation(words.backend(backend), path, len(text.splitlines()), html))
    return found
