"""The chapter for teachers: its code is of the sources, its pictures of records and of NumPy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import backends
from docs.handbook import lectures
from docs.handbook.excerpts import NotThere, excerpt
from docs.lectures.concept import Concept, Part
from docs.lectures.pictures import drawing, kept, networks, sequences, training
from docs.lectures.table import CONCEPTS
from tasks.optimizers import SGD, Momentum
from tests.sentences import MOST_WORDS, sentences, words

ROOT = Path(__file__).parent.parent
BY_NAME = {concept.name: concept for concept in CONCEPTS}
SHORT = 40
"""Lines of an implementation that stands beside others, at most."""
PARTS = [pytest.param(part, id=f"{c.name}: {part.title}") for c in CONCEPTS for part in c.parts]


@pytest.mark.parametrize("part", PARTS)
def test_every_function_that_a_page_names_is_in_the_sources(part: Part) -> None:
    found = lectures.excerpts(part)
    assert [*found] in ([*backends.NAMES], [lectures.SHARED])
    for own in (e for several in found.values() for e in several):
        lines = (ROOT / own.path).read_text(encoding="utf-8").splitlines()
        assert own.text.splitlines()[0] == lines[own.line - 1].lstrip()
        assert len(own.text.splitlines()) <= SHORT, f"{own.path}, line {own.line}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("layers.py::gone", "gone of layers.py::gone: 0 found"),
        ("gone.py::dense", "backends/numpy/gone.py is not there"),
        ("optimizers.py::Updater.gone", "gone of"),
        ("fashion_mlp.py::loss[gradients[]", "2 found"),
        ("dense", "is not of the form"),
    ],
)
def test_a_name_that_leads_to_nothing_is_an_error(name: str, said: str) -> None:
    with pytest.raises(NotThere, match=re.escape(said)):
        excerpt("backends/numpy", name)


def test_an_excerpt_is_a_definition_an_entry_or_a_case() -> None:
    entry = excerpt("backends/torch", 'hidden.py::ACTIVATIONS["relu"]')
    assert entry.text == '"relu": F.relu,'
    case = excerpt("backends/numpy", "optimizers.py::Updater.apply[case SGD(]")
    assert case.text == "case SGD():\n    p -= xp.multiply(g, rate, out=t)"
    assert excerpt("backends/numpy", "layers.py::relu[return]").text == "return y, (y,)"
    commented = excerpt("backends/jax", "lstm.py::SMALL_PRODUCTS")
    assert commented.text.startswith("# The products of a step are small")


@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
def test_a_page_has_formula_code_and_a_picture(concept: Concept) -> None:
    page = lectures.page(concept)
    assert page.count("<math ") >= len(concept.parts)
    assert "\\" not in "".join(re.findall("<math.*?</math>", page))
    named = sum(len(names) for part in concept.parts for names in part.sources.values())
    assert page.count("```python title=") == named
    assert page.count('<svg class="chart"') >= 1
    assert "Computed when this page was built" in page or "Drawn from" in page
    drawn = "".join(re.findall("<svg.*?</svg>", page, re.DOTALL))
    assert drawn.count("currentColor") > 10
    assert not any(color in drawn for color in (drawing.INK, drawing.GRID))
    text = re.sub("<(svg|math).*?</(svg|math)>", "", page, flags=re.DOTALL)
    assert [s for s in sentences(text) if words(s) > MOST_WORDS] == []


def test_the_navigation_has_every_page_of_the_chapter() -> None:
    plan = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = [line.strip(" -") for line in plan.splitlines() if "- lectures/" in line]
    assert named == ["lectures/index.md", *(f"lectures/{name}.md" for name in BY_NAME)]


@pytest.mark.parametrize("path", sorted(kept.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_records_are_of_verified_real_runs_and_name_no_folder(path: Path) -> None:
    own = kept.record(path.stem)
    assert own.verified
    assert own.outcome == "ok"
    assert own.cell.data == own.provenance["source"] == "real"
    assert own.git["dirty"] is False
    assert kept.drawn_from(path.stem).count(f"(records/{path.name})") == 1
    assert not [text for text in _texts(json.loads(path.read_text())) if text.startswith("/")]


def _texts(document: object) -> list[str]:
    match document:
        case str():
            return [document]
        case dict():
            return [text for value in document.values() for text in _texts(value)]
        case list():
            return [text for value in document for text in _texts(value)]
    return []


def test_pictures_show_what_their_pages_say() -> None:
    """Numbers behind the charts: what the texts and questions of the pages build on."""
    sigmoid = max(networks.curve_of("sigmoid", np.linspace(-4, 4, 161))[1])
    assert sigmoid == pytest.approx(0.25)
    assert networks.norms_back("sigmoid")[-1] < 1e-6 < 0.1 < networks.norms_back("relu")[-1]
    assert (
        networks.difference_error(1e-5, np.float64)
        < 1e-6
        < networks.difference_error(1e-10, np.float64)
    )
    path, values = training.bowl(SGD(0.1))
    assert path[1].tolist() == pytest.approx([-2.25, 0.0])
    assert values[0] == pytest.approx((2.5**2 + 10 * 1.2**2) / 2)
    assert training.bowl(SGD(0.21))[1][-1] > values[0] > training.bowl(Momentum(0.02, 0.9))[1][-1]
    assert training.spreads(0.5, False)[-1] < 1e-2 < training.spreads(0.5, True)[-1]


def test_the_gradient_vanishes_in_the_plain_network_and_not_in_the_lstm() -> None:
    """As in the records that the picture is drawn from."""
    left: dict[str, float] = {}
    for name, label in sequences.RECURRENT.items():
        logs = kept.record(label).heatmaps[sequences.VANISHING]["values"][0]
        left[name] = logs[-1] - logs[0]
    assert left["plain"] < left["LSTM"]
