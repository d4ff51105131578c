"""A cluster without machines: nodes, their failures and their clock are made up, by a seed."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suite.fleet.dispatch import Work
from suite.fleet.home import TURN
from suite.fleet.loop import Answered, Event, Failed, Files, Joined, Left

DETECTION = 30.0
"""Seconds until the death of a node is noticed."""


@dataclass(frozen=True)
class Faults:
    """Failures of the nodes."""

    life: float = float("inf")
    """Seconds that a node lives on average."""
    repair: float = 600.0
    """Seconds until another one joins in place of one that died."""
    flaws: float = 0.0
    """Probability that a work fails on a node that lives on."""
    late: float = 0.0
    """Probability that a node which was taken for dead answers all the same."""
    broken: frozenset[str] = frozenset()
    """Nodes on which every work fails."""
    poison: frozenset[Work] = frozenset()
    """Works that fail on every node."""


class Cluster:
    """Nodes with a clock of their own, ``now`` [s], which a driver that works moves on."""

    def __init__(
        self,
        kinds: Sequence[str],
        seconds: Callable[[Work], float],
        faults: Faults | None = None,
        seed: int = 0,
    ):
        """A node of each of ``kinds``; ``seconds`` says how long a work takes."""
        self.now = 0.0
        self.deaths = self.most = 0
        """How many nodes died, and how many works ran at once at most."""
        self.lost = 0.0
        """Seconds of work that came to nothing."""
        self._seconds, self._faults = seconds, faults or Faults()
        self._random = random.Random(seed)
        self._queue: list[tuple[float, int, Event]] = []
        self._count, self._names = itertools.count(), itertools.count()
        self._kinds: dict[str, str] = {}
        self._ends: dict[str, float] = {}
        self._running: dict[str, float] = {}
        """By node, when its work began [s]."""
        for kind in kinds:
            self._join(0.0, kind)

    def _add(self, moment: float, event: Event) -> None:
        heapq.heappush(self._queue, (moment, next(self._count), event))

    def _join(self, moment: float, kind: str) -> None:
        name = f"node-{next(self._names)}"
        life, self._kinds[name] = self._faults.life, kind
        self._ends[name] = moment - life * math.log(1 - self._random.random())
        self._add(moment, Joined(name, name, kind))
        if life < float("inf"):
            self._add(self._ends[name] + DETECTION, Left(name, "the node is gone"))

    def start(self, node: str, work: Work, files: Files) -> None:
        """Lets a node begin a work, and decides what will become of it."""
        assert node not in self._running, f"{node} is given two works at once"
        self._running[node] = self.now
        self.most = max(self.most, len(self._running))
        faults, takes = self._faults, self._seconds(work)
        end = self.now + takes
        answer = Answered(node, work, {}, takes)
        fails = node in faults.broken or work in faults.poison
        if end > self._ends[node]:
            if self._random.random() < faults.late:
                self._add(end + DETECTION, answer)
        elif fails or self._random.random() < faults.flaws:
            self._add(self.now + takes * self._random.random(), Failed(node, work, "a flaw"))
        else:
            self._add(end, answer)

    def events(self) -> list[Event]:
        """Everything until the clock's time, which goes on to the next event if it must."""
        if not self._queue:
            self.now += 60.0
            return []
        self.now = max(self.now, self._queue[0][0])
        found = []
        while self._queue and self._queue[0][0] <= self.now:
            _, _, event = heapq.heappop(self._queue)
            self._happened(event)
            found.append(event)
        return found

    def _happened(self, event: Event) -> None:
        if isinstance(event, Joined):
            return
        begin = self._running.pop(event.node, None)
        if isinstance(event, Left):
            self.deaths += 1
            self._join(self.now + self._faults.repair, self._kinds[event.node])
        if begin is not None and not isinstance(event, Answered):
            self.lost += self.now - begin


class Home:
    """A place that answers are brought to, which counts them.

    To keep a comparison takes ``kept`` seconds of the driver, to send it to MLflow ``sent``, of
    which so much is done at a time as the real home does.
    """

    def __init__(self, cluster: Cluster, kept: float = 0.0, sent: float = 0.0):
        self.taken: Counter[Work] = Counter()
        self.prepared: Counter[tuple[str, str]] = Counter()
        """How often each kind of machine was prepared for each task."""
        self.worked = 0.0
        """Seconds that the driver has worked."""
        self.most_waiting = 0
        """Comparisons that waited to be sent, at most."""
        self.waiting = 0
        self._cluster, self._kept, self._sent = cluster, kept, sent

    def files_for(self, node: str, work: Work, kind: str) -> Files:
        """Nothing."""
        return {}

    def take(self, node: str, work: Work, kind: str, files: Files) -> None:
        """Counts an answer."""
        if work.seed is None:
            self.prepared[kind, work.task] += 1
            return
        self.taken[work] += 1
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        self._spend(self._kept)

    def spare(self) -> None:
        """Sends what waits, for no longer than nodes may wait."""
        begin = self._cluster.now
        while self.waiting and self._cluster.now - begin < TURN:
            self.waiting -= 1
            self._spend(self._sent)
            if not self._sent:
                self.waiting = 0

    def close(self) -> None:
        """Sends the rest."""
        self._spend(self.waiting * self._sent)
        self.waiting = 0

    def _spend(self, seconds: float) -> None:
        self.worked += seconds
        self._cluster.now += seconds
