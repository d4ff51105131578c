"""The session on a card, with stand-ins for the machine: order, limits, going on, absence, home."""

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
from suite.records import record as records, timing as timings
from suite.records.cell import Cell
from suite.records.events import Event, Measured, Outcome
from suite.session import probe, verification
from suite.session.check import Cells
from suite.session.process import Ending
from suite.session.stopwatch import Stopwatch
from suite.session.verifier import Verifier, Wanted
from tasks.task import RequestError
from tests.card import __main__ as program, facts, home
from tests.card.commands import Commands
from tests.card.journal import Journal, Status
from tests.card.session import Ended, Session, told
from tests.card.steps import EVERY, SIX, Setting, Step, data_of, steps
from tests.suite.command import in_process
from tests.suite.examples import CELL, example_record, example_timing

ABOUT = {"device": "cuda", "profile": "quick"}
ON_CUDA = Setting("cuda", "quick", Path("results/card"))


class Machine:
    """A made-up machine, on which time goes by as steps say that they take."""

    def __init__(self, **endings: Ended | Exception):
        self.now, self.ran, self.limits = 0.0, list[str](), dict[str, float]()
        self._endings = endings

    def __call__(self, step: Step, command: list[str], limit: float) -> Ended:
        self.ran.append(step.name)
        self.limits[step.name] = limit
        ended = self._endings.get(step.name, Ended(0))
        self.now += limit if isinstance(ended, Ended) and ended.code is None else step.seconds
        if isinstance(ended, Exception):
            raise ended
        return ended


def session(
    folder: Path,
    wanted: Sequence[Step],
    machine: Machine,
    minutes: float = 10,
    absent: dict[str, str] | None = None,
) -> Journal:
    """The journal after a session."""
    journal = Journal(folder / "journal.json", ABOUT)
    said: list[str] = []
    Session(
        *(wanted, journal, absent or {}, machine, minutes, 2, said.append),
        clock=lambda: machine.now,
    ).run()
    return journal


def statuses(journal: Journal) -> dict[str, str]:
    return {name: str(entry.status) for name, entry in journal.entries.items()}


A, B, C = Step("a", (), 60), Step("b", (), 200), Step("c", (), 30)


class TestSession:
    def test_steps_come_in_their_order_and_what_does_not_fit_stays_open(
        self, tmp_path: Path
    ) -> None:
        machine = Machine()
        journal = session(tmp_path, (A, B, C), machine, minutes=2)
        assert machine.ran == ["a", "c"]
        assert statuses(journal) == {"a": "done", "b": "open", "c": "done"}
        assert journal.of(B).reason == "it needs about 200 s, and 60 s were left"
        assert machine.limits == {"a": 120, "c": 60}  # its own of 300 s is more than is left

    def test_it_goes_on_with_what_is_not_done(self, tmp_path: Path) -> None:
        session(tmp_path, (A, B, C), Machine(), minutes=2)
        machine = Machine()
        journal = session(tmp_path, (A, B, C), machine)
        assert machine.ran == ["b"]
        assert set(statuses(journal).values()) == {"done"}

    def test_a_failure_costs_itself_alone_and_is_tried_again_at_the_end(
        self, tmp_path: Path
    ) -> None:
        bad = Machine(a=Ended(1, "numpy is not verified", log="logs/a.txt"), b=OSError("no room"))
        journal = session(tmp_path, (A, B, C), bad)
        assert bad.ran == ["a", "b", "c"]
        assert statuses(journal) == {"a": "failed", "b": "failed", "c": "done"}
        assert journal.of(A).reason == "exit 1: numpy is not verified"
        assert journal.of(A).log == "logs/a.txt"
        assert "OSError: no room" in journal.of(B).reason
        again = Machine()
        journal = session(tmp_path, (A, Step("new", (), 1), C), again)
        assert again.ran == ["new", "a"]
        assert journal.of(A).tries == 2

    def test_a_failure_is_kept_where_no_time_is_left_for_another_try(self, tmp_path: Path) -> None:
        session(tmp_path, (A,), Machine(a=Ended(1, "why")))
        journal = session(tmp_path, (A,), Machine(), minutes=0.5)
        assert (journal.of(A).status, journal.of(A).reason) == ("failed", "exit 1: why")

    def test_a_step_that_hangs_is_stopped_at_its_limit(self, tmp_path: Path) -> None:
        machine = Machine(a=Ended(None, "verifying lstm"), b=Ended(None))
        journal = session(tmp_path, (replace(A, limit=100), B, C), machine, minutes=6)
        assert journal.of(A).reason == "stopped after 100 s: verifying lstm"
        assert journal.of(A).status is Status.FAILED
        # the other one was stopped since the session ended
        assert journal.of(B).status is Status.OPEN
        assert "time was over" in journal.of(B).reason
        assert journal.of(C).status is Status.OPEN
        again = Machine()
        session(tmp_path, (replace(A, limit=100), B, C), again)
        assert again.ran == ["b", "c", "a"]

    def test_a_machine_that_was_taken_away_leaves_the_step_to_the_next(
        self, tmp_path: Path
    ) -> None:
        def taken(*given: Any) -> Ended:
            raise KeyboardInterrupt

        journal = Journal(tmp_path / "journal.json", ABOUT)
        with pytest.raises(KeyboardInterrupt):
            Session((A, C), journal, {}, taken, 10, say=lambda line: None).run()
        assert statuses(journal) == {"a": "begun", "c": "open"}
        machine = Machine()
        assert set(statuses(session(tmp_path, (A, C), machine)).values()) == {"done"}
        assert machine.ran == ["c", "a"]

    def test_neighbours_that_time_nothing_run_at_the_same_time(self, tmp_path: Path) -> None:
        together = threading.Barrier(2, timeout=20)
        pair = [Step(name, (), 1, beside=True) for name in ("x", "y")]

        def perform(step: Step, command: list[str], limit: float) -> Ended:
            together.wait()
            return Ended(0)

        journal = Journal(tmp_path / "journal.json", ABOUT)
        Session(pair, journal, {}, perform, 1, 2, lambda line: None).run()
        assert statuses(journal) == {"x": "done", "y": "done"}


class TestAbsent:
    def test_a_step_without_any_of_its_contestants_is_not_there(self, tmp_path: Path) -> None:
        step = Step("run", ("run",), 1, ("numpy", "jax"))
        machine = Machine()
        absent = {"jax": "no optax", "numpy": "no CuPy"}
        journal = session(tmp_path, (step,), machine, absent=absent)
        assert (machine.ran, statuses(journal)) == ([], {"run": "not there"})
        assert journal.of(step).reason == "no CuPy; no optax"
        # it comes with another machine
        assert statuses(session(tmp_path, (step,), machine)) == {"run": "done"}

    def test_a_contestant_that_is_not_there_is_left_out_and_named(self, tmp_path: Path) -> None:
        step = Step("run", ("run",), 1, ("torch", "torch:graph"))
        journal = session(tmp_path, (step,), Machine(), absent={"torch:graph": "cuda alone"})
        assert journal.of(step).command == ["-P", "-m", "tetragrad", "run", "--backend", "torch"]
        assert told((step,), journal) == ["1 done", "without torch:graph: cuda alone"]

    def test_a_task_cannot_be_scored_without_its_packages(self, tmp_path: Path) -> None:
        step = Step("run", ("run",), 1, ("torch",), needs=("json", "no_such_module"))
        journal = session(tmp_path, (step,), Machine())
        assert journal.of(step).reason == "no_such_module cannot be imported here"

    def test_backends_are_asked_by_setting_them_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def asked(backend: str, device: str) -> tuple[Ending, dict[str, Any]]:
            if backend == "numpy":
                return Ending(Outcome.SKIPPED, "no CuPy"), {}
            return Ending(Outcome.OK, None), {}

        monkeypatch.setattr(probe, "probe", asked)
        assert program.absences("cuda")["numpy"] == "no CuPy"
        assert "torch" not in program.absences("cuda")
        assert program.absences("cpu")["torch:graph"] == "torch:graph is for cuda alone"

    def test_what_no_command_does_without_is_named_at_once(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(program, "NEEDED", ("json", "no_such_module"))
        assert program.main([]) == 2
        assert "lacks no_such_module; take them along" in capsys.readouterr().err


class TestJournal:
    def test_it_is_of_one_device_and_profile(self, tmp_path: Path) -> None:
        session(tmp_path, (A,), Machine())
        with pytest.raises(RequestError, match=r"of device cuda, .* now it is device cpu"):
            Journal(tmp_path / "journal.json", {**ABOUT, "device": "cpu"})

    @pytest.mark.parametrize("text", ["", "[]", '{"about": {}, "steps": {"a": {"status": "odd"}}}'])
    def test_what_is_none_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "journal.json").write_text(text)
        with pytest.raises(RequestError, match="not a journal"):
            Journal(tmp_path / "journal.json", ABOUT)


class Reached(Exception):
    """The place in the program behind which work would begin."""


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What commands were about to do, in place of doing it."""
    asked: list[Any] = []

    def reach(*given: Any, **named: Any) -> None:
        asked.append(given)
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
        assert (given[4], given[8]) == ("cuda", tmp_path / "verified")
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
        assert statuses(journal) == {"x": "begun", "y": "begun"}


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


class TestHome:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
        """The words of commands that would be given."""
        words: list[tuple[str, ...]] = []

        def given(results: Path, *own: str) -> int:
            words.append(own)
            return 0

        monkeypatch.setattr(home, "_tetragrad", given)
        return words

    def test_records_are_synchronised_and_reported_and_baselines_copied(
        self, tmp_path: Path, asked: list[tuple[str, ...]]
    ) -> None:
        there, here = tmp_path / "card", tmp_path / "results"
        journal = Journal(there / "journal.json", ABOUT)
        journal.note(A, status=Status.DONE, sessions=["s1"])
        journal.note(B, status=Status.DONE, sessions=["s2", "s3"])
        journal.note(C, status=Status.OPEN, sessions=["s4"])
        for name in ("s1", "s4"):
            records.write(there, example_record(name))
        own = replace(example_timing([1.0] * 9), conditions=CELL.shared.at_batch_scale(4))
        timings.write(there, replace(own, session="s2"))
        timings.write(there, replace(example_timing([1.0] * 9), session="s3"))  # of another task
        (there / "baselines").mkdir()
        (there / "baselines" / "lstm-smoke-real-cuda.json").write_text("{}")
        assert home.bring(there, here) == 0
        assert asked == [("sync", str(there)), ("report", "s1", "s2")]
        assert (here / "baselines" / "lstm-smoke-real-cuda.json").exists()

    def test_without_records_there_is_no_report(
        self, tmp_path: Path, asked: list[tuple[str, ...]]
    ) -> None:
        Journal(tmp_path / "journal.json", ABOUT).note(A, status=Status.DONE, sessions=["s1"])
        assert home.bring(tmp_path, tmp_path / "results") == 0
        assert asked == [("sync", str(tmp_path))]

    def test_a_folder_without_a_journal_is_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert program.main(["home", str(tmp_path)]) == 2
        assert "no journal" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["home"], "name it"),
            (["--device", "auto"], "give cpu or cuda"),
            (["--device", "gpu"], "cuda:N"),
            (["--task", "perceptron"], "no task of the six 'perceptron'"),
            (["--profile", "fast"], "no profile 'fast'"),
        ],
    )
    def test_a_wrong_request_is_one_line(
        self, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert program.main(words) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
