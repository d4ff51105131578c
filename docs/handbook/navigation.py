"""The navigation of the documentation, which has a place for every page."""

from __future__ import annotations

from typing import Any

FURTHER = "How to"
"""The section for pages that the plan does not name."""


def navigation(planned: list[Any], there: set[str]) -> list[Any]:
    """The navigation that is planned, with every page of ``there`` that it does not name.

    ``planned`` is MkDocs' ``nav``: paths, and sections that are ``{title: path or list}``. A page
    that is planned and not there is left out: it may come with another change.
    """
    sections = _kept(planned, there)
    missing = sorted(there - set(_paths(sections)))
    (further,) = (s[FURTHER] for s in sections if isinstance(s, dict) and FURTHER in s)
    further += missing
    return sections


def _kept(entries: list[Any], there: set[str]) -> list[Any]:
    """The entries whose pages are there."""
    found: list[Any] = []
    for entry in entries:
        match entry:
            case dict():
                ((title, below),) = entry.items()
                own = _kept(below if isinstance(below, list) else [below], there)
                if own:
                    found.append({title: own if isinstance(below, list) else below})
            case str() if entry in there:
                found.append(entry)
    return found


def _paths(entries: list[Any]) -> list[str]:
    """The paths of all pages in the entries."""
    found: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            found.append(entry)
        else:
            ((_, below),) = entry.items()
            found += _paths(below if isinstance(below, list) else [below])
    return found
