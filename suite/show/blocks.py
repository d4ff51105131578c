"""The parts of an implementation that have the same names in every backend, without its imports."""

from __future__ import annotations

import ast
from collections.abc import Sequence

MODEL, BACKWARD = "model", "backward"
BLOCKS = (MODEL, "forward", "loss", BACKWARD, "build")
"""In the order in which they are shown; the model is all that has no name of its own here."""
ELSEWHERE = "# backward: see its own block"


def blocks(source: str) -> dict[str, str]:
    """The text of each block that a module has.

    ``backward`` is the function of that name within ``loss``, where a gradient is by hand.
    """
    lines = source.splitlines()
    found: dict[str, list[str]] = {}
    for number, node in enumerate(ast.parse(source).body):
        first, last = span(node, lines)
        if isinstance(node, ast.Import | ast.ImportFrom):
            taken = {alias.asname or alias.name for alias in node.names} & {*BLOCKS}
            found |= dict.fromkeys(taken, lines[first:last])  # a block of another file
            continue
        if number == 0 and _is_text(node):
            continue
        name = getattr(node, "name", MODEL)
        own = lines[first:last]
        if name == "loss" and (inner := _backward(node)):
            start, end = span(inner, lines)
            found[BACKWARD] = [line[inner.col_offset :] for line in lines[start:end]]
            marker = " " * inner.col_offset + ELSEWHERE
            own = [*lines[first:start], marker, *lines[end:last]]
        block = found.setdefault(name if name in BLOCKS else MODEL, [])
        block += own if not block or _is_text(node) else ["", "", *own]
    return {name: "\n".join(found[name]) for name in BLOCKS if name in found}


def _is_text(node: ast.stmt) -> bool:
    """Tells if a statement is a text: the module's docstring, or that of what stands above."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _backward(node: ast.stmt) -> ast.FunctionDef | None:
    functions = (n for n in ast.walk(node) if isinstance(n, ast.FunctionDef))
    return next((function for function in functions if function.name == BACKWARD), None)


def span(node: ast.stmt, lines: Sequence[str]) -> tuple[int, int]:
    """The lines of a definition, with its decorators and the comments above: first and end."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(d.lineno for d in decorators)]) - 1
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    assert node.end_lineno is not None  # which ast.parse gives to every statement
    return first, node.end_lineno
