"""Outputs that cannot say everything: plain forms, in tables, progress, errors and documents."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from rich.text import Text

import backends
from suite.show import plain
from suite.show.console import errors, output, table
from suite.show.progress import Terminal
from suite.system.environment import worker_environment
from tests.suite.command import TETRAGRAD, tetragrad

PACKAGES = Path(backends.__file__).parent.parent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.08 ±0.16 × 2 · ≥3 → “a” – b…", '1.08 +-0.16 x 2 - >=3 -> "a" - b...'),  # noqa: RUF001
        ("─━│┃┼╭ █", "--||++ #"),
        ("Weiße Männer, fiancée", "Weisse Manner, fiancee"),
        ("日本", "\\u65e5\\u672c"),
        ("file-\udcff", "file-\\udcff"),
        ("all of it is here already", "all of it is here already"),
    ],
)
def test_every_character_has_a_plain_form(text: str, expected: str) -> None:
    assert plain.plain(text, "ascii") == expected


def test_what_an_encoding_has_stays() -> None:
    assert plain.plain("±0.16 × · ≥", "latin-1") == "±0.16 × · >="  # noqa: RUF001
    assert plain.plain("± ≥ 日", "utf-8") == "± ≥ 日"


@given(st.text())
def test_any_text_can_be_printed_anywhere(text: str) -> None:
    for encoding in ("ascii", "cp1252", "utf-8"):
        plain.plain(text, encoding).encode(encoding)


@contextmanager
def ascii_outputs() -> Iterator[dict[str, io.BytesIO]]:
    """Catches both outputs, as they are under PYTHONIOENCODING=ascii:strict."""
    written = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
    out, err = (
        io.TextIOWrapper(raw, encoding="ascii", write_through=True) for raw in written.values()
    )
    with redirect_stdout(out), redirect_stderr(err):
        plain.prepare()
        yield written


def test_tables_keep_their_columns() -> None:
    shown = table("lstm · quick")
    for column in ("backend", "ratio ±"):
        shown.add_column(column)
    shown.add_row("numpy", "1.08 ±0.16")
    shown.add_row("torch", "1.08 ≥ 1")
    shown.caption = "5 rounds – and more"  # noqa: RUF001
    with ascii_outputs() as written:
        output().print(shown)
        lines = written["stdout"].getvalue().decode("ascii").splitlines()
    assert lines[0].rstrip() == "lstm - quick"
    rows = [line for line in lines if line.startswith(("|", "+"))]
    assert len({len(row) for row in rows}) == 1
    assert any("1.08 +-0.16" in row for row in rows)
    assert any("1.08 >= 1" in row for row in rows)


def test_a_variant_is_no_emoji() -> None:
    title = "imdb_text:bow: largest error"
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        output().print(title)
        errors().print(title)
    assert (out.getvalue(), err.getvalue()) == (f"{title}\n", f"{title}\n")


def test_what_is_no_string_of_ours_is_plain_too() -> None:
    with ascii_outputs() as written:
        output().print(Text("a ± b"))
        print("c × d")  # noqa: RUF001
        print(json.dumps({"e": "±"}))
        errors().print("f · g")
        with Terminal() as reporter:
            reporter.say("h → i")
            reporter.busy("j…")
        assert written["stdout"].getvalue() == b'a +- b\nc x d\n{"e": "\\u00b1"}\n'
        assert written["stderr"].getvalue() == b"f - g\nh -> i\nj... ...\n"


ASCII = {"PYTHONIOENCODING": "ascii:strict"}
NOT_UTF_8 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("variables", [ASCII, NOT_UTF_8], ids=["ascii", "locale"])
def test_commands_end_well_without_unicode(variables: dict[str, str], tmp_path: Path) -> None:
    for arguments in (["show", "transformer"], ["--help"]):
        done = tetragrad(tmp_path, *arguments, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()
    done = tetragrad(tmp_path, "run", "--set", "größe=±", **variables)
    assert done.returncode == 2
    assert done.stderr.isascii()
    assert "Traceback" not in done.stderr
    assert ("--set grosse=+- is" in done.stderr) == (variables is ASCII)


def test_a_run_shows_its_table_without_unicode(proved: Path) -> None:
    done = tetragrad(
        proved,
        *("run", "--task", "fashion_mlp", "--profile", "smoke", "--data", "generated"),
        *("--backend", "numpy", "--seeds", "2", "--timing-limit", "0", "--tracking", "none"),
        **ASCII,
    )
    assert done.returncode == 0, done.stderr
    assert "fashion_mlp - smoke - cpu" in done.stdout
    assert "+-" in done.stdout
    assert (done.stdout + done.stderr).isascii()


def test_what_frameworks_print_is_not_ours_to_refuse() -> None:
    assert worker_environment("numpy", "cpu", 1)["PYTHONIOENCODING"] == "utf-8:backslashreplace"


def test_no_file_is_read_or_written_in_the_locale_s_encoding() -> None:
    unsaid = [
        f"{file.relative_to(PACKAGES)}:{node.lineno}"
        for package in ("suite", "backends", "tasks")
        for file in (PACKAGES / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("read_text", "write_text")
        and "encoding" not in {keyword.arg for keyword in node.keywords}
        # a distribution reads its metadata, by name, as UTF-8
        and not (node.func.attr == "read_text" and node.args)
    ]
    assert unsaid == []


def test_the_tests_start_the_command_as_users_do() -> None:
    assert TETRAGRAD[1:] == ("-P", "-m", "tetragrad")
