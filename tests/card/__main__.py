"""``python -m tests.card``: see the package. Nothing but Python's own library is imported before
it is known that the rest is there."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.card.steps import Setting

NEEDED = ("numpy", "scipy", "typer", "rich", "psutil", "filelock", "packaging")
"""Modules that no command does without; MLflow, Plotly and all else may be missing."""
AT_ONCE = 3
"""Processors for each of several commands that run at the same time."""


def main(given: list[str] | None = None) -> int:
    """0: all that can be done here is done. 1: something failed or is open. 2: the request was
    wrong. 130: interrupted."""
    asked = _parsed(given)
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(
            f"error: {sys.executable} lacks {', '.join(missing)}; take them along in a folder that "
            "is in PYTHONPATH, such as pip install --target makes",
            file=sys.stderr,
        )
        return 2
    from tasks.task import RequestError

    try:
        return _bring_home(asked) if asked.what == "home" else _measure(asked)
    except RequestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parsed(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.card", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("measure", "home"), default="measure")
    parser.add_argument("folder", nargs="?", type=Path, help="of home: the results to bring")
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--profile", default="quick", help="default: quick")
    parser.add_argument("--minutes", type=float, default=12.0, help="default: 12")
    parser.add_argument("--task", action="append", help="one of the six; repeatable")
    parser.add_argument("--results", type=Path, help="default: results/card; of home: results")
    return parser.parse_args(given)


def _bring_home(asked: argparse.Namespace) -> int:
    from tasks.task import RequestError
    from tests.card import home

    if asked.folder is None:
        raise RequestError("home brings a folder of results; name it, such as results/card")
    return home.bring(asked.folder, asked.results or Path("results"))


def _measure(asked: argparse.Namespace) -> int:
    from suite.system import environment
    from tasks.task import RequestError
    from tests.card import steps as planned
    from tests.card.commands import Commands
    from tests.card.journal import Journal, Status
    from tests.card.session import Session, told

    setting = _setting(asked)
    about = {"device": setting.device, "profile": setting.profile}
    journal = Journal(setting.results / "journal.json", about)
    steps = planned.steps(setting)
    absent = absences(setting.device)
    if len(absent) == len(planned.EVERY):
        raise RequestError("; ".join(dict.fromkeys(absent.values())))
    commands = Commands(setting.results)
    at_once = max(1, environment.cpus() // AT_ONCE)
    session = Session(steps, journal, absent, commands, asked.minutes, at_once, _say, commands.stop)
    code = 0
    try:
        session.run()
    except KeyboardInterrupt:
        code = 130
    for line in told(steps, journal):
        print(line)
    print(f"journal: {journal.path}; logs: {setting.results / 'logs'}")
    well = (Status.DONE, Status.NOT_THERE)
    return code or int(any(journal.of(step).status not in well for step in steps))


def _setting(asked: argparse.Namespace) -> Setting:
    """RequestError for a task that is none of the six, or a wrong device or profile."""
    from suite.cli import options
    from tests.card.steps import SIX, Setting

    conditions = options.conditions(asked.profile, options.one_device(asked.device))
    chosen = options.chosen(asked.task or [], SIX, "task of the six")
    results = (asked.results or Path("results/card")).resolve()
    return Setting(conditions.device, conditions.profile, results, chosen)


def absences(device: str) -> dict[str, str]:
    """Why a contestant is not there, for every one that is not: asked by setting it up."""
    import backends
    from suite.records.events import Outcome
    from suite.session import probe
    from suite.system import devices
    from tests.card.steps import EVERY, PROVED

    def reason(name: str) -> str | None:
        if why := backends.load(name).available():
            return why
        ending, _ = probe.probe(name, device)
        return None if ending.outcome is Outcome.OK else ending.reason

    with ThreadPoolExecutor() as pool:
        found = dict(zip(PROVED, pool.map(reason, PROVED), strict=True))
    absent: dict[str, str] = {}
    for contestant in EVERY:
        ((name, mode),) = backends.choices(contestant)
        only = backends.load(name).ONLY_ON.get(mode, devices.kind(device))
        why = found[name] or backends.load(name).available(mode)
        if not why and only != devices.kind(device):
            why = f"{contestant} is for {only} alone"
        if why:
            absent[contestant] = why
    return absent


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
