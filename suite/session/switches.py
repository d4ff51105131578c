"""The switches of ``tetragrad explain``: how a contestant stands, and to what it can be flipped."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import backends
from backends.program import Switching
from suite.records.cell import Cell
from suite.system import devices, environment
from suite.worker import flips
from suite.worker.probes import ALLOCATOR
from tasks.optimizers import Adam, Optimizer


@dataclass(frozen=True)
class Side:
    """A contestant as it stands: its cell, its worker's ledger, the optimiser of its task."""

    cell: Cell
    facts: Mapping[str, Any]
    optimizer: Optimizer

    @property
    def choice(self) -> backends.Choice:
        """Its backend and mode."""
        return self.cell.backend, self.cell.mode

    @property
    def title(self) -> str:
        """The framework's name in a text."""
        return backends.load(self.cell.backend).TITLE


@dataclass(frozen=True)
class Flip:
    """A way to make a contestant otherwise: the value that it then has, and what brings it."""

    value: str
    cell: Mapping[str, Any] = field(default_factory=dict)
    """Fields of its cell that change."""
    flips: tuple[str, ...] = ()
    """Changes inside its worker, see ``suite.worker.flips``."""
    unset: tuple[str, ...] = ()
    """Variables that its worker's environment lacks."""


@dataclass(frozen=True)
class Switch:
    """One fact that can be flipped: its value on a side, and the flip, or why there is none."""

    name: str
    value: Callable[[Side], str]
    flip: Callable[[Side], Flip | str]


KINDS = {
    ("numpy", "eager"): "eager",
    ("torch", "eager"): "eager",
    ("torch", "compile"): "compiled",
    ("torch", "graph"): "graph",
    ("tensorflow", "graph"): "graph",
    ("tensorflow", "xla"): "compiled",
    ("jax", "jit"): "compiled",
}
"""How the modes of the house run a program."""
OTHER_MODES = {
    ("torch", "eager"): "compile",
    ("torch", "compile"): "eager",
    ("torch", "graph"): "eager",
    ("tensorflow", "graph"): "xla",
    ("tensorflow", "xla"): "graph",
}
"""The mode that each of them is flipped to, where the backend has several."""
ONE_LAUNCH = {("torch", "graph"), ("tensorflow", "graph"), ("tensorflow", "xla"), ("jax", "jit")}
"""Modes to which a chunk of many steps is one launch."""
COMPILED_AT_ONCE = {("tensorflow", "graph"), ("tensorflow", "xla"), ("jax", "jit")}
"""Modes whose new program is compiled anew by its first call, all of it."""
UPDATES = {
    "numpy": "formulas, in place",
    "tensorflow": "a kernel per parameter",
    "jax": "formulas, which XLA fuses",
}
UNKNOWN = "not known"


def _kind(side: Side) -> str:
    return KINDS.get(side.choice, f"{UNKNOWN}: {side.cell.mode}")


def _other_mode(side: Side) -> Flip | str:
    mode = OTHER_MODES.get(side.choice)
    if mode is None:
        return f"{side.title} has one mode"
    return Flip(KINDS[side.cell.backend, mode], {"mode": mode})


def _launches(side: Side) -> str:
    if side.choice not in KINDS:
        return UNKNOWN
    return "one a chunk" if side.choice in ONE_LAUNCH else "one a step, or more"


def _one_a_step(side: Side) -> Flip | str:
    if side.choice in ONE_LAUNCH or side.choice not in KINDS:
        return Flip("one a step, or more", flips=(flips.LAUNCHES,))
    return f"{side.title} launches every step anyway"


def _optimiser(side: Side) -> str:
    if side.cell.backend != "torch":
        return UPDATES.get(side.cell.backend, UNKNOWN)
    if not isinstance(side.optimizer, Adam):
        return "a kernel per operation, over all parameters"
    return "formulas, which Inductor fuses" if side.cell.mode == "compile" else "one fused kernel"


def _plain_optimiser(side: Side) -> Flip | str:
    if "optimiser" not in _own(side):
        return f"{side.title} has one form of it"
    if not isinstance(side.optimizer, Adam) or side.cell.mode == "compile":
        return f"{side.title} has two forms of Adam alone, uncompiled"
    return Flip("formulas, in place", flips=("optimiser",))


def _denormals(side: Side) -> Flip | str:
    value = _own(side).get("denormals")
    if value is None or devices.kind(side.cell.device) != devices.CPU:
        return f"nothing in {side.title} sets it"
    if side.facts["denormals"] == value:
        return f"it is {value} already"
    return Flip(value, flips=("denormals",))


def _own(side: Side) -> Mapping[str, str]:
    backend = backends.load(side.cell.backend)
    return backend.SWITCHES if isinstance(backend, Switching) else {}


def _allocator(side: Side) -> str:
    return "one heap that is kept" if side.facts["allocator"] else "the system's way"


def _systems_allocator(side: Side) -> Flip | str:
    variables = tuple(side.facts["allocator"])
    if not (variables and sys.platform.startswith("linux")):
        return f"nothing steers it here but {' and '.join(ALLOCATOR)}, of glibc"
    return Flip("the system's way", unset=variables)


def _threads(side: Side) -> Flip | str:
    others = environment.cpus() if side.cell.threads == 1 else 1
    if others == side.cell.threads:
        return "there is one CPU that can be used"
    return Flip(str(others), {"threads": others})


def _precision(side: Side) -> Flip | str:
    return Flip("float64", {"precision": "float64"})


def _compiling(side: Side) -> Flip | str:
    if side.choice in COMPILED_AT_ONCE:
        return Flip("timed, every chunk anew", flips=(flips.COMPILING,))
    kept = KINDS.get(side.choice) == "compiled"
    return f"{side.title} {'keeps on disk what it compiled' if kept else 'compiles nothing so'}"


SWITCHES = (
    Switch("mode", _kind, _other_mode),
    Switch("launches", _launches, _one_a_step),
    Switch("denormals", lambda side: str(side.facts["denormals"]), _denormals),
    Switch("optimiser", _optimiser, _plain_optimiser),
    Switch("threads", lambda side: str(side.cell.threads), _threads),
    Switch("precision", lambda side: side.cell.precision, _precision),
    Switch("allocator", _allocator, _systems_allocator),
    Switch(
        "transfer",
        lambda side: "not timed",
        lambda side: Flip("timed", flips=(flips.TRANSFER,)),
    ),
    Switch("compiling", lambda side: "not timed", _compiling),
)
NAMES = tuple(switch.name for switch in SWITCHES)
