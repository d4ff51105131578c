"""The answer to which backend to take: who trains fastest, what a whole run costs, how sure it is.

Shares of tasks within a factor of the fastest are the performance profiles of Dolan & Moré,
"Benchmarking optimization software with performance profiles", 2002.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from suite.report import measures, words
from suite.report.document import Answer, Entry, Section
from suite.report.measures import Interval, Speed

START = ("import", "build", "compile")
"""Phases that a run pays once, however long it trains."""
FEWEST = 4
"""Tasks from which on a performance profile says something."""

Key = tuple[str, str]
"""A backend and a mode."""


def decision(sections: Sequence[Section], alone: bool) -> tuple[Answer, ...]:
    """The answers, one for all tasks of equal conditions in which two backends are compared.

    ``alone`` says that one machine made all of it.
    """
    groups = of_equal_conditions(sections)
    found = []
    for group in groups:
        place = _place(group[0], alone, several=len(groups) > 1)
        if len(group) == 1:
            said = f"{place}: {speed(group[0])}", " ".join(_of_section(group[0]))
            found.append(Answer(said[0], tuple(filter(None, said[1:]))))
        else:
            told = (" ".join((f"{s.title}: {speed(s)}", *_of_section(s))) for s in group)
            found.append(Answer(f"{place}, {_tally(group)}.", tuple(told)))
    return tuple(found)


def of_equal_conditions(sections: Sequence[Section]) -> list[list[Section]]:
    """Those in which two backends or more are compared, by all conditions but the task's own."""
    groups: dict[object, list[Section]] = {}
    for section in sections:
        if len(section.speeds) > 1:
            own = ("task", "variant", "data", "options", "early_stopping")
            groups.setdefault(section.conditions.without(*own).key, []).append(section)
    return list(groups.values())


def _place(section: Section, alone: bool, several: bool) -> str:
    own = section.conditions
    threads = "one thread" if own.threads == 1 else f"{own.threads} threads"
    machine = "this machine" if alone else "these machines"
    device = "" if own.device == "cpu" else f", with {own.device}"
    precision = "" if own.precision == "float32" else f", in {own.precision}"
    profile = f", in the {own.profile} profile" if several else ""
    return f"On {machine}, at {threads}{device}{precision}{profile}"


def _names(section: Section) -> dict[Key, str]:
    return {(e.backend, e.mode): e.name for e in section.entries}


def contestants(group: Sequence[Section]) -> list[Key]:
    """All that were run in any of the sections."""
    return list(dict.fromkeys(key for section in group for key in _names(section)))


def _tally(group: Sequence[Section]) -> str:
    """In how many tasks each is fastest, and in how many more it may be."""
    keys = contestants(group)
    sure, perhaps = dict.fromkeys(keys, 0), dict.fromkeys(keys, 0)
    for section in group:
        near = [(s.backend, s.mode) for s in section.speeds if s.near]
        counted = sure if len(near) == 1 else perhaps
        for key in near:
            counted[key] += 1
    there = sorted(
        (key for key in keys if sure[key] + perhaps[key]),
        key=lambda key: (-sure[key], -perhaps[key]),
    )
    said = []
    for number, key in enumerate(there):
        tasks = "" if number else f" of {len(group)} tasks"
        counts = [f"in {sure[key]}{tasks}"] if sure[key] else []
        counts += [f"perhaps in {perhaps[key]}{' more' if counts else tasks}"] * bool(perhaps[key])
        said.append(
            f"{words.name(*key, keys)}{'' if number else ' is fastest'} {' and '.join(counts)}"
        )
    doubt = ". Perhaps: the 95% intervals do not tell it apart from the fastest"
    return "; ".join(said) + (doubt if any(perhaps.values()) else "")


def speed(section: Section) -> str:
    """Who trains fastest, and by how much: the 95% interval of the ratio to the next."""
    names = _names(section)
    first = measures.fastest(section.speeds)
    others = sorted(
        (s for s in section.speeds if s is not first), key=lambda s: -s.of_fastest.median
    )
    name = names[first.backend, first.mode]
    if near := [s for s in others if s.near]:
        every = words.listed([name, *(names[s.backend, s.mode] for s in near)])
        ratios = words.listed(f"{names[s.backend, s.mode]} {_between(s.of_fastest)}" for s in near)
        return f"{every} train fastest and cannot be told apart ({ratios} times as fast as {name})."
    second = others[0]
    times = _inverse(second.of_fastest)
    return (
        f"{name} trains fastest, {words.ratio(times.median)} times as fast as "
        f"{names[second.backend, second.mode]}, the next (95% interval {_between(times)})."
    )


def _between(interval: Interval) -> str:
    return f"{words.ratio(interval.low)} to {words.ratio(interval.high)}"


def _inverse(ratio: Interval) -> Interval:
    return Interval(1 / ratio.median, 1 / ratio.high, 1 / ratio.low)


def _of_section(section: Section) -> Iterator[str]:
    """The cost of a whole run, who is not compared, and what was not equal."""
    yield from _cost(section)
    if wrong := [e.name for e in section.entries if e.seeds and not e.verified]:
        yield f"Not compared, for it is not verified: {words.listed(wrong)}."
    if section.unequal:
        yield f"Compare with care: {words.listed(section.unequal)}."


def _cost(section: Section) -> Iterator[str]:
    """The shortest whole run, and when the start of who trains fastest is paid back."""
    speeds = {(s.backend, s.mode): s for s in section.speeds}
    ran = [e for e in section.entries if (e.backend, e.mode) in speeds and _whole(e) > 0]
    if len(ran) < 2:
        return
    cheap = min(ran, key=_whole)
    first = measures.fastest(section.speeds)
    fast = next((e for e in ran if (e.backend, e.mode) == (first.backend, first.mode)), cheap)
    epochs = words.count(round(cheap.epochs), "epoch")
    yield f"The whole run of {epochs} took least in {cheap.name}: {_bill(cheap)}."
    if fast is not cheap:
        again = _paid_back(cheap, fast, speeds[cheap.backend, cheap.mode])
        yield f"{fast.name} took {_bill(fast)}{again}."


def _bill(entry: Entry) -> str:
    """``0.75 s (0.11 s to import and compile) and 90 MB``; building is a part of compiling here."""
    whole, start = _whole(entry), _start(entry)
    memory = f" and {words.megabytes(entry.memory['peak'])} MB" if entry.memory else ""
    return f"{words.seconds(whole)} s ({words.seconds(start)} s to import and compile){memory}"


def _whole(entry: Entry) -> float:
    return sum(entry.phases.values())


def _start(entry: Entry) -> float:
    return sum(entry.phases.get(phase, 0.0) for phase in START)


def _paid_back(cheap: Entry, fast: Entry, speed: Speed) -> str:
    """Epochs after which the faster one is ahead: its later start by what it saves in an epoch.

    Seconds of an epoch are its samples by the rate; the interval is that of the ratio of the rates.
    """
    later = _start(fast) - _start(cheap)
    if later <= 0 or not cheap.epoch_samples:
        return ""
    if speed.near:
        return ", and is not surely faster: its later start may never be paid back"
    epoch = cheap.epoch_samples / speed.rate.median
    ratio = speed.of_fastest
    most, middle, fewest = (
        f"{math.ceil(later / (epoch * (1 - end))):,}"
        for end in (ratio.high, ratio.median, ratio.low)
    )
    return f"; its later start is paid back after {middle} epochs (95% {fewest} to {most})"


def within(sections: Sequence[Section]) -> dict[Key, list[float]]:
    """How many times longer than the fastest each takes, a number for every task, sorted.

    Infinite where it is not verified or came to nothing. Those that were not run in every task are
    left out.
    """
    found: dict[Key, list[float]] = {}
    for section in sections:
        there = {(s.backend, s.mode): 1 / min(s.of_fastest.median, 1) for s in section.speeds}
        for key in _names(section):
            found.setdefault(key, []).append(there.get(key, math.inf))
    return {key: sorted(times) for key, times in found.items() if len(times) == len(sections)}
