"""Pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells may hold any text on one line."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(text: str) -> str:
    """The text on one line, with bars that do not end the cell: in code, none does."""
    plain_and_code = text.split("`")
    plain_and_code[::2] = [part.replace("|", r"\|") for part in plain_and_code[::2]]
    return " ".join("`".join(plain_and_code).split())


def code(text: str) -> str:
    """The text as code; nothing where there is none."""
    return f"`{text}`" if text else ""


def prose(docstring: str) -> str:
    """A docstring as Markdown: names in double backticks become code."""
    return re.sub(r"``(.+?)``", r"`\1`", docstring)
