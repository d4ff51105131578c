"""The steps of a session on a card: what each asks of ``tetragrad``, and how long it may take.

Seconds are guesses until a card has been seen: the journal has what a step really took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import tasks
from tasks import datasets
from tasks.task import RequestError

SIX = ("fashion_mlp", "imdb_text", "autoencoder", "fewshot", "lstm", "transformer")
PROVED = ("torch", "jax", "numpy")
"""The contestants that are verified first."""
MODES = ("torch:compile", "torch:graph")
EVERY = (*PROVED[:1], *MODES, *PROVED[1:])
SEEDS = "5"
"""As many as a baseline needs at least."""
SCORING = {"autoencoder": ("sklearn", "threadpoolctl"), "transformer": ("sacrebleu",)}
"""Modules that tasks are scored with, which a machine may lack."""


@dataclass(frozen=True)
class Setting:
    """The options of a session that all its steps share."""

    device: str
    profile: str
    results: Path
    tasks: tuple[str, ...] = SIX


@dataclass(frozen=True)
class Step:
    """One command, with room for those of its ``backends`` that are there."""

    name: str
    words: tuple[str, ...]
    """The command line behind the program; ``--backend`` comes behind them."""
    seconds: float
    """It is not begun if less time is left."""
    backends: tuple[str, ...] = ()
    """None: it needs none, and is given none."""
    limit: float = 300.0
    """Seconds after which it is ended."""
    beside: bool = False
    """True if nothing is timed, so that its neighbours may run at the same time."""
    needs: tuple[str, ...] = ()
    """Modules besides those of backends."""
    program: tuple[str, ...] = ("-P", "-m", "tetragrad")
    """The words behind ``python`` that start it."""

    def command(self, there: Sequence[str]) -> list[str]:
        """The words behind ``python``, with those backends of its own that are ``there``."""
        chosen = [word for name in self.backends if name in there for word in ("--backend", name)]
        return [*self.program, *self.words, *chosen]

    def lacking(self, absent: Mapping[str, str]) -> str | None:
        """Why it cannot be done here at all; ``absent`` has a reason for every backend that is not
        there."""
        if missing := [name for name in self.needs if find_spec(name) is None]:
            return f"{', '.join(missing)} cannot be imported here"
        if self.backends and all(name in absent for name in self.backends):
            return "; ".join(dict.fromkeys(absent[name] for name in self.backends))
        return None


def data_of(task: str) -> str:
    """``real`` if the files of its data set lie here, else ``generated``; nothing is fetched."""
    source = datasets.source(tasks.DATASETS[task.partition(":")[0]])
    try:
        return "generated" if datasets.missing(source) else "real"
    except RequestError:  # nobody says where they would lie
        return "generated"


def steps(setting: Setting) -> list[Step]:
    """All of them, the most important first."""
    return [
        _facts(setting),
        *_verified(setting, PROVED, 35),
        *_verified(setting, MODES, 45),
        *_trained(setting),
        *_base(setting),
        *_batches(setting),
        *_baselines(setting),
    ]


def _facts(setting: Setting) -> Step:
    """Facts of the machine, and the rates that its products attain."""
    words = ("--device", setting.device, "--output", str(setting.results / "facts.json"))
    return Step("facts", words, 20, limit=120, program=("-P", "-m", "tests.card.facts"))


def _verified(setting: Setting, contestants: tuple[str, ...], seconds: float) -> Iterator[Step]:
    """Proofs in float64 and float32, kept for the steps that train."""
    behind = f" in {', '.join(contestants)}"
    for task in setting.tasks:
        words = ("verify", *_of(setting, task))
        yield Step(f"verify {task}{behind}", words, seconds, contestants, beside=True)


SECONDS = dict(zip(SIX, (35, 35, 40, 55, 55, 70), strict=True))
"""To train a task in all contestants and time them: mostly to start them."""


def _trained(setting: Setting) -> Iterator[Step]:
    """Records: quality, speeds with ratios, the device's clock beside the wall clock, energy."""
    for task in setting.tasks:
        words = (*_training("run", setting, task), "--timing-limit", "6", "--tracking", "none")
        yield Step(f"run {task}", words, SECONDS[task], EVERY, needs=SCORING.get(task, ()))


def _base(setting: Setting) -> Iterator[Step]:
    """The large transformer against the rate of products in bfloat16, at two sizes of batches."""
    if "transformer" not in setting.tasks:
        return
    words = _training("time", setting, "transformer:base")
    scales = ("--batch-scale", "1", "--batch-scale", "8", "--limit", "8")
    contestants = ("torch", "torch:graph", "jax")
    name = "time transformer:base in bfloat16"
    yield Step(name, (*words, "--precision", "bfloat16", *scales), 80, contestants)


def _batches(setting: Setting) -> Iterator[Step]:
    """Throughput with larger batches; that with the task's own is of the records."""
    scales = ("--batch-scale", "4", "--batch-scale", "16", "--limit", "5")
    for task in ("fashion_mlp", "transformer"):
        if task in setting.tasks:
            words = (*_training("time", setting, task), *scales)
            yield Step(f"time {task} with larger batches", words, 40, PROVED)


def _baselines(setting: Setting) -> Iterator[Step]:
    """Runs of several seeds, which begin side by side: their seconds are never taken for speeds."""
    where = ("--baselines", str(setting.results / "baselines"))
    for task in setting.tasks:
        words = ("baseline", "update", *_of(setting, task), "--profile", "smoke")
        seeds = ("--seeds", SEEDS, *where)
        needs = SCORING.get(task, ())
        yield Step(f"baseline {task}", (*words, *seeds), 25, PROVED, needs=needs)


def _training(command: str, setting: Setting, task: str) -> tuple[str, ...]:
    # a contestant that takes forever costs itself alone
    return (command, *_of(setting, task), "--profile", setting.profile, "--timeout", "120")


def _of(setting: Setting, task: str) -> tuple[str, ...]:
    results = ("--results", str(setting.results))
    return ("--task", task, "--device", setting.device, "--data", data_of(task), *results)
