"""Sentences of user-facing text: Markdown pages, help texts and the words that they count."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_WORDS = 35


def paragraphs(markdown: str) -> Iterator[str]:
    """Paragraphs, list items and cells of tables, without code blocks, as plain text."""
    text = re.sub(r"^(```+).*?^\1$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)  # links: their text
    text = re.sub(r"`[^`\n]+`", "code", text)
    text = re.sub(r"<[^>\n]+>", "", text)
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        begins = re.match(r"\s*([-*+]|\d+\.|#+|!!!|\|)\s", line)
        if begins or not line.strip():
            if paragraph:
                yield " ".join(paragraph)
            paragraph = []
        if line.lstrip().startswith("|"):
            yield from filter(None, (cell.strip() for cell in line.split("|")))
        elif line.strip():
            paragraph.append(line.strip())


def sentences(markdown: str) -> Iterator[str]:
    """Sentences of a page."""
    for paragraph in paragraphs(markdown):
        yield from filter(None, re.split(r"(?<=[.!?])[*_)]*\s+(?=[^a-z])", paragraph))


def words(sentence: str) -> int:
    """The number of words: what is between spaces and has a letter or a digit."""
    return sum(any(c.isalnum() for c in word) for word in sentence.split())
