"""The loop of a fleet: hands out, listens, brings home, until all is done or nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from suite.fleet.dispatch import Dispatch, Work

PATIENCE = 120.0
"""Seconds to wait for a node where there is none."""
STOPPED = "stopped by the user"

Files = Mapping[str, bytes]
"""Contents by path, relative to a folder of results."""


class Incomplete(Exception):
    """An answer lacks what it should bring: why."""


class ClusterLost(Exception):
    """The cluster cannot be reached any more: why."""


@dataclass(frozen=True)
class Joined:
    """A node that can be given work."""

    node: str
    name: str
    kind: str


@dataclass(frozen=True)
class Left:
    """A node that is gone."""

    node: str
    why: str


@dataclass(frozen=True)
class Answered:
    """A work that is done, with the files that it wrote."""

    node: str
    work: Work
    files: Files
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A work that was not done."""

    node: str
    work: Work
    why: str


Event = Joined | Left | Answered | Failed


class Cluster(Protocol):
    """Nodes, and a way to have work done there. Raises ClusterLost."""

    def start(self, node: str, work: Work, files: Files) -> None:
        """Lets a node begin a work, for which it is given files."""

    def events(self) -> Iterable[Event]:
        """Everything that has happened since, after waiting for it for a moment."""


class Home(Protocol):
    """The place that answers are brought to."""

    def files_for(self, node: str, work: Work, kind: str) -> Files:
        """The files that a node needs for a work."""

    def take(self, node: str, work: Work, kind: str, files: Files) -> None:
        """Keeps an answer. Raises Incomplete, and NotWritten."""

    def spare(self) -> None:
        """A moment for what can wait, while the nodes are busy."""


def drive(
    dispatch: Dispatch,
    cluster: Cluster,
    home: Home,
    show: Callable[[], None] = lambda: None,
    stopped: Callable[[], bool] = lambda: False,
    now: Callable[[], float] = time.monotonic,
    patience: float = PATIENCE,
) -> str | None:
    """Has all of the work done: None, or why it ended before.

    A comparison is at home before it counts as done. ``now`` [s] is a clock, ``patience`` [s] how
    long there may be no node.
    """
    since = now()
    while not dispatch.over:
        if stopped():
            return STOPPED
        for node, work in dispatch.assignments():
            kind = dispatch.nodes[node].kind
            cluster.start(node, work, home.files_for(node, work, kind))
        show()
        for event in cluster.events():
            _hear(event, dispatch, home)
        home.spare()
        if dispatch.usable:
            since = now()
        elif now() - since > patience:
            return f"there has been no node for {patience:g} s"
    return None


def _hear(event: Event, dispatch: Dispatch, home: Home) -> None:
    match event:
        case Joined(node, name, kind):
            dispatch.join(node, name, kind)
        case Left(node, why):
            dispatch.leave(node, why)
        case Failed(node, work, why):
            dispatch.failed(node, work, why)
        case Answered(node, work, files, seconds):
            if dispatch.awaits(work):
                kind = dispatch.nodes[node].kind if node in dispatch.nodes else ""
                try:
                    home.take(node, work, kind, files)
                except Incomplete as error:
                    dispatch.failed(node, work, str(error))
                    return
            dispatch.finished(node, work, seconds)
