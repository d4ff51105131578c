"""User-facing text is plain English, as far as that can be counted: sentences are short."""

from __future__ import annotations

from pathlib import Path

import pytest

from handbook import commands, documents, metrics, mistakes
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


def test_a_sentence_ends_at_its_full_stop_and_code_is_one_word() -> None:
    page = "One two\nthree. Then `a b c`.\n\n- item ([here](a.md))\n```\nx y\n```\n| a | b c |\n"
    assert list(paragraphs(page)) == ["One two three. Then code.", "- item (here)", "a", "b c"]
    assert [words(s) for s in sentences(page)] == [3, 2, 2, 1, 2]
    assert too_long("word " * 36 + ".") == [f"36 words: {'word ' * 36}."]
    assert too_long("word " * 35 + ".") == []
