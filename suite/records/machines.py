"""Machines as a dimension of results: which sessions ran on the same one, and what each came to.

A machine is known by what a record says of it: processor, cores, memory, kernel, microcode, the
limits of its container. Two that agree in all of that are one. Records of before some of it was
kept say nothing of it, so they agree with more than one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from statistics import NormalDist
from typing import Any

import numpy as np

from suite.records.statistics import median_interval
from suite.records.timing import PROCESS
from suite.system.readings import NOT_READABLE

Facts = Mapping[str, str]
"""A machine's facts by name, all as text, the processor's name as ``cpu``."""
FEWEST = 3
"""Values that it takes for an interval."""
_NONE = "none"


def facts_of(machine: Mapping[str, Any]) -> dict[str, str]:
    """The facts by which a machine is known, out of a record's or a timing's document."""
    named = {"cpu": "cpu", "model": "cpu_model", "cores": "cores", "threads": "logical_cores"}
    named |= {"kernel": "kernel", "microcode": "microcode"}
    found = {name: machine.get(key) for name, key in named.items()}
    memory = {"memory": machine.get("memory_bytes")}
    limits = {}
    if "cpu_limit" in machine:  # None: there is none
        limits["CPU limit"] = _NONE if machine["cpu_limit"] is None else machine["cpu_limit"]
        memory["memory limit"] = machine.get("memory_limit_bytes") or _NONE
    sizes = {
        name: f"{value / 1e9:.0f} GB" if isinstance(value, int | float) else value
        for name, value in memory.items()
    }
    known = {**found, **sizes, **limits}
    return {k: str(v) for k, v in known.items() if v is not None and v != NOT_READABLE}


def text_of(facts: Facts) -> str:
    """``cpu: AMD EPYC; cores: 2; kernel: 6.1``, from which ``facts_in`` reads them."""
    return "; ".join(f"{name}: {value.replace(';', ',')}" for name, value in facts.items())


def facts_in(text: str) -> dict[str, str]:
    """The facts in such a text."""
    pairs = (part.partition(": ") for part in text.split("; ") if part)
    return {name: value for name, _, value in pairs}


def names_of(found: Sequence[Facts]) -> list[str]:
    """The name of each one's machine: its processor, and what tells it from the other machines."""
    machines: list[dict[str, str]] = []
    places: dict[str, int] = {}
    for text in sorted({*map(text_of, found)}, key=lambda text: (-len(facts_in(text)), text)):
        facts = facts_in(text)
        place = next((n for n, known in enumerate(machines) if _agree(known, facts)), len(machines))
        if place == len(machines):
            machines.append({})
        machines[place] = facts | machines[place]
        places[text] = place
    names = [_name(facts, machines) for facts in machines]
    return [names[places[text_of(facts)]] for facts in found]


def _name(facts: Facts, machines: Sequence[Facts]) -> str:
    """The processor, and what is otherwise on other machines with a processor of that name."""
    alike = [other for other in machines if other.get("cpu") == facts.get("cpu")]
    telling = [name for name in facts if len({other.get(name) for other in alike}) > 1]
    return ", ".join((facts.get("cpu", "?"), *(f"{name} {facts[name]}" for name in telling)))


def _agree(one: Facts, other: Facts) -> bool:
    return all(one[name] == other[name] for name in one.keys() & other.keys())


@dataclass(frozen=True)
class Block:
    """Rates (n,) of contestants, value by value measured beside each other on one machine."""

    machine: str
    rates: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Estimate:
    """A median with its 95% interval, which is None of too few values."""

    median: float
    low: float | None = None
    high: float | None = None

    def above(self, other: Estimate) -> bool:
        """Tells if it is higher beyond doubt."""
        return self.low is not None and other.high is not None and self.low > other.high


@dataclass(frozen=True)
class OnMachine:
    """One contestant on one machine: its rate, and the ratio to the base beside it there."""

    machine: str
    name: str
    rate: Estimate
    ratio: Estimate
    blocks: int


@dataclass(frozen=True)
class Machines:
    """The same contestants on different machines."""

    base: str
    names: tuple[str, ...]
    """The fastest on the whole first."""
    machines: tuple[str, ...]
    """The one with the highest rate of any contestant first."""
    entries: tuple[OnMachine, ...]

    def entry(self, machine: str, name: str) -> OnMachine | None:
        """A contestant on a machine; None if it was not measured there."""
        return next((entry for entry in self.of(machine) if entry.name == name), None)

    def of(self, machine: str) -> list[OnMachine]:
        """All contestants on a machine."""
        return [entry for entry in self.entries if entry.machine == machine]

    def winners(self, machine: str) -> tuple[str, ...]:
        """The fastest on a machine, and those that cannot be told from it."""
        there = self.of(machine)
        first = max(there, key=lambda entry: entry.ratio.median)
        return tuple(e.name for e in there if e is first or not first.ratio.above(e.ratio))

    @property
    def winner_depends(self) -> bool:
        """Tells if there are two machines with nobody who is among the fastest on both."""
        won = [{*self.winners(machine)} for machine in self.machines]
        return any(not one & other for one in won for other in won)

    def spread(self, name: str) -> float:
        """By what factor a contestant's ratio differs between machines."""
        ratios = [entry.ratio.median for entry in self.entries if entry.name == name]
        return max(ratios) / min(ratios)

    def across(self, name: str) -> Estimate:
        """The ratio over machines: geometric mean, and its 95% interval for such machines at large.

        Machines are blocks, each counts once: Student's t on the logarithms of their medians.
        """
        from scipy.special import stdtrit  # slow to import

        logs = [math.log(entry.ratio.median) for entry in self.entries if entry.name == name]
        middle = statistics.fmean(logs)
        if len(logs) < 2:
            return Estimate(math.exp(middle))
        half = stdtrit(len(logs) - 1, 0.975) * statistics.stdev(logs) / math.sqrt(len(logs))
        low, high = (math.exp(min(middle + way * half, 700.0)) for way in (-1, 1))
        return Estimate(math.exp(middle), low, high)


def compare(blocks: Iterable[Block], base: str) -> Machines | None:
    """Contestants over machines; None if there are no two machines that have the base in common.

    The base is ``base``, or else the first contestant that all machines have. Blocks that lack it
    are left out.
    """
    by_machine: dict[str, list[Block]] = {}
    for block in blocks:
        by_machine.setdefault(block.machine, []).append(block)
    there = [{name for block in own for name in block.rates} for own in by_machine.values()]
    candidates = dict.fromkeys((base, *(name for names in there for name in sorted(names))))
    common = [name for name in candidates if all(name in names for names in there)]
    if len(by_machine) < 2 or not common:
        return None
    entries = [
        _entry(machine, name, common[0], own)
        for machine, own in by_machine.items()
        for name in dict.fromkeys(n for b in own if common[0] in b.rates for n in b.rates)
    ]
    best = {m: max(e.rate.median for e in entries if e.machine == m) for m in by_machine}
    logs: dict[str, list[float]] = {}
    for entry in entries:
        logs.setdefault(entry.name, []).append(math.log(entry.ratio.median))
    return Machines(
        base=common[0],
        names=tuple(sorted(logs, key=lambda name: -statistics.fmean(logs[name]))),
        machines=tuple(sorted(by_machine, key=lambda machine: -best[machine])),
        entries=tuple(entries),
    )


def _entry(machine: str, name: str, base: str, blocks: Sequence[Block]) -> OnMachine:
    own = [block for block in blocks if {name, base} <= block.rates.keys()]
    rates = [rate for block in own for rate in block.rates[name]]
    ratios = [np.divide(block.rates[name], block.rates[base]).tolist() for block in own]
    rate, ratio = _estimate(rates), _estimate([r for found in ratios for r in found])
    if name == base:
        ratio = Estimate(1.0, 1.0, 1.0)
    elif ratio.low is not None and ratio.high is not None:
        # the processes of every block differ anew, see PROCESS
        process = NormalDist().inv_cdf(0.975) * PROCESS * ratio.median / math.sqrt(len(own))
        low = ratio.median - hypot(ratio.median - ratio.low, process)
        high = ratio.median + hypot(ratio.high - ratio.median, process)
        ratio = Estimate(ratio.median, low, high)
    return OnMachine(machine, name, rate, ratio, len(own))


def _estimate(values: Sequence[float]) -> Estimate:
    if len(values) < FEWEST:
        return Estimate(statistics.median(values))
    return Estimate(*median_interval(values))
