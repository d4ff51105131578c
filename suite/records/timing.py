"""Timings of backends that took turns: rates, ratios round by round, and when they suffice.

One JSON file for each task of a session, ``results/timings/<session>/<task>.json``, and for each
scale of batches that it was timed at besides: ``<task>-x4.json``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from math import hypot, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from suite.records import record as records
from suite.records.cell import Conditions, conditions_from
from suite.records.statistics import median_interval, settled
from tasks.paths import because
from tasks.task import RequestError

SCHEMA_VERSION = 2
"""Timings of version 1, which had the conditions among their own fields, are read too."""
LEAST_ROUNDS = 8
SURE = 0.98
"""Confidence at which rounds end: more than what is told, for one looks after every round."""
PROCESS = 0.005
"""Standard deviation of the ratio of two processes of one build, however long they are timed: where
their memory happens to lie. On the safe side: ``tests.clock.processes`` found 0.2% for fashion_mlp
in NumPy, and for PyTorch nothing beyond chance."""
PRECISE = 0.02
"""Half the width of a ratio's interval, relative, at which it is known well enough."""

MedianInterval = tuple[float, float, float]
"""Median, low and high end of its 95% interval."""
UNDECIDED = "undecided"
"""Two that cannot be told apart: the interval of their ratio contains 1."""


@dataclass(frozen=True)
class Contestant:
    """One backend in one mode, and the seconds of its turns, round by round."""

    name: str
    """``backend:mode``, with ``#2`` behind for the second of the same."""
    backend: str
    mode: str
    verified: bool
    seconds: tuple[float, ...]
    idle_load: float
    """Processor seconds per second used while others worked."""

    @property
    def first(self) -> bool:
        """Tells if it is the first of the same backend and mode."""
        return "#" not in self.name


@dataclass(frozen=True)
class Timing:
    """Turns that contestants took with the same chunks, ``samples`` (rounds,) of ``unit``.

    ``operations`` (rounds,) are the floating-point operations that a turn needs.
    """

    session: str
    conditions: Conditions
    """Those of all contestants: without a backend. Batches that are ``batch_scale`` times as large
    as the task's are timed alone: the task was verified without."""
    created: str
    unit: str
    samples: tuple[int, ...]
    contestants: tuple[Contestant, ...]
    operations: tuple[float, ...] = ()
    machine: dict[str, float] = field(default_factory=dict)
    """Rates that the machine attains: ``matmul`` [operations/s], ``copy`` [bytes/s]; or nothing."""
    warm_up_rounds: int = 0
    """Rounds left out because someone was still warming up."""
    wanted_base: str | None = None
    """The contestant to which ratios are to be formed; None: NumPy, or the first there is."""
    stopped: str = ""
    """``interval``: every ratio is known well enough; ``limit``: the time was over."""
    warnings: tuple[str, ...] = ()
    ended: str | None = None
    """When the last round was over, UTC, ISO 8601; None in timings of before this was kept."""
    batch: int | None = None
    """Samples (of a text: streams) in a batch; None in timings of before it was kept."""
    host: dict[str, Any] = field(default_factory=dict)
    """The machine, as a record has it; nothing in timings of before it was kept."""
    other_machine: str = ""
    """A digest of the machine, where one of another kind timed the same in this session before."""
    schema_version: int = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """The task as it is asked for: ``task`` or ``task:variant``."""
        return self.conditions.task_label

    @property
    def title(self) -> str:
        """Its name among the timings of a session."""
        own = titled(self.conditions)
        return f"{own} on {self.other_machine}" if self.other_machine else own

    def contestant(self, name: str) -> Contestant:
        """The contestant of that name; RequestError if there is none."""
        for found in self.contestants:
            if found.name == name:
                return found
        there = ", ".join(c.name for c in self.contestants)
        raise RequestError(f"{name!r} was not timed; there are: {there}")

    def throughput(self, name: str) -> MedianInterval:
        """Samples (or tokens) per second."""
        return median_interval(np.divide(self.samples, self.contestant(name).seconds).tolist())

    def efficiency(self, name: str) -> MedianInterval | None:
        """The fraction of the attainable rate of matrix products; None where that is not known."""
        if not (any(self.operations) and "matmul" in self.machine):
            return None
        rates = np.divide(self.operations, self.contestant(name).seconds)
        return median_interval((rates / self.machine["matmul"]).tolist())

    def ratio(self, name: str, base: str, confidence: float = 0.95) -> MedianInterval:
        """How many times as fast as ``base`` it is, from ratios within rounds.

        The interval is that of the median, widened by what processes of one build differ by.
        """
        return self.compared((name,), (base,), confidence)

    def compared(
        self, names: Sequence[str], bases: Sequence[str], confidence: float = 0.95
    ) -> MedianInterval:
        """The product of the ratios of ``names`` to as many ``bases``, formed within rounds.

        A contestant that is on both sides counts on neither.
        """
        own, other = Counter(names) - Counter(bases), Counter(bases) - Counter(names)
        if not own:
            return 1.0, 1.0, 1.0
        pairs = [
            np.divide(self.contestant(base).seconds, self.contestant(name).seconds)
            for name, base in zip(own.elements(), other.elements(), strict=True)
        ]
        middle, low, high = median_interval(np.prod(pairs, axis=0).tolist(), confidence)
        process = _sure(confidence) * PROCESS * sqrt(len(pairs)) * middle
        return middle, middle - hypot(middle - low, process), middle + hypot(high - middle, process)

    def cost(self, terms: Sequence[tuple[int, str]], confidence: float = 0.95) -> MedianInterval:
        """The sum of seconds per sample, each contestant's with its sign, formed within rounds.

        The interval is widened as that of a ratio.
        """
        signs = np.array([sign for sign, _ in terms])
        seconds = [self.contestant(name).seconds for _, name in terms]
        costs = np.divide(seconds, self.samples)  # (terms, rounds)
        middle, low, high = median_interval((signs @ costs).tolist(), confidence)
        typical = float(np.linalg.norm(np.median(costs, axis=1)))
        process = _sure(confidence) * PROCESS / sqrt(2) * typical
        return middle, middle - hypot(middle - low, process), middle + hypot(high - middle, process)

    def told(self, name: str) -> dict[str, Any]:
        """The part of this that a cell's record keeps as ``timed``."""
        found = {"throughput": self.throughput(name), "efficiency": self.efficiency(name)}
        kept = {n: dict(zip(records.ENDS, ends, strict=True)) for n, ends in found.items() if ends}
        return {"rounds": len(self.samples), **dict.fromkeys(found), **kept}

    def spread(self, name: str) -> MedianInterval:
        """Its throughput's interval as a multiple of the median: what a base itself varies by."""
        middle, low, high = self.throughput(name)
        return 1.0, low / middle, high / middle

    def verdict(self, name: str) -> str:
        """``faster`` or ``slower`` than the base, ``undecided``, or ``base``."""
        return "base" if name == self.base else verdict(self.ratio(name, self.base))

    @property
    def base(self) -> str:
        """The contestant to which ratios are formed unless another is named."""
        names = [c.name for c in self.contestants]
        if self.wanted_base in names:
            return str(self.wanted_base)
        return next((c.name for c in self.contestants if c.backend == "numpy"), names[0])

    def precise(self, confidence: float = SURE) -> bool:
        """Tells if there are enough rounds, and all ratios to the base are known well enough."""
        if len(self.samples) < LEAST_ROUNDS:
            return False
        others = [c.name for c in self.contestants if c.name != self.base]
        ratios = [self.ratio(name, self.base, confidence) for name in others]
        return all((high - low) / 2 <= PRECISE * middle for middle, low, high in ratios)


def _sure(confidence: float) -> float:
    """How many standard deviations of a normal distribution lie within that confidence."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def verdict(ratio: MedianInterval) -> str:
    """The verdict of a ratio's interval on two contestants: faster, slower or undecided."""
    _, low, high = ratio
    return "faster" if low > 1 else "slower" if high < 1 else UNDECIDED


def titled(conditions: Conditions) -> str:
    """The task's label, but ``fashion_mlp x4`` for batches four times as large."""
    scale = conditions.batch_scale
    return conditions.task_label if scale == 1 else f"{conditions.task_label} x{scale}"


def of_speed(conditions: Conditions) -> Conditions:
    """The conditions on which speeds rest: when training stops is none of them."""
    return conditions.without("backend", "mode", "early_stopping")


def of_speed_at_any_batch(conditions: Conditions) -> Conditions:
    """The same, but for the size of batches, against which speeds are shown."""
    return of_speed(conditions).at_batch_scale(1)


def path_of(results: Path, timing: Timing) -> Path:
    """Where a timing lies."""
    name = timing.title.replace(":", "-").replace(" ", "-")
    return results / "timings" / timing.session / f"{name}.json"


def write(results: Path, timing: Timing) -> Path:
    """Keeps a timing; its path. Raises NotWritten."""
    path = path_of(results, timing)
    try:
        records.write_json(path, asdict(timing))
    except OSError as error:
        raise records.NotWritten(f"the timing of {timing.title} {because(error)}") from None
    return path


def read(path: Path) -> Timing:
    """The timing at ``path``; RequestError if it is none, or of another schema version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        records.require_readable(path, document["schema_version"], SCHEMA_VERSION)
        contestants = tuple(_frozen(Contestant, c) for c in document.pop("contestants"))
        own = {"conditions": conditions_from(document), "contestants": contestants}
        timing: Timing = _frozen(Timing, {**document, **own, "schema_version": SCHEMA_VERSION})
        return timing
    except OSError as error:
        raise RequestError(f"{path} cannot be read {because(error)}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{path} is not a timing ({error}); move it away") from None


def of_session(results: Path, session: str) -> dict[str, Timing]:
    """The timings of a session by their titles: by task, where batches are the task's own."""
    found = (read(path) for path in sorted((results / "timings" / session).glob("*.json")))
    return {timing.title: timing for timing in found}


def sessions(results: Path) -> set[str]:
    """The sessions that have timings."""
    return {path.parent.name for path in (results / "timings").glob("*/*.json")}


def trimmed(timing: Timing) -> Timing:
    """Without the rounds at its beginning in which someone was still warming up."""
    rates = [np.divide(c.seconds, timing.samples) for c in timing.contestants]
    start = max((settled(np.log(rate).tolist()) for rate in rates), default=0)
    return replace(
        timing,
        samples=timing.samples[start:],
        operations=timing.operations[start:],
        contestants=tuple(replace(c, seconds=c.seconds[start:]) for c in timing.contestants),
        warm_up_rounds=timing.warm_up_rounds + start,
    )


def joined(first: Timing, second: Timing) -> Timing:
    """The rounds of both, of the same contestants, one after the other."""
    contestants = (
        replace(one, seconds=one.seconds + other.seconds)
        for one, other in zip(first.contestants, second.contestants, strict=True)
    )
    return replace(
        second,
        samples=first.samples + second.samples,
        operations=first.operations + second.operations,
        contestants=tuple(contestants),
        warm_up_rounds=first.warm_up_rounds + second.warm_up_rounds,
        warnings=tuple(dict.fromkeys(first.warnings + second.warnings)),
    )


def joined_all(found: Sequence[Timing]) -> Timing:
    """The rounds of the timings, at least one, that had the most contestants.

    They are joined in pairs: one after the other, a thousand would be copied a thousand times.
    """
    most = max((tuple(c.name for c in timing.contestants) for timing in found), key=len)
    own = [timing for timing in found if tuple(c.name for c in timing.contestants) == most]
    while len(own) > 1:
        own = [joined(*own[n : n + 2]) if own[n + 1 :] else own[n] for n in range(0, len(own), 2)]
    return own[0]


def _frozen(kind: Any, document: dict[str, Any]) -> Any:
    """A dataclass of a JSON document, whose lists become tuples."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in document.items()})


def names(labels: Sequence[str]) -> list[str]:
    """Labels made unique: ``torch:eager`` again is ``torch:eager#2``."""
    found: list[str] = []
    for label in labels:
        count = sum(name.partition("#")[0] == label for name in found)
        found.append(f"{label}#{count + 1}" if count else label)
    return found
