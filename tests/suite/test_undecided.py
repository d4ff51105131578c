"""Two that cannot be told apart are said to be so, and each number has one interval, named."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suite import report
from suite.records import timing as timings
from suite.records.record import Record
from suite.records.timing import Timing
from suite.report import content
from suite.session.runner import Session
from suite.session.stopwatch import Stopwatch
from suite.show import speeds, summary
from suite.show.timings import print_timings
from tests.suite import reported
from tests.suite.examples import example_timing
from tests.suite.pages import Seen
from tests.suite.reported import record

NOISE = (1.0, 0.8, 1.25, 0.9, 1.15, 1.05, 0.85, 1.2)
ROUNDS = {
    "numpy": [0.1 * n for n in NOISE],
    "torch": [0.1 * n for n in reversed(NOISE)],
    "jax": [0.05 * n for n in NOISE],
}
"""PyTorch is as fast as NumPy, for all that the rounds can tell; JAX is twice as fast."""


def example() -> Timing:
    return example_timing(*ROUNDS.values())


def table(timing: Timing, width: int = 200) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(speeds.table("speed", timing, []))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_ratio_s_interval_decides() -> None:
    verdicts = [example().verdict(c.name) for c in example().contestants]
    assert verdicts == ["base", "undecided", "faster"]
    assert timings.verdict((0.9, 0.8, 0.99)) == "slower"
    assert timings.verdict((1.0, 1.0, 1.0)) == "undecided"


def test_the_table_and_the_line_below_say_it() -> None:
    rows = {line.split()[0]: line.split() for line in table(example()) if ":eager" in line}
    assert rows["torch:eager"][3][0] == "~"
    assert rows["jax:eager"][3][0] == "2"
    (line,) = speeds.notes(example(), [])
    ends = rows["torch:eager"][4]
    told = "~ torch:eager and numpy:eager cannot be told apart: the 95% interval of the ratio"
    assert line == f"{told} of their speeds, {ends}, contains 1"


def test_each_number_has_one_interval_and_the_base_its_own() -> None:
    lines = table(example())
    (head,) = (line for line in lines if "samples" in line or "images/s" in line)
    assert head.count("95% interval") == 2
    assert "±" not in "".join(lines)
    rows = {line.split()[0]: line.split() for line in lines if ":eager" in line}
    _, rate, rate_ends, one, own = rows["numpy:eager"][:5]
    assert (rate, one) == ("976", "1")
    low, high = map(float, own.split("-"))
    assert low < 1 < high
    assert float(rate_ends.split("-")[0]) == pytest.approx(976 * low, rel=2e-3)


def test_the_document_says_it() -> None:
    document = speeds.document(example(), [])
    assert document["confidence"] == 0.95
    found = {name: one["verdict"] for name, one in document["contestants"].items()}
    assert found == {"numpy:eager": "base", "torch:eager": "undecided", "jax:eager": "faster"}
    numpy, *others = example().contestants
    unproved = replace(example(), contestants=(replace(numpy, verified=False), *others))
    verdicts = {c["verdict"] for c in speeds.document(unproved, [])["contestants"].values()}
    assert verdicts == {None}


def test_rates_that_say_other_than_the_ratio_are_told() -> None:
    """A machine that slows down while one of two is at work in the middle rounds."""
    numpy = [1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 10.0, 10.0]
    torch = [0.8, 0.8, 0.8, 8.0, 8.0, 0.9, 0.9, 0.9]
    (line,) = speeds.notes(example_timing(numpy, torch), [])
    assert line.startswith("noisy: the rates of torch:eager and numpy:eager are 11.11 to 1, but")
    assert line.endswith("so the ratio counts")


class TestCommands:
    def records(self) -> list[Record]:
        return [record("numpy"), record("torch"), record("jax", mode="eager")]

    def printed(self, show: Any, *given: Any) -> str:
        console = Console(file=io.StringIO(), width=200)
        show(*given, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    def test_run_and_time_print_the_same_table(self, tmp_path: Path) -> None:
        session = Session("s", tmp_path, self.records(), {}, {"fashion_mlp": example()})
        ran = self.printed(summary.print_tables, session)
        watch: Any = object.__new__(Stopwatch)
        watch.timings, watch.records = {"fashion_mlp": example()}, []
        timed = self.printed(print_timings, watch)
        rows = [line.rstrip() for line in ran.splitlines() if "~" in line]
        assert len(rows) == 2
        assert {*rows} <= {line.rstrip() for line in timed.splitlines()}

    def test_who_is_not_verified_in_the_records_has_no_ratio(self, tmp_path: Path) -> None:
        numpy, _, jax = self.records()
        found = [numpy, reported.unverified("torch"), jax]
        session = Session("s", tmp_path, found, {}, {"fashion_mlp": example()})
        ran = self.printed(summary.print_tables, session)
        assert "told apart" not in ran
        (line,) = (line for line in ran.splitlines() if line.startswith(" torch") and "?" in line)
        assert line.split()[3:5] == ["-", "-"]


class TestReport:
    @pytest.fixture(scope="class")
    @staticmethod
    def files(tmp_path_factory: pytest.TempPathFactory) -> report.Files:
        found = [record("numpy"), record("torch"), record("jax")]
        timed = reported.timing(*((b, reported.MODES[b], s) for b, s in ROUNDS.items()))
        results = reported.write(tmp_path_factory.mktemp("undecided"), found, timed)
        return report.write(results, found)

    def test_every_file_says_it(self, files: report.Files) -> None:
        rows = csv.DictReader(files.csv.read_text().splitlines())
        assert [row["verdict"] for row in rows] == ["base", "undecided", "faster"]
        (section,) = json.loads(files.json.read_text())["sections"]
        said = [entry["speed"]["verdict"] for entry in section["entries"]]
        assert said == ["base", "undecided", "faster"]
        assert "PyTorch and NumPy cannot be told apart by speed." in section["lead"]
        assert "JAX trained fastest" in section["lead"]
        (row,) = (r for r in files.markdown.read_text().splitlines() if r.startswith("| PyTorch"))
        assert " undecided |" in row
        text = " ".join(Seen(files.html.read_text()).text.split())
        assert text.count("] undecided") == 2  # in the summary and in the table
        assert "Undecided: the interval contains 1" in text

    def test_the_base_shows_its_own_interval(self, files: report.Files) -> None:
        (row,) = (r for r in files.markdown.read_text().splitlines() if r.startswith("| NumPy"))
        assert "9,762 [" in row
        assert "base, [" in Seen(files.html.read_text()).text

    def test_of_two_that_overlap_none_is_called_faster(self) -> None:
        found = [record("numpy", timed=None), record("jax", speed=1.01, timed=None)]
        (section,) = content.build(found).sections
        assert [speed.verdict for speed in section.speeds] == ["base", "undecided"]
        assert "None was clearly faster" in section.lead
