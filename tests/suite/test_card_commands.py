"""Commands of a session on a card: understood, run, stopped and kept; one ends in a record."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import tasks
from suite.cli import run as run_cli
from suite.records import record as records
from suite.records.cell import Cell
from suite.records.events import Event, Measured, Outcome
from suite.session import verification
from suite.session.check import Cells
from suite.session.process import Ending
from suite.session.stopwatch import Stopwatch
from suite.session.verifier import Verifier, Wanted
from tests.card import facts
from tests.card.commands import Commands
from tests.card.journal import Journal, Status
from tests.card.session import Ended, Session
from tests.card.steps import EVERY, SIX, Setting, Step, data_of, steps
from tests.suite.command import in_process

ABOUT = {"device": "cuda", "profile": "quick"}
ON_CUDA = Setting("cuda", "quick", Path("results/card"))


class Reached(Exception):
    """The place in the program behind which work would begin."""


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Arguments of the work that commands were about to do."""
    asked: list[Any] = []

    def reach(*given: Any, **named: Any) -> None:
        asked.append((*given, named))
        raise Reached

    monkeypatch.setattr(verification, "verify_all", reach)
    monkeypatch.setattr(run_cli, "_run", reach)
    monkeypatch.setattr(Stopwatch, "run", reach)
    monkeypatch.setattr(Cells, "run", reach)
    return asked


@pytest.mark.parametrize("name", [s.name for s in steps(ON_CUDA) if s.name != "facts"])
def test_commands_are_understood_up_to_the_work_itself(
    name: str, tmp_path: Path, reached: list[Any]
) -> None:
    """A word that is wrong would show on the card alone."""
    (step,) = (s for s in steps(replace(ON_CUDA, results=tmp_path)) if s.name == name)
    words = step.command(EVERY)
    assert words[:3] == ["-P", "-m", "tetragrad"]
    with pytest.raises(Reached):
        in_process(tmp_path, *words[3:])
    (given,) = reached
    if step.words[0] == "verify":
        labels = [":".join(choice) for choice in given[1]]
        assert (given[4], given[-1]["cache_folder"]) == ("cuda", tmp_path / "verified")
    elif step.words[0] == "baseline":
        cells: list[Cell] = given[1]
        assert {cell.device for cell in cells} == {"cuda"}
        assert len(cells) == 5 * len(step.backends)
        labels = list(dict.fromkeys(cell.backend_label for cell in cells))
    else:
        plan = given[0] if step.words[0] == "run" else given[0]._plan
        assert plan.conditions.device == "cuda"
        labels = [":".join(choice) for choice in plan.backends]
    assert [label.removesuffix(":eager").removesuffix(":jit") for label in labels] == [
        *step.backends
    ]


def test_the_six_tasks_come_first_and_all_is_expected_to_fit() -> None:
    found = steps(ON_CUDA)
    names = [step.name for step in found]
    assert names[0] == "facts"
    assert names[1:7] == [f"verify {task} in torch, jax, numpy" for task in SIX]
    first_timed = next(n for n, step in enumerate(found) if step.words[0] == "run")
    assert all(step.beside for step in found[1:first_timed])
    beside = sum(step.seconds for step in found if step.beside)
    assert sum(step.seconds for step in found if not step.beside) + beside / 5 <= 12 * 60
    assert len(set(names)) == len(names)
    assert all(step.seconds < step.limit for step in found)


def test_data_are_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TETRAGRAD_DATA", str(tmp_path))
    assert data_of("lstm") == "generated"
    monkeypatch.setattr(tasks.datasets, "missing", lambda source: [])
    assert data_of("transformer:base") == "real"


def test_what_is_verified_is_kept_for_steps_that_train(tmp_path: Path) -> None:
    words = ("--task", "perceptron:mlp", "--backend", "numpy", "--results", str(tmp_path))
    assert in_process(tmp_path, "verify", *words).returncode == 0
    task = tasks.load("perceptron", "full", "real", "mlp")
    wanted: list[Wanted] = [(("numpy", "eager"), "float32")]
    kept = tmp_path / "verified"
    assert Verifier(task, "cpu", 1, cache_folder=kept).has_proved(wanted)
    # but `verify` itself takes nothing from there
    assert not Verifier(task, "cpu", 1, cache_folder=kept, fresh=True).has_proved(wanted)


CUPY = """
import sys
from suite.worker import rates
from tests.backends import fake_cupy
rates.SIDES["cuda"] = (64,)  # what a card would need takes this machine minutes
sys.modules[__name__] = fake_cupy.cupy()
"""

NVML = """
import sys
from tests.suite import fake_nvml
sys.modules[__name__] = fake_nvml.pynvml()
"""


def test_on_the_stand_in_of_a_card_a_step_ends_in_a_record_with_energy_and_its_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes, workers and options as on a card; the arithmetic alone is NumPy's."""
    for name, source in (("cupy", CUPY), ("pynvml", NVML)):
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    setting = Setting("cuda", "smoke", tmp_path / "card", ("fashion_mlp",))
    (step,) = (step for step in steps(setting) if step.name == "run fashion_mlp")
    # a smaller task will do
    words = tuple("perceptron:mlp" if word == "fashion_mlp" else word for word in step.words)
    step = replace(step, words=words)
    absent = {name: "not here" for name in EVERY if name != "numpy"}
    journal = Journal(setting.results / "journal.json", ABOUT)
    Session((step,), journal, absent, Commands(setting.results), 5, say=lambda line: None).run()
    entry = journal.of(step)
    assert entry.status is Status.DONE, (setting.results / entry.log).read_text()
    (path,) = records.paths_of(setting.results, entry.sessions[0])
    record = records.read(path)
    assert (record.verified, record.worker["device"]) == (True, "cuda:0")
    assert record.worker["card"]["joules"] > 0
    assert 0.5 < record.worker["device_clock"] < 1.1
    assert "J per million points" in (setting.results / entry.log).read_text()


class TestCommands:
    """In processes of their own: what is printed is kept, and nothing is left behind."""

    def run(self, folder: Path, code: str, limit: float = 60) -> Ended:
        step = Step("A step, of x", (code,), 1, program=("-c",))
        return Commands(folder, grace=0.2)(step, step.command(()), limit)

    def test_what_it_prints_and_the_sessions_it_makes_are_kept(self, tmp_path: Path) -> None:
        made = tmp_path / "records" / "s1"
        ended = self.run(tmp_path, f"import os; os.makedirs({str(made)!r}); print('one\\ntwo\\n')")
        assert ended == Ended(0, "two", ("s1",), "logs/a-step-of-x.txt")
        ended = self.run(tmp_path, "raise SystemExit('no')")
        assert (ended.code, ended.said, ended.sessions) == (1, "no", ())
        assert "one\ntwo" in (tmp_path / ended.log).read_text()  # the earlier try

    def test_it_finds_this_source_wherever_it_is_started(self, tmp_path: Path) -> None:
        assert self.run(tmp_path, "import suite, tests.card").code == 0

    def test_at_its_limit_all_that_it_began_ends(self, tmp_path: Path) -> None:
        code = (
            "import signal, subprocess, sys, time\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "sleep = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
            "print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)\n"
            "time.sleep(60)"
        )
        ended = self.run(tmp_path, code, 1.5)
        assert ended.code is None
        assert _is_over(int(ended.said))

    def test_all_are_stopped_at_once(self, tmp_path: Path) -> None:
        commands = Commands(tmp_path, grace=0.2)
        step = Step("x", ("import time; time.sleep(60)",), 1, program=("-c",), beside=True)
        pair = [step, replace(step, name="y")]

        def interrupt() -> None:
            while not (tmp_path / "logs" / "y.txt").exists():
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        journal = Journal(tmp_path / "journal.json", ABOUT)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            Session(
                *(pair, journal, {}, commands, 1, 2, lambda line: None, commands.stop),
            ).run()
        assert [entry.status for entry in journal.entries.values()] == [Status.BEGUN] * 2


def _is_over(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class TestFacts:
    def measured(self, monkeypatch: pytest.MonkeyPatch, able: Sequence[str]) -> Any:
        def launch(cell: Cell, kind: str, on_event: Any, timeout: float) -> Ending:
            assert (kind, cell.device) == ("machine", "cuda")
            if (cell.backend, cell.precision) != ("jax", "bfloat16") and cell.backend not in able:
                return Ending(Outcome.SKIPPED, "not here")
            event: Event = Measured({"matmul": 7e14})
            on_event(event)
            return Ending(Outcome.OK, None)

        monkeypatch.setattr(facts, "launch", launch)
        return facts.products("cuda")

    def test_the_first_that_is_there_tells_the_rate(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = self.measured(monkeypatch, ("numpy", "torch"))
        assert found["float32"] == {"backend": "torch", "operations_per_second": 7e14}

    def test_what_was_not_measured_has_no_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = self.measured(monkeypatch, ())
        assert found["bfloat16"]["backend"] == "jax"
        assert set(found["float32"]) == {"not measured"}
        assert found["float32"]["not measured"]["numpy"] == "skipped: not here"
