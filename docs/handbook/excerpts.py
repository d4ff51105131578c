"""Excerpts of the source: definitions by their names, and single pieces of them.

An excerpt is named ``FILE::NAME`` or ``FILE::NAME[PIECE]``: the definition of that name, with
classes before it (``Updater.apply``), or of what it is made of, the one that begins with PIECE: a
statement, a ``case``, an entry of a dictionary.
"""

from __future__ import annotations

import ast
import functools
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from suite.show.blocks import span

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


class NotThere(LookupError):
    """Raised where a name leads to nothing, or to more than one piece."""


@dataclass(frozen=True)
class Excerpt:
    """A piece of a file: its path from the root, its first line (from 1), its text."""

    path: str
    line: int
    text: str


def excerpt(folder: str, name: str) -> Excerpt:
    """The piece that ``name`` names in a file of ``folder``; NotThere if it does not."""
    matched = re.fullmatch(r"([^:]+)::([\w.]+)(?:\[(.+)\])?", name)
    if matched is None:
        raise NotThere(f"{name} is not of the form FILE::NAME or FILE::NAME[PIECE]")
    file, dotted, piece = matched.groups()
    path = f"{folder}/{file}"
    lines, tree = _parsed(path)
    outer, *inner = dotted.split(".")
    node = _only(_defined(tree, outer), f"{outer} of {name}")
    for part in inner:
        node = _only(_defined(node, part), f"{part} of {name}")
    first, end = span(node, lines)
    if piece is not None:
        places = [(a, b) for a, b in _pieces(node) if lines[a].lstrip().startswith(piece)]
        first, end = _only(places, f"{piece!r} of {name}")
    return Excerpt(path, first + 1, textwrap.dedent("\n".join(lines[first:end])))


@functools.cache
def _parsed(path: str) -> tuple[list[str], ast.Module]:
    try:
        source = (ROOT / path).read_text(encoding="utf-8")
    except OSError:
        raise NotThere(f"{path} is not there") from None
    return source.splitlines(), ast.parse(source)


def _defined(node: ast.AST, name: str) -> list[ast.stmt]:
    """The functions, classes and variables of that name in the body of ``node``."""
    found: list[ast.stmt] = []
    for statement in getattr(node, "body", ()):
        match statement:
            case ast.FunctionDef(name=own) | ast.ClassDef(name=own) if own == name:
                found.append(statement)
            case ast.Assign(targets=[ast.Name(id=own)]) if own == name:
                found.append(statement)
            case ast.AnnAssign(target=ast.Name(id=own)) if own == name:
                found.append(statement)
    return found


def _pieces(node: ast.AST) -> Iterator[tuple[int, int]]:
    """First line (from 0) and end of all that a definition is made of."""
    for inner in ast.walk(node):
        match inner:
            case ast.match_case():
                yield inner.pattern.lineno - 1, _end(inner.body[-1])
            case ast.Dict():
                for key, value in zip(inner.keys, inner.values, strict=True):
                    if key is not None:
                        yield key.lineno - 1, _end(value)
            case ast.stmt() if inner is not node:
                yield inner.lineno - 1, _end(inner)


def _end(node: ast.expr | ast.stmt) -> int:
    assert node.end_lineno is not None  # which ast.parse gives to every node
    return node.end_lineno


def _only(found: Sequence[T], name: str) -> T:
    if len(found) != 1:
        raise NotThere(f"{name}: {len(found)} found, where one should be")
    return found[0]
