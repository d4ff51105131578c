"""Help that helps: purposes, examples, the nearest name, and completion by the shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from suite.cli import app
from tests.suite.command import in_process


def every_command(group: Any, name: str = "tetragrad") -> Iterator[tuple[str, Any]]:
    for own, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, f"{name} {own}")
        else:
            yield f"{name} {own}", command


def test_each_command_has_a_purpose_and_an_example_that_begins_with_its_name() -> None:
    group: Any = typer.main.get_command(app)
    assert all(command.rich_help_panel for command in group.commands.values())
    for name, command in every_command(group):
        assert (command.epilog or "").startswith(f"Example: {name}"), name


def test_the_help_shows_purposes_and_a_command_s_help_its_example(tmp_path: Path) -> None:
    shown = in_process(tmp_path, "--help").stdout
    places = [shown.index(f"─ {purpose} ─") for purpose in ("Measure", "Prove", "Guard", "Look")]
    assert places == sorted(places)
    assert "Example: tetragrad show lstm" in in_process(tmp_path, "show", "--help").stdout


@pytest.mark.parametrize(
    ("words", "meant"), [(("vrify",), "verify"), (("data", "fech"), "fetch"), (("tme",), "time")]
)
def test_an_unknown_command_is_answered_with_the_nearest(
    words: tuple[str, ...], meant: str, tmp_path: Path
) -> None:
    done = in_process(tmp_path, *words)
    assert (done.returncode, f"Did you mean '{meant}'?" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("tetragrad reg", ["regress"]),
        ("tetragrad run --task fas", ["fashion_mlp"]),
        ("tetragrad run --task autoencoder:", ["joint", "plain", "spectral", "all"]),
        ("tetragrad verify --backend torch:", ["eager", "compile", "graph", "all"]),
        ("tetragrad verify --backend nothing:", []),
    ],
)
def test_the_shell_completes(line: str, completed: list[str]) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    environment = {**words, "_TETRAGRAD_COMPLETE": "complete_bash"}
    done = CliRunner().invoke(app, env=environment, prog_name="tetragrad")
    name = line.split()[-1]
    before = name if name.endswith(":") else ""
    assert done.stdout.split() == [before + word for word in completed]
