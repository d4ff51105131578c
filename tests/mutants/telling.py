"""Fates of the mutants, as lines, as a Markdown table and as a JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.mutants.fates import Judgement, Result


def line(result: Result) -> str:
    """One result for a terminal, with the messages where it needs a look."""
    found = "; ".join(f"{name}: {_short(j)}" for name, j in result.judgements.items())
    told = f"{result.fate:10} {_named(result):9} {result.mutant.label}: {found}"
    if result.fate == "caught" and result.named:
        return told
    messages = {j.message for j in result.judgements.values() if j.message}
    return "\n".join([told, f"           place: {result.mutant.place}", *map(_indented, messages)])


def score(results: Sequence[Result]) -> list[str]:
    """How many were caught and named, and which float32 alone would have missed."""
    judged = [r for r in results if r.fate != "not tested"]
    caught = [r for r in judged if r.fate == "caught"]
    named = sum(r.named for r in caught)
    told = [f"{len(caught)} of {len(judged)} caught, {named} of these with the place named"]
    alone = [
        r.mutant.label
        for r in caught
        if "float32" in r.judgements and r.judgements["float32"].fate != "caught"
    ]
    told += [f"float32 alone misses {len(alone)}: {', '.join(alone)}"] if alone else []
    untested = len(results) - len(judged)
    return told + ([f"{untested} not tested: their backend is not here"] if untested else [])


def table(results: Sequence[Result]) -> list[str]:
    """A line for each precision: the fates, how many are named, and what they were found by."""
    heads = ("precision", "judged", "caught", "named", "missed", "broken")
    lines = ["".join(f"{head:>10}" for head in heads) + "  found by"]
    for name in dict.fromkeys(name for r in results for name in r.judgements):
        own = [r.judgements[name] for r in results if name in r.judgements]
        fates = Counter(judgement.fate for judgement in own)
        named = sum(j.named for j in own if j.fate == "caught")
        first = Counter(j.by[0] for j in own if j.fate == "caught")
        judged = len(own) - fates["not tested"]
        counts = (judged, fates["caught"], named, fates["missed"], fates["broken"])
        by = ", ".join(f"{quantity} {count}" for quantity, count in first.most_common())
        lines.append(f"{name:>10}" + "".join(f"{count:10}" for count in counts) + f"  {by}")
    slips = [r for r in results if r.fate not in ("caught", "not tested")]
    lines += [f"{r.fate}: {r.mutant.label}" for r in slips]
    nameless = [r.mutant.label for r in results if r.fate == "caught" and not r.named]
    return lines + [f"not named: {label}" for label in nameless]


def markdown(results: Sequence[Result]) -> str:
    """The table and the score."""
    names = list(dict.fromkeys(name for r in results for name in r.judgements))
    head = ["mistake", "where it comes from", "backend", "task", *names, "place"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        mutant = result.mutant
        cells = [_short(result.judgements[n]) if n in result.judgements else "" for n in names]
        rows.append([mutant.name, mutant.why, mutant.backend, mutant.task, *cells, _named(result)])
    table = "\n".join("| " + " | ".join(c.replace("|", r"\|") for c in row) + " |" for row in rows)
    return "\n".join([table, "", *(f"- {told}" for told in score(results)), ""])


def document(results: Sequence[Result]) -> list[dict[str, Any]]:
    """All that is known of every mutant."""
    return [
        {
            **asdict(result.mutant),
            "fate": result.fate,
            "named": result.named,
            "judgements": {name: asdict(j) for name, j in result.judgements.items()},
        }
        for result in results
    ]


def _short(judgement: Judgement) -> str:
    return ", ".join(judgement.by) if judgement.fate == "caught" else judgement.fate


def _named(result: Result) -> str:
    if result.fate != "caught":
        return ""
    return "named" if result.named else "not named"


def _indented(message: str) -> str:
    return f"           {message}"
