"""The reference of commands: their help, as the program itself prints it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from docs.handbook.markdown import code, prose, table
from suite.cli import app

HEAD = """# Commands

This page is made from the program: `tetragrad COMMAND --help` shows the same in a terminal.

| Exit code | Meaning |
|---|---|
| 0 | all is well |
| 1 | the run found a failure: a cell failed, missed its target or is not verified |
| 2 | the request was wrong; one line says what to do |
| 130 | interrupted |

`tetragrad --install-completion` makes the shell complete commands, options, tasks and backends.
"""


def page() -> str:
    """The page, one section for each command, grouped as in ``tetragrad --help``."""
    group: Any = typer.main.get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        panels.setdefault(command.rich_help_panel, []).extend(
            _sections(f"tetragrad {name}", command)
        )
    parts = [HEAD]
    for panel, sections in panels.items():
        parts += [f"## {panel}", *sections]
    return "\n\n".join(parts) + "\n"


def _sections(name: str, command: Any) -> Iterator[str]:
    """The sections of a command, or of the commands below it."""
    for own, below in getattr(command, "commands", {}).items():
        yield from _sections(f"{name} {own}", below)
    if hasattr(command, "commands"):
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    context = typer.Context(command)
    usage = " ".join([name, "[OPTIONS]", *(_metavar(p) for p in arguments)])
    parts = [
        f"### {name}",
        prose(command.help),
        f"```console\n$ {usage}\n```",
        _example(command.epilog),
    ]
    if arguments:
        rows = [[code(_metavar(p)), str(p.help)] for p in arguments]
        parts.append(table(("Argument", "Meaning"), rows))
    rows = [[_names(p), _values(p, context), f"{p.help}{_default(p)}"] for p in options]
    if rows:
        parts.append(table(("Option", "Value", "Meaning"), rows))
    yield "\n\n".join(parts)


def _example(epilog: str) -> str:
    word, colon, example = epilog.partition(": ")
    return f"{word}{colon}`{example}`"


def _names(option: Any) -> str:
    return ", ".join(map(code, option.opts))


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _values(option: Any, context: Any) -> str:
    """The kind of value that an option takes; nothing for a flag."""
    if option.is_flag:
        return ""
    return code(option.metavar or option.display_type(context).strip("<>"))


def _default(option: Any) -> str:
    """The default of an option, unless its help says it."""
    value = getattr(option.default, "value", option.default)
    if option.is_flag or value in (None, "", []) or callable(value) or not option.show_default:
        return ""
    return f" Default: `{value}`."
