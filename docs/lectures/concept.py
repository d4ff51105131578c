"""The declaration of a page of the lectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A formula and its implementations."""

    title: str
    text: str
    """One paragraph."""
    formula: str
    """In LaTeX; equations that may stand below each other have ``\\qquad`` between them."""
    sources: Mapping[str, tuple[str, ...]]
    """By backend, excerpts of its folder: see ``docs.handbook.excerpts``."""


@dataclass(frozen=True)
class Picture:
    """Charts beside each other, as SVG, and what they were computed from."""

    charts: tuple[str, ...]
    caption: str
    """In Markdown, on one line."""


@dataclass(frozen=True)
class Concept:
    """A concept of the lectures, which has a page of its own."""

    name: str
    """The name of its page."""
    title: str
    text: str
    """One paragraph."""
    parts: tuple[Part, ...]
    picture: Callable[[], Picture]
    questions: tuple[str, ...] = ()
    """Questions for a class, each answered by the page or by an experiment."""
