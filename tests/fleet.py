"""A fleet that is simulated: ``python -m tests.fleet [--nodes N] [--comparisons N]``.

The nodes, their failures and the clock are made up; what hands out, retries and leaves out is the
fleet's own code. Seconds of comparisons are those of real records (a session's folder of them with
``--records``), seconds of the driver those that ``--measure`` finds here.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence

from suite.fleet.dispatch import Work
from suite.fleet.loop import Event, Joined, Left

SECONDS = {
    "autoencoder:joint": 36.4,
    "fashion_mlp": 32.3,
    "fewshot:siamese": 62.3,
    "imdb_text:bow": 34.5,
    "lstm": 36.8,
    "transformer": 146.3,
}
"""Seconds of a comparison of four backends, profile smoke on real data, from the records of one
session on a machine with 2 processors."""
PREPARING = 60.0
"""Seconds to verify a task in four backends, about."""
CONTESTANTS = 4
DETECTION = 30.0
"""Seconds until the death of a node is noticed."""


class Simulated:
    """Nodes with a clock of their own, in seconds. It can be spent, by a driver that works."""

    def __init__(
        self,
        kinds: Sequence[str],
        seconds: Callable[[Work], float],
        seed: int = 0,
        life: float = float("inf"),
        repair: float = 600.0,
        flaws: float = 0.0,
        late: float = 0.0,
        broken: Sequence[int] = (),
    ):
        """A node of each of ``kinds``, which dies after ``life`` [s] on average.

        Another one joins ``repair`` [s] later. A work fails with probability ``flaws``, on the
        nodes of the numbers ``broken`` always. A node that was taken for dead answers all the same
        with probability ``late``.
        """
        self.now = 0.0
        self.deaths = 0
        self.busy = 0.0
        """Seconds that nodes worked for what was then done."""
        self.lost = 0.0
        """Seconds of work that was lost."""
        self._seconds, self._random = seconds, random.Random(seed)
        self._life, self._repair, self._flaws, self._late = life, repair, flaws, late
        self._broken = {f"node-{number}" for number in broken}
        self._queue: list[tuple[float, int, Event]] = []
        self._count = itertools.count()
        self._works: dict[str, tuple[Work, float, Event]] = {}
        """By node: what it does, since when, and how that will end."""
        self._ends: dict[str, float] = {}
        self._names = itertools.count()
        for kind in kinds:
            self._join(0.0, kind)

    def _add(self, moment: float, event: Event) -> None:
        heapq.heappush(self._queue, (moment, next(self._count), event))

    def _join(self, moment: float, kind: str) -> None:
        name = f"node-{next(self._names)}"
        self._add(moment, Joined(name, name, kind))
        if self._life < float("inf"):
            end = moment + self._random.expovariate(1 / self._life)
            self._ends[name] = end
            self._add(end + DETECTION, Left(name, "the node is gone"))
            self._kinds = {**getattr(self, "_kinds", {}), name: kind} if False else None
        self._kind_of(name, kind)

    def _kind_of(self, name: str, kind: str) -> None:
        self._by_name = getattr(self, "_by_name", {})
        self._by_name[name] = kind
