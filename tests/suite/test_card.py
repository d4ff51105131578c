"""The session on a card, on a made-up machine: order, limits, going on, absence, the way home."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suite.records import record as records, timing as timings
from suite.records.events import Outcome
from suite.session import probe
from suite.session.process import Ending
from tasks.task import RequestError
from tests.card import __main__ as program, home
from tests.card.journal import Journal, Status
from tests.card.session import Ended, Session, told
from tests.card.steps import Step
from tests.suite.examples import CELL, example_record, example_timing

ABOUT = {"device": "cuda", "profile": "quick"}


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
