"""The chapter for teachers as pages: concepts with their formulas, code from the sources, pictures.

Formulas become MathML, which browsers draw by themselves: nothing is loaded, and no script runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from latex2mathml.converter import convert

import backends
from docs.handbook.excerpts import Excerpt, excerpt
from docs.lectures.concept import Concept, Part, Picture
from docs.lectures.table import CONCEPTS

FOLDER = "lectures"
HEAD = """# Lectures

Each page is a concept of a first course on neural networks.
It has the formula, the implementations side by side, a picture, and questions for a class.

The code on these pages is cut out of the source when the pages are built.
So it is what this version runs.
[`tetragrad verify`](../reference/commands.md#tetragrad-verify) proves that the four are the same.
NumPy's backward passes are written by hand; the other backends derive theirs.
Each picture says below it what it was computed from.
"""
SEE = """## Further

[Teach with four gradients](../tutorials/teach.md) has notebooks and experiments for a class.
`tetragrad show TASK` prints whole implementations side by side in a terminal.
"""
SHARED = "suite"
"""Stands in place of a backend for code that all of them share."""


def pages() -> dict[str, str]:
    """All pages by their paths, the overview first."""
    return {
        f"{FOLDER}/index.md": _overview(),
        **{f"{FOLDER}/{concept.name}.md": page(concept) for concept in CONCEPTS},
    }


def _overview() -> str:
    parts = [HEAD]
    parts += [f"- [{c.title}]({c.name}.md): {', '.join(_titles(c))}" for c in CONCEPTS]
    return "\n".join(parts) + f"\n\n{SEE}"


def _titles(concept: Concept) -> Iterator[str]:
    """Titles of the parts, within a line."""
    for part in concept.parts:
        first, rest = part.title[0], part.title[1:]
        name = part.title.split()[0].rstrip(":")
        kept = name in NAMES or (name.isupper() and len(name) > 1)
        yield part.title if kept else first.lower() + rest


NAMES = ("Adagrad", "Adam", "ReLU", "RMSprop")
"""Words that keep their capital within a line."""


def page(concept: Concept) -> str:
    """A concept's page."""
    parts = [
        "---\nhide: [navigation, toc]\n---",
        f"# {concept.title}",
        concept.text,
        _picture(concept.picture()),
    ]
    for part in concept.parts:
        parts += [f"## {part.title}", part.text, _formula(part.formula), _sides(part)]
    if concept.questions:
        parts += ["## Questions for a class", "\n".join(f"- {q}" for q in concept.questions)]
    parts.append("[All concepts](index.md)")
    return "\n\n".join(parts) + "\n"


def excerpts(part: Part) -> Mapping[str, list[Excerpt]]:
    """The code of a part, by backend; NotThere if a name leads to nothing."""
    return {
        backend: [excerpt(_folder(backend), name) for name in names]
        for backend, names in part.sources.items()
    }


def _folder(backend: str) -> str:
    return "." if backend == SHARED else f"backends/{backend}"


def _formula(latex: str) -> str:
    """Equations, which stand beside each other where there is room."""
    made = (convert(equation, display="block") for equation in latex.split(r"\qquad"))
    return f'<div class="formula">{"".join(made)}</div>'


def _picture(picture: Picture) -> str:
    charts = "\n".join(picture.charts)
    return (
        f'<figure class="charts" data-search-exclude markdown="1">\n'
        f'<div class="row">\n{charts}\n</div>\n'
        f'<figcaption markdown="span">{picture.caption}</figcaption>\n</figure>'
    )


def _sides(part: Part) -> str:
    """The implementations beside each other, as many as there is room for."""
    columns = [_side(backend, own) for backend, own in excerpts(part).items()]
    begin = '<div class="sides" data-search-exclude markdown="1">'
    return "\n\n".join([begin, *columns, "</div>"])


def _side(backend: str, own: list[Excerpt]) -> str:
    title = "All backends" if backend == SHARED else backends.load(backend).TITLE
    blocks = [
        f'```python title="{e.path.removeprefix("./")}, line {e.line}"\n{e.text}\n```' for e in own
    ]
    begin = f'<div class="side" markdown="1">\n\n**{title}**'
    return "\n\n".join([begin, *blocks, "</div>"])
