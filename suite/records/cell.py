"""Conditions and cells: the one identity of a result, and of all that is made from results."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tasks import BATCH_SCALE, outside
from tasks.task import DataSource, Precision

LONGEST = 180
"""Characters of a file's name that say what was chosen: a name has 255 at most."""
OPTION = "option"
"""Metadata of a field: the option of ``tetragrad run`` that asks for it."""


def _asked_by(option: str) -> dict[str, str]:
    return {OPTION: option}


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of a result: numbers are compared only where these are equal.

    They alone make a cell's label, file name, key, order and the command line that repeats it. A
    timing, a baseline, a section of a report and a series of the history hold conditions; where
    they are of several backends, ``backend`` and ``mode`` are empty. A further field needs a
    default, with which it is in no label, and the option that asks for it.
    """

    task: str = ""
    """Its name; of a task in a folder, that folder's absolute path."""
    variant: str | None = None
    backend: str = ""
    mode: str = ""
    device: str = field(default="cpu", metadata=_asked_by("--device"))
    precision: Precision = field(default="float32", metadata=_asked_by("--precision"))
    profile: str = field(default="quick", metadata=_asked_by("--profile"))
    data: DataSource = field(default="real", metadata=_asked_by("--data"))
    threads: int = field(default=1, metadata=_asked_by("--threads"))
    early_stopping: int | None = field(default=None, metadata=_asked_by("--early-stopping"))
    """Epochs without a lower validation metric after which training ends; None: it does not."""
    options: dict[str, str] = field(default_factory=dict, metadata=_asked_by("--set"))
    """Constants of the task that were chosen, by name."""

    @property
    def task_label(self) -> str:
        """The task as it is asked for: ``task``, ``task:variant``, or the path of a folder."""
        return f"{self.task}:{self.variant}" if self.variant else outside.shown(self.task)

    @property
    def backend_label(self) -> str:
        """The backend as it is asked for: ``backend:mode``."""
        return f"{self.backend}:{self.mode}"

    @property
    def batch_scale(self) -> int:
        """How many times as large batches are as those of the task."""
        return int(self.options.get(BATCH_SCALE, 1))

    @property
    def shared(self) -> Conditions:
        """The conditions that backends which are compared have in common."""
        return self.without("backend", "mode")

    def without(self, *names: str) -> Conditions:
        """The conditions with the fields of these names as if nobody had asked for them."""
        own = {f.name: getattr(self, f.name) for f in fields(Conditions)}
        return Conditions(**{name: value for name, value in own.items() if name not in names})

    def at_batch_scale(self, scale: int) -> Conditions:
        """The same conditions with batches so many times as large as the task's."""
        options = {name: v for name, v in self.options.items() if name != BATCH_SCALE}
        return replace(self, options=options | ({BATCH_SCALE: str(scale)} if scale > 1 else {}))

    @property
    def key(self) -> tuple[tuple[str, Any], ...]:
        """All fields, hashable."""
        return tuple((f.name, _hashable(getattr(self, f.name))) for f in fields(Conditions))

    @property
    def choices(self) -> dict[str, str]:
        """The choices that most results do not have, as texts: early stopping, options, ..."""
        plain = ("device", "precision", "profile", "data", "threads")
        chosen = {
            f.name.replace("_", " "): getattr(self, f.name)
            for f in fields(Conditions)
            if OPTION in f.metadata and f.name not in (*plain, "options")
        }
        chosen = {name: value for name, value in chosen.items() if value is not None}
        return {name: str(value) for name, value in (chosen | self.options).items()}

    @property
    def file_name(self) -> str:
        """A name for files, unique among the conditions of a session."""
        task = "-".join(filter(None, (outside.plain(self.task), self.variant)))
        parts = (task, self.backend, self.mode, self.device, self.precision)
        chosen = (f"{name}-{value}".replace(" ", "_") for name, value in self.choices.items())
        choices = "-".join(map(_plain, chosen))
        if len(choices) > LONGEST:
            choices = _digest(choices)
        return "-".join(filter(None, (*parts, choices)))

    def arguments(self) -> str:
        """The options of ``tetragrad run`` that ask for this, but task, backend and seeds."""
        said = []
        for one in fields(Conditions):
            value, option = getattr(self, one.name), one.metadata.get(OPTION)
            if one.name == "options":
                said += [f"{option} {shlex.quote(f'{n}={v}')}" for n, v in value.items()]
            elif option and (value != one.default or one.name not in ("precision",)):
                said += [f"{option} {shlex.quote(str(value))}"] if value is not None else []
        return " ".join(said)


@dataclass(frozen=True, kw_only=True)
class Cell(Conditions):
    """One training run to make: its conditions and its seed."""

    seed: int = 0

    @property
    def label(self) -> str:
        """A name for files, unique within a session."""
        return f"{self.file_name}-seed{self.seed}"

    @property
    def conditions(self) -> Conditions:
        """The conditions without the seed."""
        return self.without()


def conditions_from(document: dict[str, Any]) -> Conditions:
    """Takes the conditions out of a JSON document; schema version 1 has them among other fields."""
    if document["schema_version"] > 1:
        return Conditions(**document.pop("conditions"))
    own = {f.name: document.pop(f.name) for f in fields(Conditions) if f.name in document}
    return Conditions(**own).at_batch_scale(int(document.pop(BATCH_SCALE, 1)))


def where(cells: Iterable[Conditions]) -> str:
    """The device of ``cells``; where they differ, each with its backends: ``cpu (numpy:eager)``."""
    by_device: dict[str, dict[str, None]] = {}
    for cell in cells:
        by_device.setdefault(cell.device, {})[cell.backend_label] = None
    if len(by_device) == 1:
        return next(iter(by_device))
    return ", ".join(f"{device} ({', '.join(names)})" for device, names in by_device.items())


def computed(device: str, precision: str) -> str:
    """Where and how a table's figures came about: the precision too, if it is not float32."""
    return device if precision == "float32" else f"{device} · {precision}"


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


def _plain(text: str) -> str:
    """The text if it can be part of a file's name, or a digest of it."""
    if re.fullmatch(r"[\w.-]{1,40}", text, re.ASCII):
        return text
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
