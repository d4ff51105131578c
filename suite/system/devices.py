"""Devices: what may be asked for, which one a backend gets, which one a program really used."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tasks.task import RequestError

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
KNOWN = "cpu, cuda, cuda:N or auto"
DEVICES = Path("/dev")
CARDS = ("nvidia[0-9]*", "kfd", "dxg")


class WrongDevice(Exception):
    """A program computed elsewhere than where it was asked to."""


def parse(text: str) -> str:
    """A device as it is asked for; RequestError for what is none."""
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?|auto", text):
        raise RequestError(f"there is no device {text!r}; give {KNOWN}")
    return text


def kind(device: str) -> str:
    """``cpu`` or ``cuda``: all that a worker needs to know, which sees no card but its own."""
    return device.partition(":")[0]


def no_card() -> str | None:
    """The reason why no backend needs to be asked for a card; None where there may be one.

    Linux has a file for each, of the drivers of NVIDIA, of AMD and of Windows' subsystem.
    """
    if sys.platform != "linux" or any(any(DEVICES.glob(kind)) for kind in CARDS):
        return None
    return f"this machine has no card: there is no {DEVICES / 'nvidia0'}"


def used(asked: str, found: str) -> str:
    """The device that a program used, ``cpu`` or ``cuda:N``, from where its arrays were ``found``.

    Raises WrongDevice if it is not the one that was ``asked`` for. A worker that is asked for
    ``cuda:2`` sees that card alone and calls it ``cuda:0``.
    """
    if kind(found) != kind(asked):
        raise WrongDevice(f"asked for {asked}, but what was trained lies on {found}")
    return asked if ":" in asked else found
