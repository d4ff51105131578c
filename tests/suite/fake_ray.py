"""Ray as far as a fleet uses it, without processes: what is asked of it is done at once, here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray import exceptions


def node(key: str, **resources: float) -> dict[str, Any]:
    """A node, as ``ray.nodes`` tells of it; its id is that hexadecimal digit, 56 times."""
    own = {"CPU": 2.0, **resources}
    return {"NodeID": 56 * key, "NodeName": f"host-{key}", "Alive": True, "Resources": own}


@dataclass
class Function:
    """A remote function."""

    ray: FakeRay
    call: Callable[..., Any]
    asked: dict[str, Any] = field(default_factory=dict)

    def options(self, **options: Any) -> Function:
        """The same, asked for with these."""
        return Function(self.ray, self.call, {**self.asked, **options})

    def remote(self, *arguments: Any) -> int:
        """Calls it; a reference to what comes of it."""
        where = self.asked["scheduling_strategy"].node_id
        self.ray.submitted.append((self.call.__name__, where, self.asked))
        self.ray.results.append(self.ray.answer(self.call.__name__, where, arguments))
        return len(self.ray.results) - 1


class FakeRay:
    """A cluster of ``there``; ``answer`` says what a function returns on a node, or raises."""

    exceptions = exceptions

    def __init__(self, *there: dict[str, Any], answer: Callable[[str, str, Any], Any]):
        self.there, self.answer = [*there], answer
        self.submitted: list[tuple[str, str, dict[str, Any]]] = []
        """Functions by name, nodes, and what was asked for."""
        self.results: list[Any] = []

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes there are."""
        return self.there

    def remote(self, **options: Any) -> Callable[[Callable[..., Any]], Function]:
        """Makes a function a remote one."""
        return lambda call: Function(self, call, options)

    def get(self, ref: int, timeout: float | None = None) -> Any:
        """The result of a call."""
        found = self.results[ref]
        if isinstance(found, Exception):
            raise found
        return found

    def wait(
        self, refs: Sequence[int], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[int], list[int]]:
        """All are ready."""
        return [*refs], []
