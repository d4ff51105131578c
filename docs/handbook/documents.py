"""The reference of files and JSON documents: fields and types, read from the classes themselves."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docs.handbook.markdown import code, prose, table
from suite.records.baseline import Band, Baseline, Run
from suite.records.cell import Cell, Conditions
from suite.records.convergence import Comparison, Reading
from suite.records.events import Outcome
from suite.records.findings import Finding
from suite.records.record import Record
from suite.records.timing import Contestant, Timing
from suite.records.verdict import Deviation, Verdict
from suite.session.runner import Session
from suite.show import summary

FILES: dict[str, tuple[type, ...]] = {
    "A record: `results/records/SESSION/CELL.json`": (Record, Conditions, Cell, Reading),
    "A timing: `results/timings/SESSION/TASK.json`": (Timing, Contestant),
    "A verdict: `equivalence` of a record": (Verdict, Deviation),
    "A baseline: `results/baselines/TASK-PROFILE-DATA.json`": (Baseline, Run, Band),
    "A finding of `check`, `compare` and `regress`": (Finding,),
    "A comparison over seeds": (Comparison,),
}
HEAD = """# Records and JSON

This page is made from the classes that read and write these files.
Times are in seconds, memory is in bytes, and a rate is per second.
Each file has a `schema_version`; files of earlier versions are read too.
"""
RUN = """## The document of `tetragrad run --json`

`--json` prints one document on standard output and nothing else there.
Its keys are `session`, `cells`, `timings` and `comparisons`.
A cell has its conditions and its seed, as in a record, and the keys below.
"""


def page() -> str:
    """The page."""
    parts = [HEAD]
    for title, kinds in FILES.items():
        parts += [f"## {title}", *map(_section, kinds)]
    outcomes = ", ".join(code(outcome.value) for outcome in Outcome)
    parts += [f"## Outcomes\n\nA cell ends as one of {outcomes}.", RUN, _cells()]
    return "\n\n".join(parts) + "\n"


def _section(kind: type) -> str:
    own = _own_fields(kind)
    rows = [[code(name), code(type_), prose(told)] for name, type_, told in own]
    described = prose(inspect.cleandoc(kind.__doc__ or ""))
    return f"### {kind.__name__}\n\n{described}\n\n{table(('Field', 'Type', 'Meaning'), rows)}"


def _own_fields(kind: type) -> list[tuple[str, str, str]]:
    """Name, type and the text below each field of a dataclass, without inherited ones."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    found: list[tuple[str, str, str]] = []
    for before, node in zip([None, *definition.body], definition.body, strict=False):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                found.append((name, ast.unparse(annotation), ""))
            case ast.Expr(value=ast.Constant(value=str(text))) if isinstance(before, ast.AnnAssign):
                found[-1] = (*found[-1][:2], inspect.cleandoc(text))
    return found


def _cells() -> str:
    """The keys of a cell in the document, beside its conditions, from a record made for it."""
    record = Record(session="", cell=Cell(task="fashion_mlp"), created="")
    (cell,) = summary.document(Session("", Path(), [record], {}))["cells"]
    identity = {field.name for field in dataclasses.fields(Cell)}
    told = dict(_told((Record,)))
    rows = [
        [code(key), prose(told.get(key, MORE.get(key, "")))] for key in cell if key not in identity
    ]
    return table(("Key", "Meaning"), rows)


MORE = {
    "record": "The path of the cell's record.",
    "mlflow_run": "The id of the cell's MLflow run, or null.",
}
"""Meanings of the keys that no field or property of a record has."""


def _told(kinds: Iterable[type]) -> Iterable[tuple[str, str]]:
    """Meanings of the fields and the properties of these classes, by name."""
    for kind in kinds:
        for name, _, told in _own_fields(kind):
            yield name, told or name.replace("_", " ").capitalize() + "."
        for name, value in vars(kind).items():
            if isinstance(value, property):
                doc: Any = inspect.getdoc(value)
                yield name, doc
