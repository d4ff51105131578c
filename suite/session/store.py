"""Sessions on disk: what was planned, and that one process at a time runs them.

The plan lies in ``results/sessions/<session>.json`` from the beginning of the session; beside it a
lock that its process holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from filelock import FileLock, Timeout

from suite.records.cell import Conditions
from suite.session.plan import Plan
from suite.system.files import write_text
from tasks.paths import because
from tasks.task import RequestError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")
"""A plan: of a run, or of a search."""
SCHEMA_VERSION = 3
CHANGEABLE = ("timeout", "timing_limit", "memory_limit", "checkpoint_every")
"""Parts of the plan of a run that may differ when it is resumed; the rest may not."""
BESIDES = ("resume", "results", "tracking_uri", "report", "as_json", "cluster")
"""Options that are no part of a plan."""


def write_plan(results: Path, session: str, plan: Plan) -> None:
    """Keeps the plan of a session that begins. RequestError if it cannot be written."""
    path = path_of(results, session)
    try:
        write_text(path, text_of(plan))
    except OSError as error:
        raise RequestError(f"{path} cannot be written {because(error)} with --results") from None


def text_of(plan: Plan) -> str:
    """The content of a plan's file."""
    seeds = [plan.seeds.start, plan.seeds.stop]
    document = {"schema_version": SCHEMA_VERSION, "plan": {**asdict(plan), "seeds": seeds}}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def read_plan(results: Path, session: str) -> Plan:
    """The plan of a session; RequestError if it has none, or another program wrote it."""
    path = path_of(results, session)
    known = sorted(p.stem for p in path.parent.glob("*.json"))
    if session not in known:
        latest = ", ".join(known[-5:]) or "none"
        raise RequestError(
            f"there is no session {session!r} to resume in {results.resolve()}; the latest are: "
            f"{latest}"
        )
    try:
        return plan_of(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"{path} cannot be read {because(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} is not the plan of a session ({error})") from None


def plan_of(text: str) -> Plan:
    """The plan in the content of a file. ValueError, KeyError or TypeError if it is none."""
    document = json.loads(text)
    if document["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema version {document['schema_version']}")
    plan = document["plan"]
    own = {"seeds": range(*plan["seeds"]), "conditions": Conditions(**plan["conditions"])}
    return Plan(**{**_tuples(plan), **own})


def _tuples(document: Any) -> Any:
    """A JSON document whose lists are tuples."""
    if isinstance(document, dict):
        return {name: _tuples(value) for name, value in document.items()}
    return tuple(map(_tuples, document)) if isinstance(document, list) else document


def changed(
    context: typer.Context, plan: P, values: Sequence[Any], changeable: Sequence[str] = CHANGEABLE
) -> P:
    """The plan with those ``values`` of what is ``changeable`` that the command line gives.

    RequestError if it gives what cannot be changed.
    """
    names = {p.name: p.opts[0] for p in context.command.params if p.name}
    given = [
        name
        for name in names
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    fixed = [names[name] for name in given if name not in (*BESIDES, *changeable)]
    if fixed:
        raise RequestError(f"--resume takes {', '.join(fixed)} from the session; leave it out")
    pairs = zip(changeable, values, strict=True)
    return replace(plan, **{name: value for name, value in pairs if name in given})


def lock(results: Path, session: str) -> FileLock:
    """Held by the process that runs a session; RequestError if another one does."""
    held = FileLock(path_of(results, session).with_suffix(".lock"), timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise RequestError(f"session {session} is still running in another process") from None
    except OSError as error:
        raise RequestError(f"{held.lock_file} cannot be written {because(error)}") from None
    return held


def path_of(results: Path, session: str) -> Path:
    """Where the plan of a session lies."""
    return results / "sessions" / f"{session}.json"
