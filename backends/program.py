"""A backend: how a task is computed. What every backend's package and programs must offer.

NumPy and the standard library only.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Mapping
from typing import Any, Protocol, runtime_checkable

from tasks.task import Array, Chunk, Precision, State, Tree


class Unavailable(Exception):
    """A backend or device is not there. The message says why and how to get it."""


class Program(Protocol):
    """One model, compiled, on one device.

    ``backends.<backend>.<task>.build(task, state, seed)`` builds it: dropout at a step draws from
    ``(seed, state.step)``, and there is none where ``seed`` is None. Where a training batch has
    masks, ``dropout/<layer>``, they say instead what a layer keeps: so in equivalence checks.
    """

    def place(self, chunk: Chunk) -> Any:
        """Moves a chunk to the device, in the program's precision."""

    def train(self, placed: Any) -> Array:
        """One update per step; returns the losses (steps,). The device is idle on return."""

    def predict(self, placed: Any) -> Tree:
        """The model's outputs, each (steps, batch, ...), in evaluation mode. Changes nothing."""

    def gradients(self, placed: Any) -> tuple[float, Tree]:
        """Loss and gradients of the chunk's first step, of all parameters that are not frozen.

        Changes nothing.
        """

    def dropout(self, placed: Any) -> Tree:
        """By dropout layer, the factors of its input's entries in the chunk's first step.

        As the step computes them: (batch, ..., channels), or a row (channels,) for every position,
        padding included or left out. A layer that drops nothing may be missing. Changes nothing.
        """

    def device(self) -> str:
        """Where the parameters lie that training has made, ``cpu`` or ``cuda:N``: as read."""

    def compilations(self) -> int:
        """How many programs have been compiled until now; 0 where nothing is compiled."""

    def state(self) -> State:
        """A copy of all that training changes."""

    def restore(self, state: State) -> None:
        """Takes over a copy of ``state``, in the program's precision."""


class Backend(Protocol):
    """A package ``backends.<backend>``; importing it loads no framework."""

    __file__: str | None
    TITLE: str
    """How the framework is called in a text: ``PyTorch``."""
    FRAMEWORK: str
    """Import name of the framework."""
    PACKAGES: tuple[str, ...]
    """Distributions whose versions losses and metrics depend on, by any name they come under."""
    DEVICES: tuple[str, ...]
    """Kinds of devices that it can compute on, where there is one: ``cpu``, ``cuda``."""
    ONLY_ON: Mapping[str, str]
    """By mode the one kind of device that it computes on, for those that do not on all of them."""
    MODES: tuple[str, ...]
    """The ways in which it runs its programs, the default first: eager, compile, graph, ..."""

    def available(self, mode: str = ...) -> str | None:
        """None, or why the backend cannot be used here in ``mode`` and what to do."""

    def environment(self, device: str, threads: int) -> Mapping[str, str]:
        """Variables that a worker's environment must have before the framework is imported.

        Of its caller's variables a worker gets none that steer a framework.

        ``device`` is ``cpu`` or ``cuda``, here and below: which card is no backend's matter.
        """

    def configure(self, device: str, threads: int, precision: Precision, mode: str = ...) -> None:
        """Imports the framework and sets it up. Raises Unavailable if the device is not there."""

    def describe(self) -> dict[str, Any]:
        """After ``configure``: devices seen, thread counts in force, what it says of precision."""

    def repeatable(self, device: str, threads: int) -> str | None:
        """None where training again gives the same bits, or why it need not."""

    def product(self, a: Array, b: Array) -> Array:
        """The matrix product (n, o) of a (n, i) and b (i, o), computed as programs compute it."""

    def multiplier(self, a: Array, b: Array) -> Callable[[], object]:
        """Computes that product again and again, at the highest rate its precision allows.

        The factors lie on the device, rounded already; a call returns once the product is there.
        """

    def start_device_clock(self) -> Callable[[], float] | None:
        """Starts the device's own clock; what is returned stops it, for the seconds [s] it saw.

        Stopping waits for all that was begun. None where the framework has no such clock.
        """


Tap = tuple[Array, Array | None]
"""The value of an operation, and the loss's gradient with respect to it, if that is computed."""


@runtime_checkable
class Tapping(Protocol):
    """A program whose model names what it computes on its way; a program need not do so."""

    def taps(self, placed: Any) -> Mapping[str, Tap]:
        """Every operation of the chunk's first step that has a name, in the order of computation.

        In the layout that all backends share, on the host; last comes ``loss``. Changes nothing.
        """


@runtime_checkable
class Rehearsing(Protocol):
    """A program that can stop short of its update, for a profile; it need not be able to."""

    def rehearse(self, placed: Any, gradients: bool) -> tuple[Array, list[Any]]:
        """The losses (steps,) of all steps from the present state, and the last step's gradients.

        Steps are made as ``train`` makes them, but without the update; without ``gradients``,
        forwards alone. Gradients stay on the device. Changes nothing; the device is idle on return.
        """


@runtime_checkable
class Switching(Protocol):
    """A backend that can be made to compute otherwise than it does; it need not be able to."""

    SWITCHES: Mapping[str, str]
    """By the name of a switch, the value that ``flip`` gives it. ``configure`` takes it back."""

    def flip(self, switch: str) -> None:
        """Flips a switch, after ``configure`` and before a program is built.

        Raises Unavailable where this machine cannot do it.
        """


def numbered(name: str, taken: Container[str]) -> str:
    """The name of a tap, ``name (2)`` and so on where an operation is computed again."""
    names = (name if count == 1 else f"{name} ({count})" for count in itertools.count(1))
    return next(free for free in names if free not in taken)
