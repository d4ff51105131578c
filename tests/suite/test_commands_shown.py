"""Commands that are shown work as they stand; Ctrl-C is answered, and its end names the session."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

from suite.cli import app, browse, run
from suite.cli.options import INTERRUPTED, answered, interruptible
from suite.records import record as records
from suite.session import verification
from suite.session.runner import Session
from suite.session.stopwatch import Stopwatch
from suite.system.interrupts import SIGNALS, Interrupts
from suite.tracking import tracker as tracking
from suite.tracking.tracker import NONE, Tracker
from tests.suite.command import assert_refused, in_process
from tests.suite.examples import example_record

ELSEWHERE = Path("other results")
SERVER = "http://me:secret@host:5000"
STOPPING = "stopping; press Ctrl-C again to stop at once"


def store(results: Path = records.RESULTS, uri: str | None = None) -> Tracker:
    return Tracker(uri or tracking.default_uri(results), results)


class TestCommand:
    """Shown at the end of ``run``, for one: ``to see them in MLflow``."""

    @pytest.mark.parametrize(
        ("tracker", "options"),
        [
            (store(), {}),
            (store(ELSEWHERE), {"--results": "other results"}),
            (store(uri="sqlite:///my store.db"), {"--tracking-uri": "sqlite:///my store.db"}),
            (
                store(ELSEWHERE, "http://host:5000"),
                {"--results": "other results", "--tracking-uri": "http://host:5000"},
            ),
        ],
    )
    @pytest.mark.parametrize("name", ["browse", "sync"])
    def test_it_reaches_the_same_store(
        self, tracker: Tracker, options: dict[str, str], name: str
    ) -> None:
        program, command, *words = shlex.split(tracker.command(name))
        assert (program, command) == ("tetragrad", name)
        assert dict(zip(words[::2], words[1::2], strict=True)) == options
        known = {o for p in app_command(name).params for o in p.opts}
        assert options.keys() <= known

    def test_what_the_environment_says_is_not_repeated_and_secrets_are_not_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "secret" not in store(uri=SERVER).command("browse")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
        assert store(uri=SERVER).command("browse") == "tetragrad browse"

    @pytest.mark.parametrize(("uri", "shown"), [(None, True), (NONE, False)])
    def test_run_ends_with_it_unless_nothing_was_sent(
        self, uri: str | None, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = Session("s", tmp_path / "mine", [example_record("s")], {})
        monkeypatch.setattr(run, "_run", lambda *given, tables: session)
        options = ["--results", "mine", *(["--tracking-uri", uri] if uri else [])]
        done = in_process(tmp_path, "run", "--task", "fashion_mlp", *options)
        line = "to see them in MLflow: tetragrad browse --results mine\n"
        assert (line in done.stdout) == shown
        assert ("MLflow" in done.stdout) == shown

    def test_what_was_not_sent_names_it(self, tmp_path: Path) -> None:
        said: list[str] = []
        away = Tracker("sqlite:////proc/nowhere/x.db", tmp_path / "mine")
        (tmp_path / "mine").mkdir()
        path = records.write(tmp_path / "mine", example_record())
        away.try_log(example_record(), path, said.append)
        command = (
            f"tetragrad sync --results {tmp_path / 'mine'} --tracking-uri sqlite:////proc/nowhere"
        )
        assert f"`{command}/x.db` sends them later" in said[0]


def test_a_new_task_s_commands_work_where_its_folder_has_spaces(tmp_path: Path) -> None:
    done = in_process(tmp_path, "new", "my task")
    assert done.returncode == 0, done.stderr
    words = [shlex.split(line.partition(": ")[2]) for line in done.stdout.splitlines()[1:3]]
    assert [(w[:3], Path(tmp_path, w[3]).is_dir(), len(w)) for w in words] == [
        (["tetragrad", command, "--task"], True, 4) for command in ("verify", "time")
    ]
    assert_refused(in_process(tmp_path, "new", "~nobody-here/x"), "home of a user", "in full")


def app_command(name: str) -> Any:
    return typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]


def test_browse_shows_the_pages_of_a_server_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(*given: Any) -> None:
        raise AssertionError("MLflow's own server takes no store that is a server")

    monkeypatch.setattr(browse, "serve", served)
    monkeypatch.setattr(
        Tracker, "experiments", lambda self: {"lstm": SimpleNamespace(experiment_id="7", tags={})}
    )
    done = in_process(tmp_path, "browse", "--tracking-uri", SERVER + "/")
    assert (done.returncode, done.stderr) == (0, "")
    page = "#/experiments/7/runs?workflowType=machine_learning"
    assert done.stdout == f"lstm: http://***@host:5000/{page}\n"


class TestCtrlC:
    @pytest.mark.parametrize("number", SIGNALS)
    def test_the_first_is_answered_at_once_and_the_second_not(self, number: int) -> None:
        said: list[str] = []
        with Interrupts(said.append) as interrupts:
            os.kill(os.getpid(), number)
            assert said == [STOPPING]
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), number)
            assert interrupts.again
        assert said == [STOPPING]

    def test_a_session_s_end_names_how_to_go_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        for results, option in ((records.RESULTS, ""), (ELSEWHERE, " --results 'other results'")):
            session = Session("20260101-000000-abcd", results, [], {}, interrupted=True)
            run._show(session, True, None)
            line = f"to go on: tetragrad run --resume 20260101-000000-abcd{option}\n"
            assert capsys.readouterr().err == line
            run._show(Session("s", results, [], {}), True, None)
            assert capsys.readouterr().err == ""

    def test_other_commands_answer_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        """``check``, ``regress``, ``baseline update``, ``reproduce``."""
        with pytest.raises(typer.Exit) as raised, interruptible():
            os.kill(os.getpid(), signal.SIGINT)
        assert raised.value.exit_code == INTERRUPTED
        assert capsys.readouterr().err == f"{STOPPING}\n"
        with pytest.raises(KeyboardInterrupt), answered():
            os.kill(os.getpid(), signal.SIGTERM)
        assert capsys.readouterr().err == f"{STOPPING}\n"

    def test_so_do_verify_and_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*given: Any, **rest: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(verification, "verify_all", interrupted)
        monkeypatch.setattr(Stopwatch, "run", interrupted)
        for command in ("verify", "time"):
            done = in_process(tmp_path, command, "--task", "fashion_mlp", "--data", "generated")
            assert done.returncode == INTERRUPTED
            assert STOPPING in done.stderr
