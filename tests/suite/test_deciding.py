"""Which backend to take: the sentences of a report and of a run, and the figures at its head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tasks
from suite.records.record import Record
from suite.records.timing import Contestant, Timing
from suite.report import content, deciding, exports, overview, page
from suite.report.document import Report
from tests.suite import reported
from tests.suite.reported import MODES, record, unverified

START = {"numpy": 0.2, "torch": 2.0, "tensorflow": 4.0, "jax": 1.2}
NOISE = (0.99, 1.0, 1.01, 0.995, 1.005, 1.0, 0.99, 1.01)


def cell(backend: str, speed: float, **changes: Any) -> Record:
    """Two epochs of 200 samples, at 1000 ``speed`` samples/s, and what a whole run took."""
    phases = {"import": START[backend], "build": 0.0, "compile": 0.0, "train": 0.4 / speed}
    sizes = {"after_import": 10**8, "peak": int(START[backend] * 10**9)}
    return record(backend, speed=speed, phases=phases, memory=sizes, data="real", **changes)


def timing(found: Sequence[Record], speeds: dict[str, float], noise: float = 1.0) -> Timing:
    """Rounds in turns in which each is ``speeds`` times as fast as the first; NumPy has no noise.

    ``noise`` makes the others' seconds vary by so many percent.
    """
    contestants = tuple(
        Contestant(
            *(f"{name}:{MODES[name]}", name, MODES[name], True),
            seconds=tuple(
                1 / speed * (1 if name == "numpy" else 1 + noise * (n - 1)) for n in NOISE
            ),
            idle_load=0.0,
        )
        for name, speed in speeds.items()
    )
    own = found[0].cell.shared
    return Timing(
        *(reported.SESSION, own, found[0].created, "samples/s", (1000,) * len(NOISE)), contestants
    )


def built(speeds: dict[str, dict[str, float]], noise: float = 1.0) -> Report:
    """A report on tasks, by name, with the speeds of their backends."""
    found = {
        task: [cell(name, speed, task=task) for name, speed in own.items()]
        for task, own in speeds.items()
    }
    timed = [timing(found[task], own, noise) for task, own in speeds.items()]
    return content.build([one for own in found.values() for one in own], timed)


class TestSentences:
    def test_one_task_says_who_is_fastest_how_surely_and_what_a_run_costs(self) -> None:
        (answer,) = built({"fashion_mlp": {"numpy": 1, "jax": 2, "torch": 1.5}}).answers
        assert answer.headline.startswith(
            "On this machine, at one thread: JAX trains fastest, 1.33 times as fast as PyTorch, "
            "the next (95% interval 1.3"
        )
        (costs,) = answer.tasks
        assert "2 epochs took least in NumPy: 0.60 s (0.20 s to import and compile)" in costs
        assert "200 MB. JAX took 1.40 s (1.20 s to import and compile) and 1,200 MB" in costs
        # a second later, and an epoch of 0.2 s takes half of that: ten epochs
        assert "its later start is paid back after 10 epochs (95% 10 to 11)" in costs

    def test_who_cannot_be_told_apart_is_named_with_the_interval(self) -> None:
        (answer,) = built({"fashion_mlp": {"numpy": 1, "jax": 1.02}}, noise=20).answers
        assert ": JAX and NumPy train fastest and cannot be told apart (NumPy 0." in answer.headline
        assert "its later start may never be paid back" in answer.tasks[0]

    def test_several_tasks_are_counted(self) -> None:
        report = built(
            {
                "fashion_mlp": {"numpy": 1, "jax": 2},
                "lstm": {"numpy": 1, "jax": 3},
                "transformer": {"numpy": 1, "jax": 0.5},
            }
        )
        (answer,) = report.answers
        said = "On this machine, at one thread, JAX is fastest in 2 of 3 tasks; NumPy in 1."
        assert answer.headline == said
        assert [text.split(":")[0] for text in answer.tasks] == [
            *("fashion_mlp", "lstm", "transformer")
        ]
        assert said in exports.as_markdown(report)
        doubtful = built({t: {"numpy": 1, "jax": 1.01} for t in ("lstm", "fewshot")}, noise=20)
        assert "JAX perhaps in 2. Perhaps: the 95% intervals" in doubtful.answers[0].headline

    def test_conditions_are_told_apart_and_named(self) -> None:
        one, two = ([cell(b, 1, threads=n) for b in ("numpy", "jax")] for n in (1, 2))
        timed = [timing(found, {"numpy": 1, "jax": 2}) for found in (one, two)]
        machine = {"cpu": "another"}
        found = [*one, *(replace(r, machine=machine) for r in two)]
        heads = [answer.headline for answer in content.build(found, timed).answers]
        assert heads[0].startswith("On these machines, at one thread, in the quick profile: JAX")
        assert heads[1].startswith("On these machines, at 2 threads, in the quick profile: JAX")

    def test_what_is_not_compared_or_uneven_is_said(self) -> None:
        found = [cell("numpy", 1), cell("jax", 2), unverified("torch", data="real")]
        found[1].worker = {**found[1].worker, "affinity": [0]}
        found[0].worker = {**found[0].worker, "affinity": [0, 1]}
        (answer,) = content.build(found).answers
        assert "Not compared, for it is not verified: PyTorch." in answer.tasks[0]
        assert "Compare with care: not timed in turns and not the same CPU" in answer.tasks[0]

    @pytest.mark.parametrize("found", [[record("numpy")], [reported.failed("numpy")]])
    def test_one_alone_is_no_answer(self, found: list[Record]) -> None:
        assert content.build(found).answers == ()

    def test_the_fastest_may_also_cost_least(self) -> None:
        (answer,) = built({"regression": {"numpy": 2, "jax": 1}}).answers
        assert answer.tasks[0].endswith(
            "took least in NumPy: 0.40 s (0.20 s to import and compile) and 200 MB."
        )


class TestFigures:
    def test_each_backend_is_a_share_of_its_task_s_fastest(self) -> None:
        report = built({"fashion_mlp": {"numpy": 1, "jax": 2}, "lstm": {"numpy": 3, "jax": 1}})
        chart = overview.relative_speed(report)
        assert chart
        assert "fashion_mlp: NumPy 50%, JAX 100%; lstm: NumPy 100%, JAX 33%" in chart.alternative
        numpy, jax = (list(trace["x"]) for trace in chart.figure["data"])
        assert (numpy, jax) == ([0.5, 1], [1, 0.333333])

    def test_what_is_unverified_or_uneven_is_marked(self) -> None:
        found = [cell("numpy", 1), cell("jax", 2), unverified("torch", data="real")]
        found.append(replace(reported.failed("tensorflow"), cell=cell("tensorflow", 1).cell))
        chart = overview.relative_speed(content.build(found))
        assert chart
        marks = [text for trace in chart.figure["data"] for text in trace.get("text") or ()]
        assert marks == [" *", " ✗ PyTorch: not verified", " ✗ TensorFlow: crashed", " *"]
        assert "(*): NumPy 50%, PyTorch not verified, TensorFlow crashed" in chart.alternative
        assert overview.relative_speed(content.build([reported.failed("numpy")])) is None

    def test_a_profile_has_the_share_of_tasks_within_a_factor_of_the_fastest(self) -> None:
        speeds = {"fashion_mlp": 2.0, "lstm": 4.0, "transformer": 0.5, "fewshot": 1.25}
        report = built({task: {"numpy": 1, "jax": jax} for task, jax in speeds.items()})
        (group,) = deciding.of_equal_conditions(report.sections)
        shares = deciding.within(group)
        assert shares["numpy", "eager"] == pytest.approx([1, 1.25, 2, 4])
        assert shares["jax", "jit"] == pytest.approx([1, 1, 1, 2])
        (chart,) = overview.profiles(report)
        _, jax = chart.figure["data"]
        assert list(jax["y"])[:4] == [0, 0.25, 0.5, 0.75]
        assert "NumPy is fastest in 25% and gets to 100%" in chart.alternative
        three = built({task: {"numpy": 1, "jax": 2} for task in list(speeds)[:3]})
        assert overview.profiles(three) == []

    def test_who_fails_in_a_task_never_gets_to_all_and_who_was_not_run_is_left_out(self) -> None:
        names = ("fashion_mlp", "lstm", "transformer", "fewshot")
        found = [cell(b, 1, task=t) for t in names for b in ("numpy", "jax")]
        found += [cell("torch", 1, task=t) for t in names[:3]]
        found.append(unverified("torch", task="fewshot", data="real"))
        found.append(cell("tensorflow", 1, task="lstm"))
        report = content.build(found)
        (group,) = deciding.of_equal_conditions(report.sections)
        shares = deciding.within(group)
        assert shares["torch", "eager"][-1] == math.inf
        (chart,) = overview.profiles(report)
        assert "PyTorch is fastest in 75% and gets to 75%" in chart.alternative
        assert chart.caption.endswith("4 tasks, without TensorFlow: not run in all of them")

    def test_the_page_has_them_before_all_else_with_hostile_words_as_words(self) -> None:
        title = {"task": reported.HOSTILE.replace("/", ""), "variant": None}
        found = [cell("numpy", 1, **title), cell("jax", 2, **title)]
        html = page.render(content.build(found))
        assert html.index("figure-1") < html.index('class="matrix"')
        assert "Speed as a share of the fastest" in html
        assert "<script>alert" not in html.replace("</script>", "")


def test_every_task_s_names_can_be_at_the_side(tmp_path: Path) -> None:
    """A long title is broken into lines."""
    found = [cell(b, 1, task="imdb_text", variant="bow_validation") for b in ("numpy", "jax")]
    found += [cell(b, 1, task="imdb_text", variant="bow_validation", threads=2) for b in MODES]
    chart = overview.relative_speed(content.build(found))
    assert chart
    lines = [x for tick in chart.figure["layout"]["yaxis"]["ticktext"] for x in tick.split("<br>")]
    assert max(map(len, lines)) <= max(map(len, tasks.names())) + 5
