"""Gradients by distance in a report: lines, those of a task's variants together."""

from __future__ import annotations

from typing import Any

import numpy as np

from suite.report import charts, content, page
from tests.suite.reported import record

COLUMNS = ["0", "1", "2"]


def lines(*rows: str, columns: list[str] = COLUMNS) -> dict[str, Any]:
    values = [[0.0, -1.0 - place, -2.0] for place, _ in enumerate(rows)]
    drawn = {"rows": list(rows), "columns": columns, "values": values, "meaning": "Read it so."}
    return {"vanishing gradient": {**drawn, "axes": ["steps back", "norm of the gradient"]}}


def of(variant: str | None, backend: str = "numpy", **changes: Any) -> Any:
    rows = ("hidden state",) if variant else ("hidden state", "cell state")
    found = {"heatmaps": lines(*rows), "task": "lstm", "variant": variant, "data": "real"}
    return record(backend, **{**found, **changes})


def test_the_lines_of_both_variants_stand_in_one_chart() -> None:
    lstm, rnn = content.build([of(None), of("rnn")]).sections
    for section, first in ((lstm, "lstm"), (rnn, "lstm:rnn")):
        assert section.attention
        ((drawn,),) = section.attention.kinds.values()
        assert sorted(drawn.rows) == [
            *("lstm, cell state", "lstm, hidden state", "lstm:rnn, hidden state")
        ]
        assert drawn.rows[0] == f"{first}, hidden state"
    chart = charts.lines(drawn)
    traces = chart.figure["data"]
    assert [trace["name"] for trace in traces] == list(drawn.rows)
    np.testing.assert_allclose(traces[0]["y"], [1, 0.1, 0.01])
    assert len({trace["line"]["color"] for trace in traces}) == 2
    assert chart.figure["layout"]["yaxis"]["type"] == "log"
    assert "lstm:rnn, hidden state from 1.0e+00 to 1.0e-02" in chart.alternative


def test_only_what_is_comparable_stands_together() -> None:
    others = [
        of("rnn", profile="full"),
        of(None, "jax", task="fewshot"),
        of("rnn", heatmaps=lines("hidden state", columns=["0", "1", "9"])),
    ]
    for other in others:
        shown = next(s for s in content.build([of(None), other]).sections if s.label == "lstm")
        assert shown.attention
        ((drawn,),) = shown.attention.kinds.values()
        assert drawn.rows == ("lstm, hidden state", "lstm, cell state")


def test_the_page_calls_them_gradients_and_has_no_scale_of_darkness() -> None:
    html = page.render(content.build([of(None), of("rnn")]))
    assert "<h3>Gradients</h3>" in html
    assert "<h3>Heat maps</h3>" not in html
    assert 'class="scale"' not in html
    assert "Read it so." in html
