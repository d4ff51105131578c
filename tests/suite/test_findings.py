"""Findings as people, CI and shells get them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from suite.records.findings import Finding, Findings
from suite.session import check as checking
from suite.show.findings import print_checked
from suite.system import revisions
from suite.system.git import ROOT
from tasks.task import RequestError
from tests.suite.command import in_process

BASELINES = ROOT / "results" / "baselines"

SAME = Finding("a numpy: loss", "same", "0.5 in [0.4, 0.6]")
ABOVE = Finding("a | jax: <accuracy>", "above its band", "0.9 > 0.8\nby a lot \x00", False)
SKIPPED = Finding("a torch", "skipped", "not installed", None)


@pytest.mark.parametrize(
    ("found", "code"),
    [((SAME,), 0), ((SAME, SKIPPED), 0), ((SAME, ABOVE), 1), ((SKIPPED,), 1), ((), 1)],
)
def test_nothing_found_is_no_success(found: tuple[Finding, ...], code: int) -> None:
    assert Findings("check", found).exit_code == code


def test_a_reader_of_markdown_sees_failures_first() -> None:
    lines = Findings("check", (SAME, ABOVE, SKIPPED)).markdown().splitlines()
    assert lines[:3] == ["# check", "", "1 of 3 checks failed, 1 without a verdict."]
    assert lines[4] == "- **a \\| jax: \\<accuracy>**: 0.9 > 0.8 by a lot \x00"
    assert len(lines) == 11
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines[6:])


@pytest.mark.parametrize(
    ("found", "summary"),
    [
        ((SAME, SAME), "all 2 checks passed"),
        ((SAME, SKIPPED), "1 of 2 checks passed, 1 without a verdict"),
        ((SAME, ABOVE), "1 of 2 checks failed"),
        ((SKIPPED,), "0 of 1 checks passed, 1 without a verdict"),
    ],
)
def test_a_summary_counts_what_passed_or_failed(found: tuple[Finding, ...], summary: str) -> None:
    assert Findings("check", found).summary == summary


def test_junit_has_every_finding_and_can_be_parsed() -> None:
    root = ElementTree.fromstring(Findings("check", (SAME, ABOVE, SKIPPED)).junit())
    (suite,) = root
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["skipped"]) == tuple(
        "311"
    )
    same, above, skipped = suite
    assert (same.attrib["name"], same.findtext("system-out")) == (
        "a numpy: loss",
        "same: 0.5 in [0.4, 0.6]",
    )
    failure = above.find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("above its band: 0.9 > 0.8")
    assert skipped.find("skipped") is not None


CHECKED = (
    Finding("fashion_mlp numpy:eager: outcome", "ok", "seed 0"),
    Finding("fashion_mlp numpy:eager: losses at fixed steps", "not judged", "versions", None),
    Finding("fashion_mlp numpy:eager: train_loss, epoch 1", "in its band", "1.2"),
    Finding("fashion_mlp tensorflow:graph: outcome", "ok", "seed 5"),
    Finding("fashion_mlp tensorflow:graph: train_loss, epoch 1", "above its band", "9", False),
    Finding("imdb_text:bow numpy:eager: outcome", "ok", "seed 0"),
)
"""Findings of two tasks; the second backend of the first was not looked at for its losses."""


@pytest.mark.parametrize("command", [("check",), ("regress", "--allow-no-base")])
def test_a_check_shows_all_that_it_checked_task_by_task(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*given: Any) -> Any:
        raise RequestError("no commit")

    monkeypatch.setattr(checking, "check", lambda *given: Findings("check", CHECKED))
    monkeypatch.setattr(revisions, "before", none)
    asked = ("--task", "fashion_mlp", "--data", "generated", "--baselines", str(BASELINES))
    done = in_process(tmp_path, *command, *asked, COLUMNS="80")
    assert done.returncode == 1, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    first, second = lines.index("fashion_mlp"), lines.index("imdb_text:bow")
    rows = [" ".join(line.split()) for line in lines]
    assert "what was checked numpy:eager tensorflow:graph" in rows[first:second]
    assert "outcome ok ok" in rows[first:second]
    assert "losses at fixed steps not judged -" in rows[first:second]
    assert "train_loss, epoch 1 in its band above its band" in rows[first:second]
    assert "outcome ok" in rows[second:]
    assert "fashion_mlp tensorflow:graph: train_loss, epoch 1: above its band (9)" in lines


def test_a_table_of_what_was_checked_fits_80_columns() -> None:
    backends_ = ("numpy:eager", "torch:eager", "tensorflow:graph", "jax:jit")
    rows = ("outcome", "losses at fixed steps", "train_loss, epoch 1", "test_accuracy")
    found = [
        Finding(f"fashion_mlp {backend}: {what}", "not the same model", "", False)
        for backend in backends_
        for what in rows
    ]
    console = Console(file=io.StringIO(), width=80)
    print_checked(found, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
