"""Machines as a dimension: which are one, the same contestants on several, which one to take."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from suite.history import telling
from suite.history.series import build
from suite.records import machines as of_records
from suite.records.machines import Block, Machines, compare, facts_in, facts_of, names_of, text_of
from suite.report import content, exports, machines, page
from suite.system import cgroups, environment
from tests.suite import machine, reported
from tests.suite.history.past import past, send
from tests.suite.pages import Seen

BIG: dict[str, Any] = {
    **{"cpu": "EPYC", "cpu_model": "25 1 1", "cores": 2, "logical_cores": 4, "kernel": "6.1"},
    **{"memory_bytes": 25_276_063_744, "microcode": "0x1", "cpu_limit": None},
    **{"memory_limit_bytes": None, "python": "3.11", "system": "Linux"},
}
SMALL = {**BIG, "cpu": "Celeron", "memory_bytes": 4_000_000_000}


class TestIdentity:
    def test_it_is_the_processor_cores_memory_kernel_microcode_and_limits(self) -> None:
        for name in ("cpu", "cpu_model", "cores", "logical_cores", "kernel", "microcode"):
            assert len({*names_of([facts_of(BIG), facts_of({**BIG, name: "7"})])}) == 2, name
        for name in ("memory_bytes", "cpu_limit", "memory_limit_bytes"):
            other = facts_of({**BIG, name: 4_000_000_000})
            assert len({*names_of([facts_of(BIG), other])}) == 2, name
        for change in ({"python": "3.12"}, {"memory_bytes": BIG["memory_bytes"] + 4096}):
            assert facts_of({**BIG, **change}) == facts_of(BIG)

    def test_a_name_says_what_tells_machines_apart(self) -> None:
        others = [{**BIG, "kernel": "6.18"}, {**BIG, "cpu_limit": 1.5}, BIG]
        assert names_of([*map(facts_of, others)]) == [
            "EPYC, kernel 6.18, CPU limit none",
            "EPYC, kernel 6.1, CPU limit 1.5",
            "EPYC, kernel 6.1, CPU limit none",
        ]
        assert names_of([facts_of(BIG)]) == ["EPYC"]
        assert names_of([]) == []

    def test_records_of_before_agree_with_what_they_do_not_say(self) -> None:
        before = {"cpu": "EPYC", "cores": 2, "python": "3.11"}
        assert {*names_of([facts_of(before), facts_of(BIG)])} == {"EPYC"}
        assert names_of([facts_of(before), facts_of(SMALL)]) == ["EPYC", "Celeron"]
        assert facts_of({}) == facts_of({"cpu": "not readable"}) == {}

    def test_they_go_through_a_tag(self) -> None:
        facts = facts_of({**BIG, "cpu": "E; P: Y"})
        assert facts_in(text_of(facts)) == {**facts, "cpu": "E, P: Y"}

    def test_this_machine_says_them(self) -> None:
        known = {"cpu", "cores", "threads", "memory", "kernel", "CPU limit", "memory limit"}
        assert known <= facts_of(environment.machine()).keys()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"sys/fs/cgroup/a/memory.max": "2000", "sys/fs/cgroup/memory.max": "max"}, 2000),
        ({"sys/fs/cgroup/a/memory.max": "2000", "sys/fs/cgroup/memory.max": "1000"}, 1000),
        ({"sys/fs/cgroup/a/memory.max": "max"}, None),
        ({}, None),
    ],
)
def test_the_memory_that_control_groups_leave(
    texts: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    root = machine.write(tmp_path, {"proc/self/cgroup": "0::/a", **texts})
    assert cgroups.memory_limit(root) == expected


def test_the_memory_limit_of_version_1(tmp_path: Path) -> None:
    own = {"proc/self/cgroup": "5:memory:/a\n4:cpu,cpuacct:/b"}
    place = "sys/fs/cgroup/memory/a/memory.limit_in_bytes"
    top = {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096)}
    assert cgroups.memory_limit(machine.write(tmp_path, {**own, **top, place: "5000"})) == 5000
    assert cgroups.memory_limit(machine.write(tmp_path, {place: str(2**63 - 4096)})) is None


def around(rate: float, count: int = 9) -> list[float]:
    return [rate * (1 + 0.001 * (n % 3 - 1)) for n in range(count)]


def found(jax_on_small: float = 0.5) -> Machines:
    blocks = [
        Block("big", {"numpy:eager": around(1000), "jax:jit": around(4000)}),
        Block("big", {"numpy:eager": around(1000), "jax:jit": around(4000)}),
        Block("small", {"numpy:eager": around(100), "jax:jit": around(100 * jax_on_small)}),
    ]
    result = compare(blocks, "numpy:eager")
    assert result
    return result


class TestCompare:
    def test_ratios_are_formed_within_machines_and_their_spread_between(self) -> None:
        result = found(2.0)
        assert result.machines == ("big", "small")
        assert result.names == ("jax:jit", "numpy:eager")
        big, small = (result.entry(name, "jax:jit") for name in result.machines)
        assert big
        assert small
        assert (big.ratio.median, small.ratio.median) == pytest.approx((4, 2))
        assert (big.blocks, small.blocks) == (2, 1)
        assert big.ratio.low
        assert small.ratio.low
        # two processes of one build differ: fewer of them tell less
        assert 0.98 * 2 < small.ratio.low < 0.992 * 2
        assert small.ratio.low / 2 < big.ratio.low / 4 < 1
        assert result.spread("jax:jit") == pytest.approx(2)
        across = result.across("jax:jit")
        assert across.median == pytest.approx(math.sqrt(8))
        # Student's t with one degree of freedom: 12.7 times half the difference
        assert across.high == pytest.approx(math.sqrt(8) * 2 ** (12.706 / 2), rel=1e-3)
        assert not result.winner_depends

    def test_the_winner_may_depend_on_the_machine(self) -> None:
        assert found(0.5).winner_depends
        assert found(0.5).winners("small") == ("numpy:eager",)
        assert not found(1.0).winner_depends  # there they cannot be told apart
        assert machines.warnings(found(1.0)) == machines.warnings(None) == []
        assert machines.warnings(found(0.5)) == [
            "The fastest depends on the machine: JAX on big; NumPy on small."
        ]

    def test_the_answer_names_a_machine_only_if_it_is_faster_beyond_doubt(self) -> None:
        said = machines.answer(found(2.0), "samples/s")
        assert said.startswith("For this take big: JAX trains 4,000 samples/s there, 20.00 times")
        alike = [Block(name, {"numpy:eager": around(1000)}) for name in ("a", "b")]
        result = compare(alike, "numpy:eager")
        assert result
        assert machines.answer(result, "x/s").startswith("No machine is clearly faster at this")

    def test_of_few_values_there_is_no_interval_and_nothing_beyond_doubt(self) -> None:
        blocks = [Block(n, {"numpy:eager": [r]}) for n, r in (("a", 1.0), ("b", 100.0))]
        result = compare(blocks, "numpy:eager")
        assert result
        assert result.entries[0].rate == of_records.Estimate(1.0)
        assert "No machine is clearly faster" in machines.answer(result, "x/s")

    def test_it_takes_two_machines_with_a_contestant_in_common(self) -> None:
        one = Block("a", {"numpy:eager": around(1)})
        assert compare([one, one], "numpy:eager") is None
        assert compare([one, Block("b", {"jax:jit": around(1)})], "numpy:eager") is None
        both = Block("a", {"numpy:eager": around(1), "jax:jit": around(2)})
        other = compare([both, Block("b", {"jax:jit": around(1)})], "numpy:eager")
        assert other
        assert other.base == "jax:jit"


def of_report(small: Any = None, **of_timing: Any) -> Any:
    """Two sessions on two machines, with another fastest on each; PyTorch is not the same model."""
    kept, timed = [], []
    for session, host, jax in (("s1", BIG, 0.25), ("s2", small or SMALL, 2.0)):
        seconds = [("numpy", "eager", around(1.0)), ("jax", "jit", around(jax))]
        one = reported.timing(*seconds, ("torch", "eager", around(0.01)), session=session)
        one["samples"] = [1000] * 9
        timed.append({**one, **of_timing})
        own = [reported.record("numpy"), reported.record("jax"), reported.unverified("torch")]
        kept += [replace(record, session=session, machine=host) for record in own]
    return kept, timed


def sections(tmp_path: Path, kept: Any, timed: Any) -> Any:
    from suite.records import timing as timings

    reported.write(tmp_path, kept, *timed)
    there = [t for s in ("s1", "s2") for t in timings.of_session(tmp_path, s).values()]
    return content.build(kept, there)


def test_a_report_on_sessions_of_two_machines_compares_them(tmp_path: Path) -> None:
    report = sections(tmp_path, *of_report())
    (section,) = report.sections
    assert section.machines
    assert section.machines.names == ("jax:jit", "numpy:eager")  # the unverified is not there
    html, markdown = Seen(page.render(report)), exports.as_markdown(report)
    for text in (" ".join(html.text.split()), markdown):
        assert "For this take EPYC: JAX trains 4,000 samples/s there, 4.00 times as many" in text
        assert "The fastest depends on the machine: JAX on EPYC" in text
    told = exports.as_json(report)["sections"][0]["machines"]
    json.dumps(told, allow_nan=False)
    assert told["fastest_depends_on_the_machine"]
    assert [m["fastest"] for m in told["machines"]] == [["jax:jit"], ["numpy:eager"]]


def test_on_one_machine_there_is_nothing_to_compare(tmp_path: Path) -> None:
    report = sections(tmp_path, *of_report(small=BIG))
    assert report.sections[0].machines is None
    assert "several machines" not in page.render(report)
    host = {"schema_version": 2, "conditions": {"task": "fashion_mlp", "data": "generated"}}
    kept, timed = of_report(small=BIG)
    names = ("task", "variant", "profile", "data", "device", "precision", "threads")
    timed = [{k: v for k, v in one.items() if k not in names} | host for one in timed]
    timed[0]["host"] = SMALL  # a timing's own is believed before its session's records
    assert sections(tmp_path, kept, timed).sections[0].machines


def test_a_history_compares_machines(tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path)
    there = []
    for day in range(1, 5):
        there += [past(day, "numpy", 1.0 + day / 1000, machine=BIG), past(day, "jax", 4.0)]
        there[-1].machine = BIG
    limited = {**BIG, "cpu_limit": 0.5}
    for day in range(5, 9):
        there += [past(day, "numpy", 0.5 + day / 1000, machine=limited)]
        there += [past(day, "jax", 0.1, machine=limited)]
        there += [past(day, "torch", 9.0, machine=limited, verified=False)]
    history = build(send(tmp_path, there), ("fashion_mlp", None))
    assert history.machines
    assert {*history.machines.names} == {"numpy:eager", "jax:jit"}
    assert history.machines.winner_depends
    assert history.shown_on == ("EPYC, CPU limit 0.5", "EPYC, CPU limit none")
    said = [*telling.notices(history)]
    assert "the sessions shown are of 2 machines with the same processor" in said[0]
    console = Console(record=True, width=200)
    telling.print_history(history, console)
    text = console.export_text()
    assert "For this take EPYC, CPU limit none: JAX trains 4,000 samples/s" in text
    told = telling.document(history, "page")["machines"]
    assert told["machines"][0]["contestants"]["jax:jit"]["blocks"] == 4
    quality = build(send(tmp_path, []), ("fashion_mlp", None), "test_accuracy")
    assert quality.machines is None
