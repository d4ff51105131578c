"""Paths that users give, by every option and variable, and what a folder of data that is named
means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from suite.cli import app
from suite.cli.options import BASELINES, RESULTS
from suite.tracking import tracker as tracking
from tasks import datasets, paths
from tasks.datasets import cache
from tasks.datasets.sources import SOURCES
from tasks.task import RequestError
from tests.suite.command import refusal


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, which is not where the program is started."""
    found = tmp_path / "home"
    found.mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", str(found))
    for name in ("TETRAGRAD_DATA", "TETRAGRAD_CACHE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_one_rule_reads_every_path(home: Path) -> None:
    assert paths.given("~/data") == home / "data"
    assert paths.given("~") == home
    assert paths.given("data/~") == Path("data/~")
    assert paths.given(Path("data")) == Path("data")
    assert paths.given("/data") == Path("/data")
    assert paths.given("") is paths.given(None) is None
    with pytest.raises(RequestError, match=r"~nobody-of-that-name/data.*not known here"):
        paths.given("~nobody-of-that-name/data")


@pytest.mark.parametrize(
    ("variable", "directory"),
    [
        ("TETRAGRAD_DATA", lambda: datasets.data_directory()),
        ("TETRAGRAD_CACHE", lambda: cache.cache_directory()),
    ],
    ids=["data", "cache"],
)
def test_variables_are_read_by_it(
    variable: str, directory: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = directory()
    monkeypatch.setenv(variable, "~/there")
    assert directory() == home / "there"
    monkeypatch.setenv(variable, "there")
    assert directory() == Path("there")
    monkeypatch.setenv(variable, "")
    assert directory() == unset


def parameters(command: Any, context: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every parameter of a command and of those below it, with its context and a name."""
    for parameter in command.params:
        yield f"{context.command_path} {parameter.name}", parameter, context
    for name, below in getattr(command, "commands", {}).items():
        yield from parameters(below, typer.Context(below, parent=context, info_name=name))


def test_every_option_that_is_a_path_is_read_by_it(home: Path) -> None:
    command: Any = typer.main.get_command(app)
    read = {}
    for name, parameter, context in parameters(command, typer.Context(command, info_name="")):
        if "Path" in str(parameter.type_descriptor.annotation):
            assert parameter.process_value(context, "~/there") == home / "there", name
            assert parameter.process_value(context, "there") == Path("there"), name
            read[name.strip()] = parameter.process_value(context, "")
    assert {name.split()[-1] for name, value in read.items() if value == RESULTS} == {"results"}
    assert {name.split()[-1] for name, value in read.items() if value == BASELINES} == {"folder"}
    rest = {name for name, value in read.items() if value is None}
    assert rest == {
        *("sync folder", "report output_folder", "history output_folder", "compare base_python"),
        *("check junit", "check markdown", "compare junit", "compare markdown"),
        *("upgrade junit", "upgrade markdown", "verify report", "reproduce attest"),
        *("explain page", "verify results"),
    }


@pytest.mark.parametrize(
    ("uri", "read"),
    [
        ("sqlite:///~/runs.db", "sqlite:///{home}/runs.db"),
        ("file:~/runs", "file:{home}/runs"),
        ("~/runs", "{home}/runs"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
        ("http://server/~user", "http://server/~user"),
        ("none", "none"),
        ("", None),
    ],
)
def test_a_store_in_a_file_is_a_path_too(uri: str, read: str | None, home: Path) -> None:
    assert tracking.uri_given(uri) == (read and read.format(home=home))


def test_a_record_is_looked_for_at_home(home: Path) -> None:
    (home / "kept.json").write_text("{}")
    done = CliRunner().invoke(app, ["reproduce", "~/kept.json"])
    assert refusal(done)[0].startswith(f"{home / 'kept.json'} is not a record")


class TestANamedFolderOfData:
    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, source in SOURCES.items():
            nowhere = replace(source, addresses=("http://127.0.0.1:9/",))
            monkeypatch.setitem(SOURCES, name, nowhere)
        for proxy in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(proxy, raising=False)

    @pytest.fixture(params=["file", "folder without the data", "nothing"])
    def named(
        self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        """The path that TETRAGRAD_DATA names, and ought not to."""
        found = tmp_path / "named"
        if request.param == "file":
            found.write_text("no folder")
        elif request.param == "folder without the data":
            (found / "mnist").mkdir(parents=True)
        monkeypatch.setenv("TETRAGRAD_DATA", str(found))
        return found

    def check(self, *arguments: str) -> tuple[str, str]:
        """The request error of a check that has no baselines, and what it said before."""
        done = CliRunner().invoke(app, ["check", "--task", "lstm", *arguments])
        return refusal(done)

    def test_is_where_the_data_must_be(self, named: Path) -> None:
        error, said = self.check()
        assert str(named) in error
        assert "TETRAGRAD_DATA" in error
        assert error.endswith("or pass --data generated")
        assert "GENERATED" not in said

    def test_is_the_same_if_real_data_is_asked_for(self, named: Path) -> None:
        assert self.check("--data", "real") == self.check()

    def test_may_be_empty_if_auto_is_asked_for(self, named: Path) -> None:
        error, said = self.check("--data", "auto")
        assert "no baseline" in error
        assert "using GENERATED data" in said
        assert str(named) in said.replace("\n", "")

    def test_does_not_matter_if_generated_data_is_asked_for(self, named: Path) -> None:
        error, said = self.check("--data", "generated")
        assert "no baseline" in error
        assert said == ""

    def test_without_one_auto_is_the_default(self, home: Path) -> None:
        error, said = self.check()
        assert "no baseline" in error
        assert "using GENERATED data" in said
