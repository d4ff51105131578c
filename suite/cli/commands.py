"""The classes of the commands: words that no command knows are refused with what was meant."""

from __future__ import annotations

import sys
from collections.abc import Container
from itertools import pairwise
from typing import Any

from typer.core import TyperCommand, TyperGroup

import backends
import tasks
from suite.show.console import errors
from tasks import outside
from tasks.task import RequestError

WITHOUT_VALUE = {"--report": "proof.html"}
"""Options that need no value, and the value that they then have."""


def example_of(words: str) -> str:
    """The last line of a command's help: the command as it can be typed."""
    return f"Example: tetragrad {words}"


class Command(TyperCommand):
    """A command that, given a value without its option, says which option that may be."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words that are left over, which are none. RequestError for any."""
        ctx.allow_extra_args = True  # click would say no more than that they are unexpected
        valued = {opt for p in self.params if not getattr(p, "is_flag", True) for opt in p.opts}
        left = super().parse_args(ctx, _with_values(args, valued & WITHOUT_VALUE.keys()))
        for word in left:
            meant = _meant(word)
            remedy = f"did you mean {meant}?" if meant else "--help shows the options"
            raise RequestError(f"{word!r} is the value of no option; {remedy}")
        return left


class Commands(TyperGroup):
    """The commands. A task or a backend that is taken for one is asked for otherwise; a request
    that cannot be met is one line on standard error and exit code 2."""

    def main(self, *given: Any, **named: Any) -> Any:
        """Runs the command that the arguments name."""
        try:
            return super().main(*given, **named)
        except RequestError as error:
            errors().print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
            sys.exit(2)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, None if there is none. RequestError for a task or a backend."""
        command = super().get_command(ctx, cmd_name)
        if command is None and (meant := _meant(cmd_name)):
            raise RequestError(f"{cmd_name} is no command; did you mean tetragrad run {meant}?")
        return command


def _with_values(args: list[str], options: Container[str]) -> list[str]:
    """The arguments with the values that were left out behind these options."""
    whole = []
    for word, after in pairwise([*args, "--"]):
        whole.append(word)
        if word in options and after.startswith("-"):
            whole.append(WITHOUT_VALUE[word])
    return whole


def _meant(word: str) -> str | None:
    """The option with the value that stands alone, if it can be told."""
    if outside.is_folder(word):
        return f"--task {word}"
    name = word.partition(":")[0]
    for option, known in (("--task", tasks.names()), ("--backend", backends.names())):
        if name in known:
            return f"{option} {word}"
    return None
