"""Exhibits of one task: texts that models wrote, maps of their attention or units, gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from suite.records.record import Record
from suite.report import words


@dataclass(frozen=True)
class Text:
    """A text that backends wrote; those that wrote the same are together."""

    names: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Texts:
    """Texts of one seed: ``passages`` by the way in which they were drawn."""

    seed: int
    passages: dict[str, tuple[Text, ...]]


@dataclass(frozen=True)
class Map:
    """Values (rows, columns), those of attention in [0, 1], and what the scale spans."""

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    low: float = 0.0
    high: float = 1.0
    axes: tuple[str, ...] = ()
    """Names of both axes where rows are lines and values are logarithms."""


@dataclass(frozen=True)
class Attention:
    """The maps of one backend, by kind, and how far the other backends are from them."""

    seed: int
    name: str
    kinds: dict[str, tuple[Map, ...]]
    agreement: str
    meaning: str = ""
    """How to read maps that are not of attention."""
    low: float = 0.0
    high: float = 1.0
    """The values that the scale spans, of all maps."""

    @property
    def lines(self) -> bool:
        """Tells if all of them are drawn as lines."""
        return all(drawn.axes for maps in self.kinds.values() for drawn in maps)


def _one_seed(records: Sequence[Record]) -> list[Record]:
    """Records of the seed that most have, the lowest of these; one for each backend and mode."""
    seeds = [r.cell.seed for r in records]
    chosen = min(seeds, key=lambda seed: (-seeds.count(seed), seed))
    return list({r.cell.backend_label: r for r in records if r.cell.seed == chosen}.values())


def texts(good: Sequence[Record]) -> Texts | None:
    """Texts that were written, None where nothing was."""
    if not (having := [r for r in good if r.texts]):
        return None
    chosen = _one_seed(having)
    passages: dict[str, tuple[Text, ...]] = {}
    for name in dict.fromkeys(name for record in chosen for name in record.texts):
        by_text: dict[str, list[str]] = {}
        for record in chosen:
            if name in record.texts:
                backend = _name(record, chosen)
                by_text.setdefault(record.texts[name], []).append(backend)
        passages[name] = tuple(Text(tuple(who), text) for text, who in by_text.items())
    return Texts(chosen[0].cell.seed, passages)


def attention(
    good: Sequence[Record], variants: Sequence[Sequence[Record]] = ()
) -> Attention | None:
    """The maps of the first backend that is verified, or else the first; None without any.

    Lines have those of the task's other ``variants`` beside them, of the same backend if it may be.
    """
    if not (having := _with_maps(good)):
        return None
    chosen = _one_seed(having)
    shown = _shown(chosen)
    beside = [_shown(_one_seed(other), shown) for rs in variants if (other := _with_maps(rs))]
    kinds: dict[str, list[Map]] = {}
    meaning = next(iter(shown.heatmaps.values())).get("meaning", "")
    low, high = _range(shown) if meaning else (0.0, 1.0)
    for name, drawn in shown.heatmaps.items():
        values = tuple(tuple(row) for row in drawn["values"])
        if not (values and values[0]):
            continue
        one = Map(name, tuple(drawn["rows"]), tuple(drawn["columns"]), values, low, high)
        if axes := tuple(drawn.get("axes", ())):
            one = _together(replace(one, axes=axes), [shown, *beside])
        kinds.setdefault(name.partition(",")[0], []).append(one)
    return Attention(
        seed=shown.cell.seed,
        name=_name(shown, chosen),
        kinds={kind: tuple(maps) for kind, maps in kinds.items()},
        agreement=_agreement(shown, chosen),
        meaning=meaning,
        low=low,
        high=high,
    )


def _with_maps(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.heatmaps]


def _shown(chosen: Sequence[Record], like: Record | None = None) -> Record:
    """The record whose maps are drawn: a verified one, of the backend of ``like`` if it may be."""

    def place(record: Record) -> tuple[bool, bool]:
        other = like is not None and record.cell.backend_label != like.cell.backend_label
        return not record.verified, other

    return min(chosen, key=place)


def _together(own: Map, records: Sequence[Record]) -> Map:
    """The lines of a map in all records that have it over the same columns, by the task's label."""
    lines = {
        f"{record.cell.task_label}, {row}": tuple(values)
        for record in records
        if tuple((drawn := record.heatmaps.get(own.name, {})).get("columns", ())) == own.columns
        for row, values in zip(drawn["rows"], drawn["values"], strict=True)
    }
    return replace(own, rows=tuple(lines), values=tuple(lines.values()))


def _range(record: Record) -> tuple[float, float]:
    """0 and all values of a record's maps lie between these."""
    values = [np.ravel(drawn["values"]) for drawn in record.heatmaps.values()]
    every = np.concatenate([[0.0], *values])
    return float(every.min()), float(every.max())


def _name(record: Record, among: Sequence[Record]) -> str:
    keys = [(r.cell.backend, r.cell.mode) for r in among]
    return words.name(record.cell.backend, record.cell.mode, keys)


def _agreement(shown: Record, chosen: Sequence[Record]) -> str:
    """How far the others' weights are from those that are shown, in words."""
    apart, others = {}, [r for r in chosen if r is not shown]
    for other in others:
        pairs = [(drawn, other.heatmaps.get(key, {})) for key, drawn in shown.heatmaps.items()]
        if all(_same_words(a, b) for a, b in pairs):
            errors = (np.abs(np.subtract(a["values"], b["values"])).max() for a, b in pairs)
            apart[_name(other, chosen)] = max(errors)
    names = (_name(other, chosen) for other in others)
    strange = [name for name in names if name not in apart]
    said = []
    if apart:
        most = f"by at most {max(apart.values()):.4f}"
        said.append(f"The values of {words.listed(apart)} differ from these {most}.")
    if strange:
        said.append(f"Not compared, for they have other words there: {words.listed(strange)}.")
    return " ".join(said)


def _same_words(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(list(a[axis]) == list(b.get(axis, [])) for axis in ("rows", "columns"))
