"""Reports on several sizes of batches, and on several precisions."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite import report
from suite.records import timing as timings
from suite.records.record import Record
from suite.report import Files, words
from suite.report.charts import by_batch
from suite.report.content import build
from tasks.task import RequestError
from tests.suite import reported
from tests.suite.reported import SESSION, TIMED, at_batches, record

OWN = reported.timing(("numpy", "eager", [2.0] * 3), ("jax", "jit", [0.2] * 3))
"""Timing in the session of ``run``: the section's own speeds."""


def found_records() -> list[Record]:
    return [record("numpy"), record("jax"), reported.unverified("torch")]


def written(tmp_path: Path, *timed: dict[str, Any], beside: tuple[str, ...] = (TIMED,)) -> Files:
    found = found_records()
    return report.write(reported.write(tmp_path, found, *timed), found, beside=beside)


def section_of(files: Files) -> Any:
    (section,) = json.loads(files.json.read_text())["sections"]
    return section


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return written(tmp_path_factory.mktemp("batches"), OWN, *at_batches())


class TestBatches:
    def test_every_verified_backend_has_a_line(self, files: Files) -> None:
        section = section_of(files)
        lines = {
            (line["backend"], line["mode"]): [
                (p["batch"], p["scale"], p["rate"]["median"]) for p in line["points"]
            ]
            for line in section["batches"]
        }
        assert lines == {
            ("numpy", "eager"): [(128, 1, 1000), (256, 2, 1000), (512, 4, 1000)],
            ("jax", "jit"): [(128, 1, 2000), (256, 2, 4000), (512, 4, 8000)],
        }

    def test_the_speeds_of_the_section_are_those_of_its_own_session(self, files: Files) -> None:
        assert json.loads(files.json.read_text())["sessions"] == [TIMED, SESSION]
        rates = {s["backend"]: s["rate"]["median"] for s in section_of(files)["speeds"]}
        assert rates == {"numpy": 500, "jax": 5000}

    def test_a_session_without_timings_has_the_speeds_of_the_other(self, tmp_path: Path) -> None:
        section = section_of(written(tmp_path, *at_batches()))
        rates = [(s["backend"], s["rate"]["median"]) for s in section["speeds"]]
        assert rates == [("numpy", 1000), ("jax", 2000)]

    def test_the_page_draws_them_and_says_what_they_are_good_for(self, files: Files) -> None:
        html = files.html.read_text()
        assert "Throughput against batch size" in html
        assert "Larger batches say nothing but throughput" in html
        text = "NumPy 1,000 at 128, 1,000 at 256, 1,000 at 512; JAX 2,000 at 128, 4,000 at 256, "
        assert 'role="img" aria-label="Line chart of samples/s against the size of batches' in html
        assert text in html
        assert re.search(
            r'<th scope="row">JAX</th><td>2,000 <span class="ends">\[2,000, 2,000', html
        )

    def test_markdown_and_csv_have_them_too(self, files: Files) -> None:
        markdown = files.markdown.read_text()
        assert "| backend | 128 | 256 | 512 |" in markdown
        assert "| JAX | 2,000 [2,000, 2,000] | 4,000 [4,000, 4,000] | 8,000" in markdown
        rows = list(csv.DictReader(files.csv.read_text().splitlines()))
        assert [row["backend"] for row in rows if not row["batch"]] == ["numpy", "torch", "jax"]
        assert [
            (row["backend"], row["batch"], row["throughput_median"], row["precision"])
            for row in rows
            if row["batch"] in ("128", "512")
        ] == [
            *(("numpy", "128", "1000.0", "float32"), ("numpy", "512", "1000.0", "float32")),
            *(("jax", "128", "2000.0", "float32"), ("jax", "512", "8000.0", "float32")),
        ]

    def test_the_run_s_own_timing_is_a_point_where_no_other_is(self, tmp_path: Path) -> None:
        section = section_of(written(tmp_path, OWN, *at_batches(scales=(2,))))
        points = [
            [(p["batch"], p["rate"]["median"]) for p in line["points"]]
            for line in section["batches"]
        ]
        assert points == [[(128, 500), (256, 1000)], [(128, 5000), (256, 4000)]]

    @pytest.mark.parametrize(
        "timed",
        [
            *([OWN], [OWN, *at_batches(scales=(1,))]),
            [{**one, "batch": None} for one in at_batches()],  # as files of before have it
        ],
        ids=["run alone", "one size", "no batch known"],
    )
    def test_there_is_no_figure_without_two_sizes(
        self, tmp_path: Path, timed: list[dict[str, Any]]
    ) -> None:
        files = written(tmp_path, *timed)
        assert section_of(files)["batches"] == []
        assert "batch size" not in files.html.read_text() + files.markdown.read_text()

    def test_both_axes_are_logarithmic_and_lines_have_intervals(self, tmp_path: Path) -> None:
        results = reported.write(tmp_path, [], *at_batches())
        timed = timings.of_session(results, TIMED).values()
        chart = by_batch(build(found_records(), [*timed]).sections[0])
        layout, (numpy, jax) = chart.figure["layout"], chart.figure["data"]
        assert (layout["xaxis"]["type"], layout["yaxis"]["type"]) == ("log", "log")
        assert layout["xaxis"]["ticktext"] == ["128", "256", "512"]
        assert [*jax["x"]] == [128, 256, 512]
        assert len(jax["error_y"]["array"]) == len(jax["error_y"]["arrayminus"]) == 3
        assert numpy["line"]["color"] != jax["line"]["color"]
        assert numpy["marker"]["symbol"] != jax["marker"]["symbol"]


class TestSessions:
    def test_without_the_session_that_trained_there_is_no_report(self, tmp_path: Path) -> None:
        reported.write(tmp_path, [], *at_batches())
        with pytest.raises(RequestError, match=f"{TIMED}: speeds alone.* beside it .*none"):
            report.find(tmp_path, [TIMED])
        reported.write(tmp_path, found_records())
        with pytest.raises(RequestError, match=f"beside it .the latest is {SESSION}"):
            report.find(tmp_path, [TIMED])
        assert len(report.find(tmp_path, [TIMED, SESSION])) == 3
        assert len(report.find(tmp_path, [])) == 3
        with pytest.raises(RequestError, match="no session 'other'"):
            report.find(tmp_path, [TIMED, SESSION, "other"])

    def test_a_session_that_belongs_to_none_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(
            RequestError, match=f"{TIMED} timed fashion_mlp under other .* --threads 2"
        ):
            written(tmp_path, *at_batches(threads=2))


class TestPrecision:
    def test_quality_stands_beside_speed(self, tmp_path: Path) -> None:
        metrics = {"train_loss": 1.0, "test_loss": 1.0, "test_accuracy": 0.6543}
        epochs = [{"epoch": 1, "train_seconds": 1.0, "metrics": metrics}]
        skipped = reported.failed("numpy", "skipped")
        found = [
            replace(skipped, cell=replace(skipped.cell, precision="bfloat16")),
            record("jax", speed=3, epochs=epochs, precision="bfloat16"),
            reported.unverified("torch", precision="bfloat16"),
            *(record("numpy"), record("jax"), record("torch"), record("numpy", task="lstm")),
        ]
        files = report.write(tmp_path, found)
        html = files.html.read_text()
        assert html.count("<h3>Precision</h3>") == html.count('aria-label="Precisions of') == 1
        table = html[html.index('aria-label="Precisions of fashion_mlp"') :].split("</table>")[0]
        rows = [re.sub(r"<[^>]*>", " ", row).split() for row in table.split("<tr")[2:]]
        assert [row[1:] for row in rows] == [
            ["NumPy", "float32", "0.8000", "1,000", *rows[0][5:9], "✓", "verified"],
            ["NumPy", "bfloat16", words.NOTHING, words.NOTHING, words.NOTHING, "skipped"],
            ["PyTorch", "float32", "0.8000", "1,000", *rows[2][5:9], "✓", "verified"],
            ["PyTorch", "bfloat16", "0.8000", words.NOTHING, words.NOTHING, "✗", "NOT", "verified"],
            ["JAX", "float32", "0.8000", "1,000", *rows[4][5:9], "✓", "verified"],
            ["JAX", "bfloat16", "0.6543", "3,000", *rows[5][5:9], "✓", "verified"],
        ]
        assert re.fullmatch(r"in training \[[\d,]+ [\d,]+\]", " ".join(rows[5][5:9]))
        sections = json.loads(files.json.read_text())["sections"]
        assert [s["precision"] for s in sections] == ["float32", "bfloat16", "float32"]
        assert '">fashion_mlp, bfloat16</a>' in html

    def test_one_precision_has_no_table(self, tmp_path: Path) -> None:
        found = [record("numpy"), record("numpy", threads=2, precision="bfloat16")]
        assert "<h3>Precision</h3>" not in report.write(tmp_path, found).html.read_text()
