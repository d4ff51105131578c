"""A metric over sessions: one series for every backend and mode, of equal conditions only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import pandas as pd

import backends
import tasks
from suite.history import cells
from suite.history.cells import METRIC, PER_SECOND, Comparable
from suite.history.steps import Level, find_levels
from suite.records.machines import Block, Machines, compare
from suite.report import words
from suite.tracking.entries import TRAINING
from suite.tracking.tracker import Tracker
from tasks.task import RequestError


@dataclass(frozen=True)
class PastSession:
    """When a session began, on which commit, with which versions."""

    id: str
    created: str
    """When its first cell began, UTC, ISO 8601."""
    commit: str
    dirty: bool
    """True if the source was changed since the commit."""
    versions: dict[str, str]

    @property
    def revision(self) -> str:
        """The commit in short, with a ``+`` if there were changes."""
        return self.commit[:7] + "+" * self.dirty

    @property
    def when(self) -> str:
        """``2026-11-21 14:03``."""
        return self.created[:16].replace("T", " ")


@dataclass(frozen=True)
class SessionValue:
    """A metric in one session: the median over its seeds, the lowest and the highest."""

    session: PastSession
    seeds: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Step:
    """A change of level: the first session after it, the levels, the versions that changed."""

    at: PastSession
    before: float
    after: float
    changed: tuple[str, ...]

    @property
    def factor(self) -> float:
        """By what the level was multiplied."""
        return self.after / self.before


@dataclass(frozen=True)
class Series:
    """One backend in one mode over the sessions, oldest first."""

    backend: str
    mode: str
    points: tuple[SessionValue, ...]
    steps: tuple[Step, ...] = ()
    levels: tuple[Level, ...] = ()

    @property
    def name(self) -> str:
        """``backend:mode``."""
        return f"{self.backend}:{self.mode}"

    @cached_property
    def by_session(self) -> dict[str, SessionValue]:
        """The points by the ids of their sessions."""
        return {point.session.id: point for point in self.points}


@dataclass(frozen=True)
class History:
    """A metric of a task over the sessions of one set of conditions."""

    label: str
    metric: str
    conditions: Comparable
    sessions: tuple[PastSession, ...]
    """Oldest first."""
    series: tuple[Series, ...]
    others: dict[Comparable, int]
    """The conditions of further sessions, which are not shown, and how many there are."""
    unverified: dict[str, tuple[str, ...]]
    """By ``backend:mode`` the sessions that do not count, as a cell was not verified."""
    asked_for_steps: bool = False
    machines: Machines | None = None
    """The same contestants under these conditions on several machines, if the metric is a rate."""
    shown_on: tuple[str, ...] = ()
    """The machines of the sessions that are shown, whose processors have one name."""


def build(
    tracker: Tracker,
    choice: tasks.Choice,
    metric: str | None = None,
    wanted: Sequence[backends.Choice] = (),
    profile: str | None = None,
    find_steps: bool = False,
) -> History:
    """The history of ``metric``, the speed if it is None, under the latest conditions.

    With ``profile`` the latest of that profile; ``wanted`` backends and modes, or all of them.
    RequestError if there is nothing of what is asked for, or steps of values that are not positive.
    """
    table = cells.read(tracker, choice)
    metric = _metric(table, metric)
    table = table[table[METRIC + metric].notna()]
    table = _of_backends(table, wanted)
    conditions = _latest_conditions(table, profile)
    sessions = table.groupby("conditions", sort=False)["session"].nunique()
    own = table[table["conditions"] == conditions]
    counted, unverified = _counted(own, metric)
    shown = _sessions(own)
    found = (
        Series(backend, mode, tuple(_points(group, metric, shown)))
        for (backend, mode), group in counted.groupby(["backend", "mode"], sort=False)
    )
    series = sorted(found, key=_place)
    return History(
        label=f"{choice[0]}:{choice[1]}" if choice[1] else choice[0],
        metric=metric,
        conditions=conditions,
        sessions=tuple(sorted(shown.values(), key=lambda session: session.created)),
        series=tuple(_with_steps(s, metric) for s in series) if find_steps else tuple(series),
        others={other: int(n) for other, n in sessions.items() if other != conditions},
        unverified=unverified,
        asked_for_steps=find_steps,
        machines=_on_machines(table, conditions, metric),
        shown_on=tuple(sorted(own["machine"].unique())),
    )


def _metric(table: pd.DataFrame, wanted: str | None) -> str:
    """The metric's name in MLflow, by default the speed's; RequestError if there is none."""
    there = [name for name in table if name.startswith(METRIC) and table[name].notna().any()]
    known = sorted(name.removeprefix(METRIC) for name in there)
    rates = [name for name in known if name.endswith(PER_SECOND)]
    own = [name for name in rates if not name.startswith(TRAINING)]
    if not (wanted or own):
        alone = f", only in training: --metric {rates[0]}" if rates else ""
        raise RequestError(f"nothing of this was timed in turns{alone}")
    found = wanted or own[0]
    if found not in known:
        raise RequestError(f"there is no metric {found!r}; there are: {', '.join(known)}")
    return found


def _of_backends(table: pd.DataFrame, wanted: Sequence[backends.Choice]) -> pd.DataFrame:
    there = sorted({*zip(table["backend"], table["mode"], strict=True)})
    for choice in wanted:
        if choice not in there:
            known = ", ".join(f"{b}:{m}" for b, m in there)
            raise RequestError(f"MLflow has nothing of {':'.join(choice)}; it has: {known}")
    chosen = [pair in wanted for pair in zip(table["backend"], table["mode"], strict=True)]
    return table[chosen] if wanted else table


def _on_machines(table: pd.DataFrame, own: Comparable, metric: str) -> Machines | None:
    """The contestants' rates, session by session, on all machines with the conditions ``own``."""
    if not metric.endswith(PER_SECOND):
        return None
    same = {
        c: (c.conditions, c.digest) == (own.conditions, own.digest) for c in {*table["conditions"]}
    }
    counted, _ = _counted(table[table["conditions"].map(same)], metric)
    if counted["machine"].nunique() < 2:
        return None
    keys = ["machine", "session", "backend", "mode"]
    blocks: dict[tuple[str, str], dict[str, list[float]]] = {}
    for key, value in counted.groupby(keys, sort=False)[METRIC + metric].median().items():
        machine, session, backend, mode = key
        blocks.setdefault((machine, session), {})[f"{backend}:{mode}"] = [float(value)]
    return compare([Block(m, rates) for (m, _), rates in blocks.items()], "numpy:eager")


def _latest_conditions(table: pd.DataFrame, profile: str | None) -> Comparable:
    there = table["conditions"].tolist()
    own = [c for c in there if profile in (None, c.profile)]
    if not own:
        known = ", ".join(dict.fromkeys(c.profile for c in there))
        raise RequestError(f"MLflow has nothing of profile {profile!r}; it has: {known}")
    latest: Comparable = own[-1]
    return latest


def _counted(table: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    """Without what does not count: a speed in a session that has a cell not verified."""
    if not cells.is_of_time(metric):
        return table, {}
    left: dict[str, dict[str, None]] = {}
    for row in table[~table["verified"]].itertuples():
        left.setdefault(f"{row.backend}:{row.mode}", {})[row.session] = None
    return table[table["verified"]], {name: tuple(sessions) for name, sessions in left.items()}


def _sessions(own: pd.DataFrame) -> dict[str, PastSession]:
    """The sessions of the cells, which are ordered by time, by their names."""
    began = own.drop_duplicates("session").set_index("session")["created"]
    columns = ["session", "commit", "dirty", "versions"]
    return {
        name: PastSession(
            id=name,
            created=began[name].isoformat(timespec="seconds"),
            commit=str(commit),
            dirty=bool(dirty),
            versions={k: v for k, v in versions.items() if isinstance(v, str)},
        )
        for name, commit, dirty, versions in own[columns]
        .drop_duplicates("session", keep="last")
        .itertuples(index=False, name=None)
    }


def _points(
    group: pd.DataFrame, metric: str, sessions: Mapping[str, PastSession]
) -> Iterator[SessionValue]:
    """A backend's points in the order of the sessions."""
    values = group.groupby("session")[METRIC + metric].agg(["size", "median", "min", "max"])
    for session in sorted(sessions.values(), key=lambda session: session.created):
        if session.id in values.index:
            seeds, *figures = values.loc[session.id]
            yield SessionValue(session, int(seeds), *map(float, figures))


def _place(series: Series) -> tuple[Any, ...]:
    known = backends.names()
    place = known.index(series.backend) if series.backend in known else len(known)
    return place, series.backend, words.order(series.backend, series.mode), series.mode


def _with_steps(series: Series, metric: str) -> Series:
    points = series.points
    for point in points:
        if point.value <= 0:
            raise RequestError(
                f"--steps compares logarithms, and {metric} of {series.name} is {point.value:g} in "
                f"session {point.session.id}; leave --steps out, or take another metric"
            )
    levels = tuple(find_levels([point.value for point in points]))
    found = tuple(
        Step(
            points[new.start].session,
            old.value,
            new.value,
            _changed(*(points[i].session.versions for i in (new.start - 1, new.start))),
        )
        for old, new in pairwise(levels)
    )
    return Series(series.backend, series.mode, points, found, levels)


def _changed(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    """``torch 2.12.0 to 2.13.0`` of every package that is another one."""
    return tuple(
        f"{name} {before[name]} to {version}"
        for name, version in after.items()
        if name in before and before[name] != version
    )
