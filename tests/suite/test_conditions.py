"""Conditions: the one identity of cells, commands, sections of a report, timings and baselines."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from suite.records import cell as identity
from suite.records.cell import Cell, Conditions
from suite.report import content, exports, ledger, page
from suite.session.plan import Plan
from suite.system import environment
from tests.suite.command import in_process
from tests.suite.examples import CELL
from tests.suite.reported import MODES, record

PLAIN = Conditions(task="transformer", backend="torch", mode="eager")
OTHER: dict[str, Any] = {
    "task": "lstm",
    "variant": "small",
    "backend": "jax",
    "mode": "jit",
    "device": "cuda:1",
    "precision": "bfloat16",
    "profile": "full",
    "data": "generated",
    "threads": 2,
    "early_stopping": 5,
    "options": {"beam": "4", "sentence": "Ein Hund rennt; schnell."},
}
"""Another value of every condition than that of ``PLAIN``."""
PLACE = ("task", "variant", "backend", "mode")
"""Conditions that ``--task`` and ``--backend`` ask for."""
OF_A_SESSION = ("profile", "data", "threads")
"""Conditions that all cells of a session share, and no name of a file tells."""


def test_every_condition_is_tried_here() -> None:
    assert set(OTHER) == {f.name for f in fields(Conditions)}


@pytest.mark.parametrize("name", OTHER)
def test_each_makes_another_key_and_is_left_out_by_name(name: str) -> None:
    other = replace(PLAIN, **{name: OTHER[name]})
    assert len({PLAIN.key, other.key}) == 2
    assert other.without(name) == PLAIN.without(name)
    cell = Cell(**asdict(other), seed=7)
    assert cell.conditions == other
    assert cell.conditions.key == other.key


@pytest.mark.parametrize("name", [name for name in OTHER if name not in OF_A_SESSION])
def test_each_that_cells_of_a_session_differ_in_makes_another_file(name: str) -> None:
    other = Cell(**{**asdict(PLAIN), name: OTHER[name]}, seed=7)
    assert other.file_name != PLAIN.file_name
    assert other.label == f"{other.file_name}-seed7"
    assert "/" not in other.label
    assert " " not in other.label


def test_without_choices_the_file_is_called_as_ever() -> None:
    assert CELL.label == "fashion_mlp-numpy-eager-cpu-float32-seed3"
    stopped = replace(CELL, variant="wide", early_stopping=5, options={"beam": "4"})
    expected = "fashion_mlp-wide-numpy-eager-cpu-float32-early_stopping-5-beam-4-seed3"
    assert stopped.label == expected


def test_no_choice_leads_out_of_the_folder() -> None:
    names = {
        replace(PLAIN, options={"sentence": text}).file_name
        for text in ("../../outside", "/tmp/outside", "x" * 300, "ä", "")
    }
    assert len(names) == 5
    assert all(name.isascii() and "/" not in name and len(name) < 100 for name in names)


def test_the_order_of_options_is_no_condition() -> None:
    one, other = (replace(PLAIN, options=dict(o)) for o in ([("a", "1"), ("b", "2")],) * 2)
    other = replace(other, options=dict(reversed(one.options.items())))
    assert (one.key, one) == (other.key, other)


def test_what_backends_share_has_no_backend() -> None:
    own = replace(PLAIN, **{name: OTHER[name] for name in OTHER if name not in PLACE})
    jax = replace(own, backend="jax", mode="jit")
    assert own.shared == jax.shared
    assert (own.shared.backend, own.shared.mode) == ("", "")
    assert own.shared.early_stopping == 5


def test_a_scale_of_batches_is_an_option_and_1_is_none() -> None:
    own = replace(PLAIN, options={"beam": "4"})
    larger = own.at_batch_scale(8)
    assert (own.batch_scale, larger.batch_scale) == (1, 8)
    assert larger.options["beam"] == "4"
    assert larger.at_batch_scale(1) == own


def asked(folder: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> Plan:
    """The plan that ``tetragrad run`` makes of a command line; nothing is run."""
    plans: list[Plan] = []

    def plan_alone(plan: Plan, *rest: object, **named: object) -> None:
        plans.append(plan)
        raise SystemExit(0)

    monkeypatch.setattr(sys.modules["suite.cli.run"], "_run", plan_alone)
    monkeypatch.setattr(environment, "require_cpus", lambda threads: None)
    program, *arguments = shlex.split(command)
    assert program == "tetragrad"
    done = in_process(folder, *arguments)
    assert done.returncode == 0, done.stderr
    (plan,) = plans
    return plan


@pytest.mark.parametrize("name", [None, *(name for name in OTHER if name not in PLACE)])
def test_the_arguments_ask_for_the_same_conditions(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(PLAIN, **({name: OTHER[name]} if name else {}))
    plan = asked(tmp_path, monkeypatch, f"tetragrad run --task transformer {own.arguments()}")
    assert plan.data == own.data
    assert replace(plan.conditions, data=own.data) == own.without(*PLACE)


class TestCommands:
    def test_cells_of_unlike_conditions_have_a_command_each_that_asks_for_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unlike: dict[str, Any] = {"task": "transformer", "precision": "bfloat16"}
        unlike |= {"early_stopping": 5, "options": OTHER["options"]}
        found = [record(b, task="transformer") for b in MODES]
        found += [record(b, **unlike) for b in MODES]
        plain, chosen = ledger.build(found).commands
        for words in ("--precision", "--early-stopping", "--set"):
            assert words not in plain
        for words in ("--precision bfloat16 ", "--early-stopping 5 ", "--set beam=4 "):
            assert words in chosen
        assert asked(tmp_path, monkeypatch, plain).conditions.early_stopping is None
        plan = asked(tmp_path, monkeypatch, chosen)
        assert plan.conditions.precision == "bfloat16"
        assert plan.conditions.early_stopping == 5
        assert plan.conditions.options == OTHER["options"]

    @pytest.mark.parametrize("name", [name for name in OTHER if name not in PLACE])
    def test_no_condition_is_shared_by_chance(self, name: str) -> None:
        value = {"data": "real"}.get(name, OTHER[name])  # the record's are generated
        found = [record("numpy"), record("jax", **{name: value})]
        commands = ledger.build(found).commands
        assert len(commands) == 2
        assert len({command.partition(" --device ")[2] for command in commands}) == 2


class TestReport:
    @pytest.mark.parametrize(
        ("change", "titles"),
        [
            (
                {"early_stopping": 5},
                ["fashion_mlp, no early stopping", "fashion_mlp, early stopping 5"],
            ),
            ({"options": {"beam": "4"}}, ["fashion_mlp", "fashion_mlp, beam=4"]),
            ({"precision": "bfloat16"}, ["fashion_mlp, float32", "fashion_mlp, bfloat16"]),
            ({"profile": "full"}, ["fashion_mlp, quick", "fashion_mlp, full"]),
            ({"data": "real"}, ["fashion_mlp, generated data", "fashion_mlp, real data"]),
            ({"threads": 2}, ["fashion_mlp, 1 thread", "fashion_mlp, 2 threads"]),
            ({"device": "cuda"}, ["fashion_mlp, cpu", "fashion_mlp, cuda"]),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_sessions_of_unlike_conditions_are_not_pooled(
        self, change: dict[str, Any], titles: list[str]
    ) -> None:
        later = "20260102-000000-abcd"
        one = [record("numpy", seed) for seed in (0, 1)]
        other = [record("numpy", seed, speed=3, session=later, **change) for seed in (0, 1, 2)]
        built = content.build([*one, *other])
        by_title = {section.title: section for section in built.sections}
        assert sorted(by_title) == sorted(titles)
        first, second = (by_title[title] for title in titles)
        assert first.conditions == one[0].cell.shared
        assert second.conditions == other[0].cell.shared
        assert (first.seeds, second.seeds) == ((0, 1), (0, 1, 2))
        speeds = [entry.speed for section in (first, second) for entry in section.entries]
        rates = [speed.rate.median for speed in speeds if speed]
        assert rates == pytest.approx([1000, 3000])
        html, (text, rows) = page.render(built), (exports.as_markdown(built), exports.as_csv(built))
        for title in titles:
            assert title in html
            assert f"## {exports.plain(title)}\n" in text
        assert len({row.partition(",numpy,")[0] for row in rows.splitlines()[1:]}) == 2

    def test_alone_a_task_is_called_by_its_label(self) -> None:
        stopped = [record("numpy", early_stopping=5), record("numpy", task="lstm")]
        titles = [section.title for section in content.build(stopped).sections]
        assert sorted(titles) == ["fashion_mlp", "lstm"]


def test_the_device_of_several_names_each_with_its_backends() -> None:
    torch = replace(CELL, backend="torch", device="cuda")
    assert identity.where([CELL, replace(CELL, seed=1)]) == "cpu"
    assert identity.where([CELL, torch]) == "cpu (numpy:eager), cuda (torch:eager)"
