"""The implementations of a task, with the colours of their syntax."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Files of a task that exist, one for each backend, in the house's order."""
    found = []
    for backend, file in backends.sources(task):
        if file:
            text = file.read_text(encoding="utf-8")
            html = Markup(highlight(text, PythonLexer(), HtmlFormatter(nowrap=True)))
            path = "/".join(
                file.parts[-3:] if backends.is_house(backend, task) else file.parts[-2:]
            )
            found.append(Implementation(words.backend(backend), path, len(text.splitlines()), html))
    return found
