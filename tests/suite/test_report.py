"""Reports on sessions that were made for it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from suite import report
from suite.records import record as records, timing as timings
from suite.records.events import Outcome
from suite.report import content, exports, ledger
from suite.report.document import Entry, Report
from suite.report.looks import look
from tasks.task import RequestError
from tests.suite import reported
from tests.suite.reported import MODES, record


def entries(found: Report) -> dict[str, Entry]:
    (section,) = found.sections
    return {entry.backend: entry for entry in section.entries}


class TestContent:
    def test_quality_is_the_median_over_seeds_with_its_ends(self) -> None:
        found = []
        for seed, accuracy in enumerate((0.7, 0.9, 0.8)):
            metrics = {"train_loss": 1.0, "test_loss": 1.0, "test_accuracy": accuracy}
            epoch = {"epoch": 1, "train_seconds": 1.0, "metrics": metrics}
            found.append(record("numpy", seed, epochs=[epoch]))
        (entry,) = entries(content.build(found)).values()
        assert entry.quality
        assert (entry.quality.median, entry.quality.low, entry.quality.high) == (0.8, 0.7, 0.9)
        assert entry.seeds == (0, 1, 2)

    def test_it_ends_when_all_was_done_not_when_the_last_cell_began(self, tmp_path: Path) -> None:
        """A session trains its cells, then times them further."""
        at = "2026-01-01T03:{}:00.000+00:00".format
        found = [
            record("numpy", created=at(31), ended=at(36)),
            record("jax", created=at(37), ended=at(39)),
        ]
        kept = [content.build(found)]
        assert (kept[0].began, kept[0].ended) == (at(31), at(39))
        rounds = [("numpy", "eager", [1.0] * 9), ("jax", "jit", [1.0] * 9)]
        timed = reported.timing(*rounds, created=at(31), ended=at(42))
        page = report.write(reported.write(tmp_path, found, timed), found, None)
        assert "2026-01-01 03:31</time> to" in page.html.read_text()
        assert ">03:42</time> UTC" in page.html.read_text()
        assert f"Began {at(31)}, ended {at(42)}." in page.markdown.read_text().replace("\\", "")
        assert json.loads(page.json.read_text())["ended"] == at(42)

    def test_the_end_of_records_of_before_it_was_kept_is_when_the_last_began(self) -> None:
        found = [record("numpy"), record("jax", created="2026-01-01T03:37:00.000+00:00")]
        assert content.build(found).ended == "2026-01-01T03:37:00.000+00:00"

    def test_targets_are_judged_on_full_runs_on_real_data_alone(self) -> None:
        full = record("numpy", data="real", profile="full")
        (entry,) = entries(content.build([full])).values()
        assert entry.missed is not None
        assert "0.8000 (seed 0)" in entry.missed["test_accuracy"]
        for other in (record("numpy"), record("numpy", data="real")):
            built = content.build([other])
            assert entries(built)["numpy"].missed is None
            assert built.sections[0].judged

    def test_the_ratio_is_that_of_the_medians_of_chunks(self) -> None:
        found = entries(content.build([record("numpy"), record("jax", speed=2)]))
        assert found["numpy"].speed
        assert found["jax"].speed
        assert found["numpy"].speed.rate.median == 1000
        assert found["jax"].speed.rate.median == 2000
        ratio = found["jax"].speed.ratio
        assert ratio
        assert ratio.low < ratio.median == 2 < ratio.high

    def test_what_is_not_verified_has_no_speed(self) -> None:
        built = content.build([record("numpy"), reported.unverified("torch")])
        torch = entries(built)["torch"]
        assert (torch.speed, torch.phases, torch.time_to_target) == (None, {}, None)
        assert torch.quality
        assert "hidden.kernel" in str(torch.explanation)
        assert {c.backend for c in built.sections[0].curves if c.timed} == {"numpy"}
        assert "NOT verified, so without a speed: PyTorch." in built.sections[0].lead

    def test_one_seed_that_is_not_verified_takes_the_speed_of_all(self) -> None:
        found = [record("numpy"), record("jax"), reported.unverified("jax", seed=1)]
        assert entries(content.build(found))["jax"].speed is None

    def test_without_a_verified_numpy_there_are_speeds_but_no_ratios(self) -> None:
        speed = entries(content.build([reported.unverified("numpy"), record("jax")]))["jax"].speed
        assert speed
        assert speed.ratio is None

    def test_cells_that_failed_say_how_and_spoil_nothing(self) -> None:
        found = [
            record("numpy"),
            reported.failed("numpy", seed=1),
            reported.failed("jax", "timeout"),
        ]
        both = entries(content.build(found))
        assert both["numpy"].failures == ("crashed (seed 1): why",)
        assert both["numpy"].seeds == (0,)
        assert both["jax"].failures == ("timeout (seed 0): why",)
        assert (both["jax"].quality, both["jax"].speed) == (None, None)
        assert not both["jax"].verified

    def test_a_session_in_which_all_failed_can_be_reported(self, tmp_path: Path) -> None:
        ways = dict(zip(MODES, [*Outcome][1:], strict=False))
        found = [reported.failed(backend, outcome) for backend, outcome in ways.items()]
        html = report.write(tmp_path, found).html.read_text()
        for outcome in ways.values():
            assert f"{outcome} (seed 0)" in html

    def test_a_first_cell_that_failed_leaves_room_for_the_seconds_of_others(self) -> None:
        written = exports.as_csv(content.build([reported.failed("numpy"), record("jax")]))
        rows = csv.DictReader(written.splitlines())
        assert [row["seconds_train"] for row in rows] == ["", "0.5"]

    def test_none_is_called_fastest_where_intervals_overlap(self) -> None:
        alike = content.build([record("numpy"), record("jax", speed=1.01)])
        assert "None was clearly faster" in alike.sections[0].lead
        clear = content.build([record("numpy"), record("jax", speed=50)])
        assert "JAX trained fastest, 50.00 times as fast as NumPy" in clear.sections[0].lead

    def test_different_seeds_are_warned_of(self) -> None:
        built = content.build([record("numpy", 0), record("numpy", 1), record("jax", 0)])
        assert "NumPy 0 to 1; JAX 0" in built.sections[0].warnings[0]

    def test_speeds_that_drift_from_seed_to_seed_are_warned_of(self) -> None:
        drifted = content.build([record("numpy", 0, speed=3.5), record("numpy", 1)])
        assert "NumPy 3.5-fold" in drifted.sections[0].warnings[0]
        steady = content.build([record("numpy", 0, speed=1.2), record("numpy", 1)])
        assert steady.sections[0].warnings == ()

    def test_what_ran_under_other_conditions_is_not_taken_together(self) -> None:
        found = [record("numpy"), record("numpy", profile="full"), record("numpy", threads=2)]
        assert len(content.build(found).sections) == 3

    def test_curves_have_median_and_ends_and_few_points(self) -> None:
        long = [
            {"epoch": 1, "samples": 1, "seconds": 0.5, "losses": [float(i)]} for i in range(300)
        ]
        built = content.build([record("numpy", 0, chunks=long), record("numpy", 1, chunks=long)])
        loss, *_, accuracy = built.sections[0].curves
        assert len(loss.points) == 60
        assert loss.points[0].value.median == 2.0  # the mean of 0 to 4
        assert (loss.points[-1].epoch, loss.points[-1].seconds) == (1.0, 150.0)
        assert accuracy.metric == "test_accuracy"
        assert [(p.epoch, p.seconds, p.value.median) for p in accuracy.points] == [
            (1, 0.3, 0.7),
            (2, 0.45, 0.8),
        ]

    def test_equal_texts_stand_once_and_maps_are_compared(self) -> None:
        found = [record("numpy", heatmaps=reported.attention())]
        found += [
            record("jax", heatmaps=reported.attention(0.01)),
            record("torch", texts={"greedy": "x"}),
        ]
        (section,) = content.build(found).sections
        assert section.texts
        assert [(t.names, t.text) for t in section.texts.passages["greedy"]] == [
            (("NumPy", "JAX"), "To be"),
            (("PyTorch",), "x"),
        ]
        assert section.attention
        assert "JAX differ from these by at most 0.0100" in section.attention.agreement
        assert [len(maps) for maps in section.attention.kinds.values()] == [2]


class TestConvergence:
    def test_curves_are_read_and_backends_compared_seed_by_seed(self) -> None:
        found = [record(backend, seed) for backend in ("numpy", "jax") for seed in (0, 1)]
        (section,) = content.build(found).sections
        read = [(cell.backend, cell.seed, reading.label) for cell, reading in section.readings]
        assert read == [
            *(("numpy", 0, "still learning"), ("numpy", 1, "still learning")),
            *(("jax", 0, "still learning"), ("jax", 1, "still learning")),
        ]
        ((cell, comparison),) = section.comparisons
        assert (cell.backend, comparison.verdict, comparison.pairs) == ("jax", "same", 2)


class TestModes:
    """Two modes of a backend are two contestants."""

    def test_each_has_its_own_name_look_speed_and_verdict(self) -> None:
        compiled = record("torch", speed=3, mode="compile")
        built = content.build([record("numpy"), compiled, reported.unverified("torch")])
        (section,) = built.sections
        assert [(e.name, e.order) for e in section.entries] == [
            *(("NumPy", 0), ("PyTorch (eager)", 0), ("PyTorch (compile)", 1))
        ]
        assert built.columns == (("numpy", "eager"), ("torch", "eager"), ("torch", "compile"))
        _, one, other = section.entries
        assert one.speed is None
        assert other.speed
        assert other.speed.ratio
        assert other.speed.ratio.median == 3
        assert section.texts
        (text,) = section.texts.passages["greedy"]
        assert text.names == ("NumPy", "PyTorch (eager)", "PyTorch (compile)")
        eager, compiled_look = (look("torch", order) for order in (0, 1))
        assert eager.color == compiled_look.color
        for name in ("dash", "dashes", "symbol", "shape", "pattern"):
            assert getattr(eager, name) != getattr(compiled_look, name), name

    def test_timings_are_theirs_alone(self, tmp_path: Path) -> None:
        rounds = [("numpy", "eager", [1.0]), ("torch", "eager", [0.5]), ("torch", "compile", [0.2])]
        found = [record("numpy"), reported.unverified("torch"), record("torch", mode="compile")]
        results = reported.write(tmp_path, found, reported.timing(*rounds))
        timed = timings.of_session(results, reported.SESSION)
        (section,) = content.build(found, list(timed.values())).sections
        assert [(s.mode, s.ratio and s.ratio.median) for s in section.speeds] == [
            *(("eager", 1), ("compile", 5))
        ]

    def test_another_than_the_default_is_named_where_it_is_alone(self) -> None:
        (section,) = content.build([record("torch", mode="compile")]).sections
        assert [(e.name, e.order) for e in section.entries] == [("PyTorch (compile)", 1)]
        two = {"devices": ["cpu"], "threads": {"blas": 2}}
        found = ledger.build([record("torch"), record("torch", mode="compile", worker=two)])
        assert found.readings[1].seen == {"PyTorch": "1", "PyTorch (compile)": "2"}
        assert found.readings[1].surprising == ("PyTorch (compile)",)

    def test_the_commands_ask_for_them(self) -> None:
        found = [record("torch", mode="compile"), record("torch"), record("numpy")]
        (command,) = ledger.commands(found)
        assert "--backend numpy --backend torch --backend torch:compile --first-seed" in command


class TestTimings:
    def test_ratios_are_formed_round_by_round(self, tmp_path: Path) -> None:
        rounds = {"numpy": [1.0, 2.0, 4.0], "jax": [0.5, 1.0, 2.0]}  # a machine that slows down
        timed = reported.timing(*((b, MODES[b], s) for b, s in rounds.items()))
        found = [record("numpy"), record("jax", speed=7), record("torch")]
        built = json.loads(self._json(tmp_path, found, timed))
        (section,) = built["sections"]
        assert section["interleaved"]
        numpy, torch, jax = section["entries"]
        assert jax["speed"]["ratio"] == pytest.approx(
            {"median": 2, "low": 1.98, "high": 2.02}, 1e-3
        )
        assert jax["speed"]["rate"]["median"] == 1000
        assert numpy["speed"]["ratio"]["median"] == 1
        assert torch["speed"] is None  # it was not there

    def test_efficiency_and_what_differs_are_told_everywhere(self, tmp_path: Path) -> None:
        rounds = {"numpy": [1.0, 2.0], "jax": [0.5, 1.0]}
        timed = reported.timing(*((b, MODES[b], s) for b, s in rounds.items()))
        timed |= {"operations": [1e9, 2e9], "machine": {"matmul": 4e9, "copy": 5e9}}
        worker = {"threads": {"pool": 2}}
        results = reported.write(tmp_path, [record("numpy"), record("jax", worker=worker)], timed)
        files = report.write(results, [record("numpy"), record("jax", worker=worker)])
        (section,) = json.loads(files.json.read_text())["sections"]
        numpy, jax = section["entries"]
        assert numpy["speed"]["efficiency"]["median"] == 0.25
        assert jax["speed"]["efficiency"]["median"] == 0.5
        assert (numpy["speed"]["differing"], jax["speed"]["differing"]) == ([], ["threads"])
        told = "threads: 1 (numpy:eager); pool 2 (jax:jit)"
        assert told in section["warnings"][0]
        markdown, html = files.markdown.read_text(), files.html.read_text()
        assert told in markdown
        assert "| 2.00 [1.98, 2.02]\\* | 50% | yes |" in markdown
        assert "| 1.00 | 25% | yes |" in markdown
        assert "Efficiency, % of the machine" in html
        assert "attained 4 GFLOP/s" in html
        assert html.count('s: threads">*</abbr>') == 2  # in the summary and in the table
        (row, other) = csv.DictReader(files.csv.read_text().splitlines())
        assert (row["efficiency_median"], row["differing"]) == ("0.25", "")
        assert (other["efficiency_median"], other["differing"]) == ("0.5", "threads")

    def test_a_timing_of_another_run_is_not_used(self, tmp_path: Path) -> None:
        timed = reported.timing(("numpy", "eager", [1.0]), threads=2)
        assert '"interleaved": false' in self._json(tmp_path, [record("numpy")], timed)

    def test_who_is_not_verified_in_the_records_is_not_timed(self, tmp_path: Path) -> None:
        timed = reported.timing(("numpy", "eager", [1.0]), ("torch", "eager", [0.1]))
        document = self._json(tmp_path, [record("numpy"), reported.unverified("torch")], timed)
        assert [s["backend"] for s in json.loads(document)["sections"][0]["speeds"]] == ["numpy"]

    @pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 1}'])
    def test_a_file_that_is_no_timing_is_named(self, tmp_path: Path, text: str) -> None:
        results = reported.write(tmp_path, [record("numpy")], reported.timing())
        next(results.glob("timings/*/*")).write_text(text)
        with pytest.raises(RequestError, match=r"fashion_mlp-1.json is not a timing"):
            report.write(results, [record("numpy")])

    def _json(self, tmp_path: Path, found: list[records.Record], timed: dict[str, Any]) -> str:
        return report.write(reported.write(tmp_path, found, timed), found).json.read_text()


class TestLedger:
    def test_what_differs_is_told_with_the_cells_that_have_it(self) -> None:
        found = ledger.build([record("numpy"), record("jax", packages={"numpy": "9.9"})])
        (difference,) = found.differences
        assert difference.name == "numpy"
        assert [value for value, _ in difference.values] == ["2.4.6", "9.9"]
        assert "JAX" in difference.values[1][1]
        assert found.facts["cpu"] == "a processor"

    def test_a_pool_with_another_number_of_threads_is_marked(self) -> None:
        two = {"devices": ["cpu"], "threads": {"blas": 2}}
        found = ledger.build([record("numpy"), record("jax", worker=two)])
        assert [(p.name, p.surprising) for p in found.readings] == [
            ("devices", ()),
            ("threads, blas", ("JAX",)),
        ]

    def test_facts_are_shown_by_backend_and_those_that_differ_are_marked(self) -> None:
        usual = {"affinity": [0, 1], "cpu_quota": "none", "cores_used": 0.95}
        usual |= {"precision": {"allow_tf32": False}}
        pinned = {**usual, "affinity": [0]}
        found = [record("numpy", worker=usual), record("jax", worker=pinned)]
        found.append(record("jax", 1, worker={**pinned, "cores_used": 1.05}))
        readings = {r.name: r for r in ledger.build(found).readings}
        assert readings["CPU affinity"].seen == {"NumPy": "0, 1", "JAX": "0"}
        assert readings["CPU affinity"].surprising == ("NumPy", "JAX")
        assert readings["CPU quota"].surprising == ()
        assert readings["cores used in training"].seen == {"NumPy": "0.95", "JAX": "0.95 to 1.05"}
        assert readings["precision, allow_tf32"].seen == {"NumPy": "False", "JAX": "False"}
        assert "huge pages" not in readings

    def test_the_commands_make_the_same_cells(self) -> None:
        found = [record(backend, seed) for backend in MODES for seed in (3, 4)]
        found += [record(backend, seed, task="lstm") for backend in MODES for seed in (3, 4)]
        how = "--first-seed 3 --seeds 2 --device cpu --profile quick --data generated --threads 1"
        assert ledger.commands(found) == (f"tetragrad run --task fashion_mlp --task lstm {how}",)
        first, second = ledger.commands([record("numpy"), record("jax"), record("jax", 2)])[:2]
        assert "--backend numpy --first-seed 0 --seeds 1 " in first
        assert "--backend jax --first-seed 0 --seeds 1 " in second
