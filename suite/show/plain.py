"""Plain forms of what is printed, for an output whose encoding lacks some of its characters."""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

FORMS = {
    **{"±": "+-", "×": "x", "·": "-", "–": "-", "—": "-", "−": "-", "…": "...", "→": "->"},  # noqa: RUF001
    **{"≥": ">=", "≤": "<=", "✓": "yes", "✗": "no", "✅": "yes", "❌": "no", "⚪": "-", "•": "*"},
    **{"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "ß": "ss"},  # noqa: RUF001
}
"""Plain forms of signs; letters lose their marks, lines and blocks become ``-``, ``|``, ``+``
and ``#``."""
HANDLER = "tetragrad.plain"


def prepare() -> None:
    """Sees to it that nothing that is printed, by whomever, fails for the output's encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def plain(text: str, encoding: str) -> str:
    """The text with plain forms in place of what ``encoding`` lacks."""
    return text.encode(encoding, HANDLER).decode(encoding)


def form(character: str) -> str:
    """The plain form of a character, ASCII alone; of others than these, their number."""
    if character in FORMS:
        return FORMS[character]
    if "─" <= character <= "╿":  # lines, heavy and light
        name = unicodedata.name(character)
        straight = {"HORIZONTAL": "-", "VERTICAL": "|"}
        ways = [sign for way, sign in straight.items() if name.endswith(way)]
        return ways[0] if ways and " AND " not in name else "+"
    if "▀" <= character <= "▟":  # blocks
        return "#"
    bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return bare or character.encode("ascii", "backslashreplace").decode()


def _replace(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encoding."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(form, error.object[error.start : error.end])), error.end


codecs.register_error(HANDLER, _replace)
