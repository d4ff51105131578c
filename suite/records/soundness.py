"""Soundness of a record that someone else may have written: its schema, and its verdict.

It is judged from the record alone. Whether what it says ever happened, no record can show: that is
what training its cell again is for.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from suite.records import record as records
from suite.records.moving import NAME
from suite.records.record import Record
from suite.records.verdict import Verdict, verdict_from
from tasks.paths import because
from tasks.task import RequestError

LEAST = ("initial loss", "gradient", "loss")
"""Quantities that a proof compares in every task: forward pass, backward pass and update."""
NOT_SOUND = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""Errors that a document of another shape ends in."""
_PLAIN = (str, int, float, bool)
_Number = float | None
_ENDS = {"median": float, "low": _Number, "high": _Number}
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "chunks": {"epoch": int, "samples": int, "seconds": float, "losses": list[float]},
    "epochs": {"epoch": int, "train_seconds": float, "metrics": dict[str, float]},
    "targets": {"metric": str, "low": _Number, "high": _Number},
}
"""Fields of the documents that these lists of a record hold."""


def canonical(document: Any) -> str:
    """The one text of a JSON document: keys in order, no spaces, ASCII. Its file has nothing else.

    ValueError for a number that is not finite.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(document: Any) -> str:
    """The SHA-256 of that text: the hash of a document's content."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def document_at(path: Path) -> Any:
    """The JSON document in a file. RequestError, which does not say where it lies, if none is."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RequestError(f"it cannot be read {because(error)}") from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"it is no JSON document ({error})") from None


def record_in(path: Path, name: str | None = None) -> tuple[str, Record]:
    """The content hash of the record in a file, and the record. RequestError if it is not sound.

    ``name`` is the hash that the record is kept under, if it is.
    """
    document = document_at(path)
    try:
        hash_ = digest(document)
        require_hash(hash_, name)
        record = records.read(path)
        _require_schema(record)
        _require_plain_names(record)
        _require_verdict(record)
    except RequestError as error:
        raise RequestError(str(error).replace(str(path), "it")) from None
    except NOT_SOUND as error:
        raise RequestError(f"its schema does not hold: {error!r}") from None
    return hash_, record


def require_hash(hash_: str, name: str | None) -> None:
    """RequestError if a document is kept under another hash than its content's."""
    if name not in (None, hash_):
        raise RequestError(f"its hash does not hold: its content has {hash_[:12]}…")


def fits(value: Any, hint: Any) -> bool:
    """Tells if a value is of the type that a field is annotated with."""
    if type(value) is hint and hint in _PLAIN:  # most values by far
        return True
    origin, of = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is UnionType:
        return any(fits(value, one) for one in of)
    if origin is Literal:
        return value in of
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(key, of[0]) and fits(one, of[1]) for key, one in value.items()
        )
    if origin in (list, tuple):
        return isinstance(value, origin) and all(fits(one, of[0]) for one in value)
    if hint in (int, float):  # a truth is an int to Python, and an int a float to people
        return isinstance(value, int | hint) and not isinstance(value, bool)
    return isinstance(value, hint) and (not is_dataclass(hint) or _misfit(value) is None)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _misfit(instance: Any) -> str | None:
    """The name of a field of a dataclass that is not of its type; None if all are."""
    kind: Any = type(instance)
    hints = _hints(kind)
    wrong = (f.name for f in fields(instance) if not fits(getattr(instance, f.name), hints[f.name]))
    return next(wrong, None)


def require_types(instance: Any) -> None:
    """RequestError if a field of a dataclass is not of the type that it is annotated with."""
    if wrong := _misfit(instance):
        said = repr(getattr(instance, wrong))
        short = said if len(said) < 60 else f"{said[:60]}…"
        raise RequestError(f"its schema does not hold: {wrong} is {short}")


def _require_schema(record: Record) -> None:
    require_types(record)
    parts = [(where, part, _SHAPES[where]) for where in _SHAPES for part in getattr(record, where)]
    parts += [
        ("timed", part, _ENDS)
        for name in ("throughput", "efficiency")
        if (part := (record.timed or {}).get(name)) is not None
    ]
    for where, part, shape in parts:
        for key, hint in shape.items():
            if not fits(part[key], hint):
                raise RequestError(f"its schema does not hold: {key!r} in its {where}")
    best = record.stopped["best"] if record.stopped else 1
    if record.epochs and not 1 <= best <= len(record.epochs):
        raise RequestError(f"its schema does not hold: the best epoch is {best}")
    if not all(chunk["seconds"] > 0 for chunk in record.chunks):
        raise RequestError("its schema does not hold: a chunk took no time")
    source = record.provenance.get("source", record.cell.data)
    if source != record.cell.data:
        raise RequestError(f"it says {record.cell.data} data, and its data are {source!r}")


def _require_plain_names(record: Record) -> None:
    """RequestError for a name that could mean more than itself in a command or a path.

    A task in a folder has a path for its name: nobody else could train on it.
    """
    cell = record.cell
    names = (cell.task, cell.variant or "none", cell.backend, cell.mode or "none", cell.profile)
    for name in (*names, *cell.options, record.session, cell.device.replace(":", "_")):
        if not NAME.fullmatch(name) or not re.fullmatch(r"[\w.-]+", name, re.ASCII):
            raise RequestError(f"{name!r} is no plain name, so nobody could ask for its cell again")


def _require_verdict(record: Record) -> None:
    """RequestError if a record says to be verified, and its verdict does not show it."""
    if record.equivalence is None:
        if record.verified:
            raise RequestError("its verdict does not hold: it says verified, and rests on nothing")
        return
    verdict, cell = verdict_from(record.equivalence), record.cell
    require_types(verdict)
    if wrong := [f for f in verdict.findings if f.passed and not _within(f.error, f.tolerance)]:
        raise RequestError(f"its verdict does not hold: {wrong[0]}, and is said to pass")
    if record.verified != verdict.verified:
        said = "verified" if record.verified else "not verified"
        raise RequestError(f"its verdict does not hold: it says {said}, and its findings do not")
    if not record.verified:
        return
    own = (cell.task_label, cell.backend, cell.precision, cell.device)
    of = (verdict.task, verdict.backend, verdict.precision, verdict.device)
    if own != of or verdict.mode not in ("", cell.mode):
        raise RequestError(f"its verdict does not hold: it is on {' '.join(of)}")
    _require_whole(verdict)


def _within(error: float | None, tolerance: float) -> bool:
    return error is not None and 0 <= error <= tolerance


def _require_whole(verdict: Verdict) -> None:
    # errors are relative: who allows as much as the whole has compared nothing
    there = {finding.quantity for finding in verdict.findings if finding.tolerance < 1}
    if missing := [name for name in LEAST if name not in there]:
        raise RequestError(f"its verdict does not hold: nothing was compared of {missing[0]}")
