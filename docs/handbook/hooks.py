"""Hooks of MkDocs: pages from the program, and a place in the navigation for every page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from docs.handbook import commands, documents, lectures, metrics, mistakes, notebooks  # noqa: E402
from docs.handbook.navigation import navigation  # noqa: E402

CAUSES = "causes.md"


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made from the program, and the rest of the navigation."""
    there = {file.src_uri for file in files.documentation_pages()}
    pages = {
        "reference/commands.md": commands.page(),
        "reference/records.md": documents.page(),
        "reference/metrics.md": metrics.page(),
        "differences.md": mistakes.page(CAUSES in there),
        **notebooks.pages(),
        **lectures.pages(),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    picture = str(ROOT / "results" / "pictures" / "report.png")
    files.append(File.generated(config, "pictures/report.png", abs_src_path=picture))
    config.nav = navigation(config.nav, there | pages.keys())
    return files
