"""Hooks of MkDocs: pages from the program, and a place in the navigation for every page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from handbook import commands, documents, metrics, mistakes  # noqa: E402

FURTHER = "How to"
"""The section of the navigation for pages in ``docs/`` that it does not name."""
CAUSES = "causes.md"


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made from the program, and the rest of the navigation."""
    there = {file.src_uri for file in files.documentation_pages()}
    pages = {
        "reference/commands.md": commands.page(),
        "reference/records.md": documents.page(),
        "reference/metrics.md": metrics.page(),
        "differences.md": mistakes.page(CAUSES in there),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    picture = str(ROOT / "results" / "pictures" / "report.png")
    files.append(File.generated(config, "pictures/report.png", abs_src_path=picture))
    config.nav = navigation(config.nav, there | pages.keys())
    return files


def navigation(planned: list[Any], there: set[str]) -> list[Any]:
    """The navigation that is planned, with every page of ``there`` that it does not name.

    A page that is planned and not there is left out: it may come with another change.
    """
    named: set[str] = set()

    def kept(entries: list[Any]) -> list[Any]:
        found = []
        for entry in entries:
            if isinstance(entry, dict):
                ((title, below),) = entry.items()
                if isinstance(below, list):
                    found.append({title: kept(below)})
                    continue
                path = below
            else:
                path = entry
            if path in there:
                named.add(path)
                found.append(entry)
        return found

    sections = kept(planned)
    (further,) = (s[FURTHER] for s in sections if isinstance(s, dict) and FURTHER in s)
    further += sorted(there - named)
    return sections
