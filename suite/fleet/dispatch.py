"""The bookkeeping of a fleet: which comparison goes to which node, and again if one fails.

Nothing here knows of Ray, of files or of a clock: tests and the simulation drive the same code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

NODE_FAILURES = 3
"""After so many failures a node is left out."""
TRIES = 5
"""After so many failures a comparison is given up."""


class Work(NamedTuple):
    """A comparison: a task with a seed. Without a seed, what comparisons of the task need first.

    That is its verification and the rates of the machine, once for each kind of machine.
    """

    task: str
    seed: int | None = None

    def __str__(self) -> str:
        return f"preparing {self.task}" if self.seed is None else f"{self.task}, seed {self.seed}"


@dataclass
class Node:
    """A node, as long as it is there."""

    name: str
    kind: str
    """Nodes of equal kind are machines that cannot be told apart."""
    work: Work | None = None
    failures: list[Work] = field(default_factory=list)

    @property
    def left_out(self) -> bool:
        """Tells if it has failed too often."""
        return len(self.failures) >= NODE_FAILURES


class Dispatch:
    """Hands out comparisons, each until it is done once or has failed on several nodes.

    A node has one comparison at a time. Tasks whose comparisons took longest come first, those
    that nobody knows of before: then all nodes end at about the same time.
    """

    def __init__(self, wanted: Iterable[Work]):
        self.nodes: dict[str, Node] = {}
        self.done: set[Work] = set()
        self.given_up: dict[Work, str] = {}
        """The works that failed too often, with their reasons."""
        self.left_out: dict[str, str] = {}
        """Nodes that failed too often, by name, and the last reason."""
        self._waiting: dict[str, deque[Work]] = {}
        """Those that nobody has begun, by task."""
        for work in wanted:
            self._waiting.setdefault(work.task, deque()).append(work)
        self._retry: dict[str, list[Work]] = {task: [] for task in self._waiting}
        """Those that have failed, by task."""
        self.total = sum(map(len, self._waiting.values()))
        self._idle: dict[str, None] = {}
        self._whys: dict[Work, list[str]] = {}
        self._preparing: dict[tuple[str, str], str] = {}
        """By kind and task, the node that prepares them."""
        self._prepared: set[tuple[str, str]] = set()
        self._seconds: dict[str, tuple[int, float]] = {}
        """By task: comparisons that are done, and what they took together."""

    @property
    def over(self) -> bool:
        """Tells if every comparison is done or given up."""
        return len(self.done) + len(self.given_up) >= self.total

    @property
    def usable(self) -> bool:
        """Tells if there is a node that is not left out."""
        return any(not node.left_out for node in self.nodes.values())

    def join(self, key: str, name: str, kind: str) -> None:
        """A node that is there from now on."""
        self.nodes[key] = Node(name, kind)
        self._idle[key] = None

    def leave(self, key: str, why: str) -> None:
        """A node that is gone; its work is for another one."""
        node = self.nodes.pop(key, None)
        self._idle.pop(key, None)
        if node and node.work:
            self._again(node, key, node.work, why)

    def assignments(self) -> Iterator[tuple[str, Work]]:
        """Nodes that have nothing to do, each with its next work."""
        for key in [*self._idle] if self._open() else ():
            if work := self._next(key):
                del self._idle[key]
                self.nodes[key].work = work
                yield key, work

    def awaits(self, work: Work) -> bool:
        """Tells if a work is still to be done: its answer is news."""
        return work.seed is None or work not in self.done

    def finished(self, key: str, work: Work, seconds: float) -> None:
        """The answer of a node, even of one that was taken for dead."""
        node = self._free(key, work)
        if node:
            self._preparing.pop((node.kind, work.task), None)
            self._prepared.add((node.kind, work.task))
        if work.seed is None or work in self.done:
            return
        self.given_up.pop(work, None)
        self.done.add(work)
        count, total = self._seconds.get(work.task, (0, 0.0))
        self._seconds[work.task] = count + 1, total + seconds

    def failed(self, key: str, work: Work, why: str) -> None:
        """A node that is there, but did not do its work."""
        node = self._free(key, work)
        if node is None:  # it was told before that the node is gone
            return
        node.failures.append(work)
        if node.left_out:
            self._idle.pop(key, None)
            self.left_out[node.name] = why
        self._again(node, key, work, why)

    def _free(self, key: str, work: Work) -> Node | None:
        """The node that has done with its work; None if it is not known to have had it."""
        node = self.nodes.get(key)
        if node is None or node.work != work:
            return None
        node.work = None
        if not node.left_out:
            self._idle[key] = None
        return node

    def _again(self, node: Node, key: str, work: Work, why: str) -> None:
        """Puts a work that failed before all others of its task, or gives it up."""
        place = node.kind, work.task
        if self._preparing.get(place) == key:
            del self._preparing[place]
        whys = self._whys.setdefault(work, [])
        whys.append(f"{node.name}: {why}")
        if work in self.done:
            return
        if len(whys) < TRIES:
            if work.seed is not None:
                self._retry[work.task].append(work)
            return
        self._pardon(work)
        if work.seed is None:
            self._prepared.add(place)  # comparisons will have to do it themselves
        else:
            self.given_up[work] = "; ".join(whys)

    def _pardon(self, work: Work) -> None:
        """Nodes are not to blame for a work that fails on all of them."""
        for key, node in self.nodes.items():
            was = node.left_out
            node.failures = [other for other in node.failures if other != work]
            if was and not node.left_out:
                self.left_out.pop(node.name, None)
                self._idle[key] = None

    def _next(self, key: str) -> Work | None:
        """The next work of a node; None if there is nothing that it can do now."""
        kind = self.nodes[key].kind
        for task in sorted(self._open(), key=self._rank):
            place = kind, task
            if place in self._preparing:
                continue
            if place not in self._prepared:
                before = Work(task)
                if not self._is_alone(key):
                    if self._suits(before, key):
                        self._preparing[place] = key
                        return before
                    continue
            if work := self._take(task, key):
                if place not in self._prepared:
                    self._preparing[place] = key
                return work
        return None

    def _rank(self, task: str) -> float:
        count, total = self._seconds.get(task, (0, 0.0))
        return -total / count if count else -float("inf")

    def _is_alone(self, key: str) -> bool:
        """Tells if no other node is of its kind: nobody waits for what it prepares."""
        own = self.nodes[key]
        return all(
            node is own or node.left_out or node.kind != own.kind for node in self.nodes.values()
        )

    def _take(self, task: str, key: str) -> Work | None:
        """Takes out a comparison of a task that waits: one that failed elsewhere, or a new one."""
        retry = self._retry[task] = [w for w in self._retry[task] if w not in self.done]
        for work in retry:
            if self._suits(work, key):
                retry.remove(work)
                return work
        return self._waiting[task].popleft() if self._waiting[task] else None

    def _open(self) -> list[str]:
        """The tasks of which comparisons wait."""
        return [task for task, own in self._waiting.items() if own or self._retry[task]]

    def _suits(self, work: Work, key: str) -> bool:
        """Tells if a node may take a work: it has not failed at it, or all have that could."""
        if work not in self.nodes[key].failures:
            return True
        kind = self.nodes[key].kind if work.seed is None else None
        return all(
            work in node.failures or node.left_out or kind not in (None, node.kind)
            for node in self.nodes.values()
        )
