"""The catalogue of differences between frameworks, from the mistakes that tests plant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import backends
from docs.handbook.markdown import code, table
from tests.mutants.mutant import Mutant
from tests.mutants.table import TABLE

HEAD = """# Differences between frameworks

When a model moves from one framework to another, these are the mistakes that people make.
Most come from a default that differs, or from a habit of one framework.
The list is useful without this program: go through it when your port does not learn as it should.

The tests plant each of these mistakes in the backends that are named.
`tetragrad verify` has to find it.
The code is what stands in that backend's file: the right form and the wrong one.
`nox -s mutants` plants all of them, and takes hours.
"""


def page(causes: bool) -> str:
    """The page; with ``causes``, it leads to the page of causes."""
    lead = "[Causes](causes.md) lists those that `tetragrad` names by itself.\n" if causes else ""
    parts = [HEAD, lead] if lead else [HEAD]
    by_task: dict[str, dict[str, list[Mutant]]] = {}
    for mutant in TABLE:
        by_task.setdefault(mutant.task.partition(":")[0], {}).setdefault(mutant.name, []).append(
            mutant
        )
    parts.append(_contents(by_task))
    for task, mistakes in by_task.items():
        parts.append(f"## {task}")
        for name, mutants in mistakes.items():
            parts += [f"### {name}", *_section(mutants)]
    return "\n\n".join(parts) + "\n"


def _contents(by_task: dict[str, dict[str, list[Mutant]]]) -> str:
    rows = [[code(task), str(len(found))] for task, found in by_task.items()]
    return table(("Shown with the task", "Mistakes"), rows)


def _section(mutants: Sequence[Mutant]) -> Iterator[str]:
    titles = {backend: backends.load(backend).TITLE for backend in backends.NAMES}
    yield f"Where it comes from: {mutants[0].why}."
    for mutant in mutants:
        refused = " The framework itself refuses it." if mutant.crashes else ""
        yield f"{titles[mutant.backend]}, `{mutant.file}`:{refused}"
        yield f"```diff\n{_lines('-', mutant.wrong)}\n{_lines('+', mutant.right)}\n```"


def _lines(mark: str, text: str) -> str:
    """The lines of a piece of code, each after a mark."""
    return "\n".join(f"{mark} {line}" for line in text.strip("\n").split("\n"))
