"""User-facing text is plain English, as far as that can be counted: sentences are short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from handbook import commands, documents, metrics, mistakes
from suite.cli import app
from tests.sentences import MOST_WORDS, paragraphs, sentences, words

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))


def too_long(text: str) -> list[str]:
    return [f"{words(s)} words: {s}" for s in sentences(text) if words(s) > MOST_WORDS]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_sentences_of_a_page_are_short(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text", [commands.page(), documents.page(), metrics.HEAD, mistakes.page(True)]
)
def test_sentences_of_what_the_program_tells_are_short(text: str) -> None:
    """Help texts of all commands are in the reference of commands."""
    assert too_long(text) == []


def test_readme_is_read_in_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def every_command(group: Any, name: str = "tetragrad") -> Iterator[tuple[str, Any]]:
    for own, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, f"{name} {own}")
        else:
            yield f"{name} {own}", command


def test_each_command_has_a_purpose_and_an_example_that_begins_with_its_name() -> None:
    group: Any = typer.main.get_command(app)
    assert all(command.rich_help_panel for command in group.commands.values())
    for name, command in every_command(group):
        assert (command.epilog or "").startswith(f"Example: {name}"), name


def test_a_sentence_ends_at_its_full_stop_and_code_is_one_word() -> None:
    page = "One two\nthree. Then `a b c`.\n\n- item ([here](a.md))\n```\nx y\n```\n| a | b c |\n"
    assert list(paragraphs(page)) == ["One two three. Then code.", "- item (here)", "a", "b c"]
    assert [words(s) for s in sentences(page)] == [3, 2, 2, 1, 2]
    assert too_long("word " * 36 + ".") == [f"36 words: {'word ' * 36}."]
    assert too_long("word " * 35 + ".") == []
