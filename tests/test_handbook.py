"""Pages of the documentation that are made from the program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.handbook import commands, documents, mistakes, notebooks
from docs.handbook.markdown import table
from docs.handbook.navigation import navigation
from tests.mutants.table import TABLE

ROOT = Path(__file__).parent.parent
PLAN = [{"Start": "index.md"}, {"How to": ["how-to/ci.md"]}, {"Differences": ["a.md", "causes.md"]}]


def test_the_navigation_has_every_page_and_none_that_is_not_there() -> None:
    there = {"index.md", "how-to/ci.md", "a.md", "scale.md"}
    assert navigation(PLAN, there) == [
        {"Start": "index.md"},
        {"How to": ["how-to/ci.md", "scale.md"]},
        {"Differences": ["a.md"]},
    ]
    assert navigation(PLAN, there | {"causes.md"})[2] == {"Differences": ["a.md", "causes.md"]}


def test_bars_in_prose_end_no_cell_and_those_in_code_are_kept() -> None:
    assert table(("a",), [["`x | y` or a | b"]]).splitlines()[-1] == r"| `x | y` or a \| b |"


def test_the_reference_has_every_command_with_its_options() -> None:
    page = commands.page()
    sections = page.split("\n### ")
    (verify,) = (s for s in sections if s.startswith("tetragrad verify\n"))
    assert "| `--precision` | `list[float32|float64|tf32|bfloat16]` | Repeatable." in verify
    assert "Example: `tetragrad verify --task transformer --backend torch`" in verify
    assert any(s.startswith("tetragrad data fetch\n") for s in sections)


def test_the_reference_of_records_has_fields_properties_and_keys() -> None:
    page = documents.page()
    assert "| `created` | `str` | When the cell began, UTC, ISO 8601. |" in page
    assert "| `time_to_target` | Train seconds until the first target was met" in page
    cells = page[page.index("## The document of") :].splitlines()
    rows = [line for line in cells if line.startswith("| `")]
    assert rows
    assert all(line.split("|")[2].strip() for line in rows)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_pages_outside_the_documentation_lead_somewhere(page: str) -> None:
    """MkDocs checks those of ``docs/``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert page != "README.md" or len(links) > 5


def test_a_notebook_is_a_page_of_texts_code_and_what_it_printed() -> None:
    found = notebooks.pages()
    assert [*found] == ["notebooks/gradient.md", "notebooks/perceptron.md"]
    page = found["notebooks/perceptron.md"]
    assert page.startswith("# The perceptron in four backends\n")
    assert "(perceptron.ipynb)" in page
    assert 'train("jax")\n```\n\n```text\njax: 11 mistakes' in page
    plan = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f"- {path}\n" in plan for path in found)


@pytest.mark.parametrize("causes", [True, False])
def test_the_catalogue_has_every_mistake(causes: bool) -> None:
    page = mistakes.page(causes)
    assert all(f"\n### {mutant.name}\n" in page for mutant in TABLE)
    assert page.count("```diff") == len(TABLE)
    assert ("(causes.md)" in page) == causes
