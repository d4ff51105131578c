"""User-facing text is plain English, as far as that can be counted: sentences are short."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.handbook import commands, documents, lectures, metrics, mistakes, notebooks
from tests.sentences import MOST_WORDS, paragraphs, sentences, words

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))


def too_long(text: str) -> list[str]:
    return [f"{words(s)} words: {s}" for s in sentences(text) if words(s) > MOST_WORDS]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_sentences_of_a_page_are_short(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        *(commands.page(), documents.page(), metrics.HEAD, mistakes.page(True)),
        *(lectures.HEAD, lectures.SEE),
        *notebooks.pages().values(),
    ],
)
def test_sentences_of_what_the_program_tells_are_short(text: str) -> None:
    """Help texts of all commands are in the reference of commands."""
    assert too_long(text) == []


def text_of_template(template: str) -> Iterator[str]:
    """Texts of the paragraphs of a page's template, a value in them counted as a word."""
    for found in re.finditer(r"<(p|li|caption)\b[^>]*>(.*?)</\1>", template, re.DOTALL):
        values = re.sub(r"\{\{.*?\}\}", "x", re.sub(r"\{%.*?%\}", " ", found[2], flags=re.DOTALL))
        yield values


def messages(source: str) -> Iterator[str]:
    """Texts on one line in a module, with values in them counted as a word: what it prints."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.JoinedStr(values=values):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in values)
            case ast.Constant(value=str(text)) if "\n" not in text:
                yield text


def test_sentences_of_messages_and_of_the_report_are_short() -> None:
    texts = {
        **{p: messages(p.read_text(encoding="utf-8")) for p in (ROOT / "suite").rglob("*.py")},
        **{p: text_of_template(p.read_text()) for p in (ROOT / "suite").rglob("*.jinja")},
    }
    wrong = {p.name: found for p, said in texts.items() if (found := too_long("\n\n".join(said)))}
    assert len(texts) > 100
    assert wrong == {}


def test_readme_is_read_in_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_a_sentence_ends_at_its_full_stop_and_code_is_one_word() -> None:
    page = "One two\nthree. Then `a b c`.\n\n- item ([here](a.md))\n```\nx y\n```\n| a | b c |\n"
    assert list(paragraphs(page)) == ["One two three. Then code.", "- item (here)", "a", "b c"]
    assert [words(s) for s in sentences(page)] == [3, 2, 2, 1, 2]
    assert too_long("word " * 36 + ".") == [f"36 words: {'word ' * 36}."]
    assert too_long("word " * 35 + ".") == []
