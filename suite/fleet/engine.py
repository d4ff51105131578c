"""Ray, as a fleet uses it: nodes that joined and left, works that were done or failed there.

Where a work runs is chosen here and not left to Ray, which retries by itself but does not say
where a work has failed: a node that breaks whatever it is given would be given more of it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from suite.fleet import node as nodes
from suite.fleet.dispatch import Work
from suite.fleet.loop import Answered, ClusterLost, Event, Failed, Files, Joined, Left
from suite.records.machines import facts_of, text_of
from suite.session import store
from suite.session.plan import Plan
from suite.session.reporter import Reporter
from suite.system import devices
from tasks.task import RequestError

RESOURCE = "tetragrad"
HOW = "ray start --address=HEAD:6379 --resources='{\"tetragrad\": 1}'"
ADDRESSES = "auto, HOST:PORT, ray://HOST:PORT, or local:N for N nodes on this machine"
LOOK = 2.0
"""Seconds between looks at which nodes there are."""
TICK = 1.0
"""Seconds to wait for an answer before anything else is looked after."""
PATIENCE = 600.0
"""Seconds that nodes may take to tell about themselves: they may have to fetch data."""
SILENCE = 20.0
"""Seconds after which a head that does not answer is lost."""
NAMED = 5
"""So many differences of a node are named, at most."""


@dataclass
class _Seen:
    """A node as Ray tells of it."""

    name: str
    cpus: float
    asked: Any = None
    """The question what it has; None once it has answered."""


@contextmanager
def connected(address: str, say: Callable[[str], None]) -> Iterator[ModuleType]:
    """Ray, connected to a cluster as long as the block lasts. RequestError if it cannot be.

    ``say`` tells how further nodes join those that are started here.
    """
    ray = _ray()
    match = re.fullmatch(r"local:([1-9]\d?)", address)
    known = match or re.fullmatch(r"auto|(ray://|(?!local:))[^\s/:]+:\d+", address)
    if not known:
        raise RequestError(f"--cluster {address} is no address; give {ADDRESSES}")
    local = _start(int(match[1])) if match else None
    # Ray prints the logs of a node that dies, among what we print for programs
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            _connect(ray, local.address if local else address, address)
            if local:
                say(f"further nodes join with: {HOW.replace('HEAD:6379', local.address)}")
            yield ray
        finally:
            ray.shutdown()
            if local:
                local.shutdown()


def _connect(ray: ModuleType, where: str, asked: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own
            ray.init(where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        why = str(error).strip().splitlines()[0]
        raise RequestError(f"--cluster {asked} cannot be reached: {why}") from None


def _ray() -> ModuleType:
    # Ray would tell its makers of its use; and a process without a card is not to be told of cards
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # slow to import, rarely needed
    except ImportError:
        raise RequestError(
            "--cluster needs Ray, which is not installed; pip install 'tetragrad[cluster]'"
        ) from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    module: ModuleType = ray
    return module


def _start(count: int) -> Any:
    """A cluster of so many nodes on this machine, which ends with this process."""
    from ray.cluster_utils import Cluster

    def node(number: int) -> dict[str, Any]:
        return {
            "num_cpus": 1,
            "resources": {RESOURCE: 1},
            "node_name": f"local-{number}",
            "object_store_memory": 100 << 20,
            "include_dashboard": False,
        }

    cluster = Cluster()
    try:
        for number in range(1, count + 1):
            cluster.add_node(**node(number))
    except Exception as error:
        cluster.shutdown()
        if type(error) is not Exception:
            raise
        why = str(error).partition(". ")[0]
        raise RequestError(
            f"--cluster local:{count} cannot be started here: {why}; Ray gives a node half a "
            "minute, so try again when this machine is less busy"
        ) from None
    return cluster


class RayCluster:
    """The nodes of a cluster that are there for comparisons, and what they are doing.

    All methods raise ClusterLost once Ray cannot be reached.
    """

    def __init__(self, ray: ModuleType, plan: Plan, reporter: Reporter):
        """Asks every node what it has. RequestError if one differs from here, or none is there."""
        self._ray, self._plan, self._reporter = ray, plan, reporter
        self._gpus = int(devices.kind(plan.conditions.device) == devices.CUDA)
        self._seen: dict[str, _Seen] = {}
        self._running: dict[Any, tuple[str, Work, float]] = {}
        """Works that run, by Ray's reference: node, work, and when it began [s]."""
        self._joined: list[Joined] = []
        self._looked = 0.0
        self._asked: tuple[queue.SimpleQueue[Any], float] | None = None
        """The question which nodes there are, and since when there is no answer [s]."""
        self.session = ""
        self.sources: dict[str, Any] = {}
        """The data that nodes have, real or generated, by task."""
        self._here = nodes.facts(plan, data=False)["versions"]
        self._describe = ray.remote(max_retries=0, num_cpus=0)(nodes.describe)
        self._work = ray.remote(max_retries=0)(nodes.work)
        self._forget = ray.remote(max_retries=0, num_cpus=0)(nodes.forget)
        self._meet()

    def _meet(self) -> None:
        """Gets to know the nodes that are there at the beginning."""
        list(self._look(SILENCE))
        if not self._seen:
            card = " and a GPU" if self._gpus else ""
            raise RequestError(f"no node has the resource {RESOURCE}{card}; start nodes with {HOW}")
        end, wrong = time.monotonic() + PATIENCE, []
        for key, node in [*self._seen.items()]:
            try:
                answer = self._ray.get(node.asked, timeout=max(0.1, end - time.monotonic()))
                why = self._unlike(json.loads(answer))
            except self._ray.exceptions.RayError as error:
                why = _why(error)
            if why:
                wrong.append(f"{node.name}: {why}")
            else:
                self._welcome(key, json.loads(answer))
        if wrong:
            raise RequestError(
                f"nodes differ from this machine: {'; '.join(wrong)}; make them equal, or start "
                "the command where the same is installed"
            )

    def _welcome(self, key: str, facts: Mapping[str, Any]) -> None:
        self._seen[key].asked = None
        self.sources = self.sources or dict(facts["data"])
        kind = text_of(facts_of(facts["machine"]))
        self._joined.append(Joined(key, self._seen[key].name, kind))

    def _unlike(self, facts: Mapping[str, Any]) -> str | None:
        """Differences of a node from this machine and other nodes; None if it can be used."""
        if facts["refused"]:
            return str(facts["refused"])
        own: Mapping[str, str] = facts["versions"]
        names = [n for n in {**self._here, **own} if self._here.get(n) != own.get(n)]
        said = [
            f"{name} is {own.get(name, 'missing')} there and {self._here.get(name, 'missing')} here"
            for name in names[:NAMED]
        ]
        if more := len(names) - len(said):
            said.append(f"and {more} more")
        said += [
            f"it has {source} data for {task}, others have {self.sources[task]}"
            for task, source in facts["data"].items()
            if self.sources and self.sources[task] != source
        ]
        return ", ".join(said) or None

    def start(self, node: str, work: Work, files: Files) -> None:
        """Lets a node begin a work; all of the node's processors are its own."""
        seen = self._seen.get(node)
        if seen is None:  # it has just left, which will be told
            return
        with _reaching():
            options = {"resources": {RESOURCE: 1}, "num_cpus": seen.cpus, "num_gpus": self._gpus}
            own = self._at(self._work, node, **options)
            ref = own.remote(dict(files), self.session, node)
        self._running[ref] = node, work, time.monotonic()

    def _at(self, function: Any, node: str, **options: Any) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(node, soft=False)
        return function.options(scheduling_strategy=place, **options)

    def events(self) -> Iterator[Event]:
        """Joined nodes, those that left, and answers, after a moment."""
        joined, self._joined = self._joined, []
        yield from joined
        if self._running and not joined:
            with _reaching():
                refs = [*self._running]
                if self._ray.wait(refs, num_returns=1, timeout=TICK)[0]:
                    ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
                    yield from [self._answer(ref) for ref in ready]
        elif not joined:
            time.sleep(TICK)
        if time.monotonic() - self._looked > LOOK:
            with _reaching():
                yield from self._look()
                self._hear_newcomers()

    def _answer(self, ref: Any) -> Event:
        node, work, begin = self._running.pop(ref)
        try:
            files, why = self._ray.get(ref, timeout=PATIENCE)
        except self._ray.exceptions.RayError as error:
            files, why = {}, _why(error)
            self._looked = 0.0  # before the node is given anything else: it may be gone
        if why:
            return Failed(node, work, why)
        return Answered(node, work, files, time.monotonic() - begin)

    def _look(self, wait: float = 0.0) -> Iterator[Left]:
        """Nodes that are gone; those that are new are asked what they have."""
        nodes = self._nodes(wait)
        if nodes is None:
            return
        there = {
            info["NodeID"]: info
            for info in nodes
            if info["Alive"]
            and info["Resources"].get(RESOURCE, 0) >= 1
            and info["Resources"].get("GPU", 0) >= self._gpus
        }
        for key in [key for key in self._seen if key not in there]:
            name = self._seen.pop(key).name
            self._reporter.say(f"{name} is gone")
            yield Left(key, "the node is gone")
        for key, info in there.items():
            if key in self._seen:
                continue
            name = info["NodeName"]
            names = {seen.name for seen in self._seen.values()}
            seen = _Seen(
                f"{name}-{key[:4]}" if name in names else name, info["Resources"].get("CPU", 0)
            )
            seen.asked = self._at(self._describe, key).remote(store.text_of(self._plan))
            self._seen[key] = seen

    def _nodes(self, wait: float = 0.0) -> Sequence[Mapping[str, Any]] | None:
        """All nodes, as Ray tells of them; None if it has not answered yet, after ``wait`` [s].

        It is asked aside: without its head Ray is silent for a minute and then ends this process,
        while what nodes have done still comes. ClusterLost after a third of that.
        """
        if self._asked is None:
            answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
            threading.Thread(target=lambda: answer.put(self._ray.nodes()), daemon=True).start()
            self._asked = answer, time.monotonic()
        answer, begin = self._asked
        try:
            nodes: Sequence[Mapping[str, Any]] = answer.get(timeout=wait or 0.01)
        except queue.Empty:
            if time.monotonic() - begin > SILENCE:
                raise ClusterLost(f"its head has not answered for {SILENCE:g} s") from None
            return None
        self._asked, self._looked = None, time.monotonic()
        return nodes

    def _hear_newcomers(self) -> None:
        asked = {seen.asked: key for key, seen in self._seen.items() if seen.asked is not None}
        if not asked:
            return
        ready, _ = self._ray.wait([*asked], num_returns=len(asked), timeout=0)
        for ref in ready:
            seen = self._seen[asked[ref]]
            try:
                facts = json.loads(self._ray.get(ref))
                why = self._unlike(facts)
            except self._ray.exceptions.RayError as error:
                why = _why(error)
            if why:
                seen.asked = None
                self._reporter.say(f"{seen.name} joins and is left out: {why}")
            else:
                self._reporter.say(f"{seen.name} joins")
                self._welcome(asked[ref], facts)

    def forget(self) -> None:
        """Has the nodes remove what the session left there, if they do so at once."""
        refs = [self._at(self._forget, key).remote(self.session, key) for key in self._seen]
        self._ray.wait(refs, num_returns=len(refs), timeout=10) if refs else None


@contextmanager
def _reaching() -> Iterator[None]:
    """A block that asks the cluster for something."""
    import ray

    try:
        yield
    except (ConnectionError, ray.exceptions.RaySystemError, ray.exceptions.RpcError) as error:
        raise ClusterLost(_why(error)) from None


def _why(error: BaseException) -> str:
    """The reason in an error of Ray's, on one line."""
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()] or [""]
    said = re.split(r"(?<=[.!]) ", lines[0])[0][:300]
    if isinstance(cause, ModuleNotFoundError):
        return f"{said}: Tetragrad is not installed there"
    return f"{type(cause).__name__}: {said}"
