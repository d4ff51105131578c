"""``tetragrad tune``: what is drawn, stopped and shown, and that no test set is seen."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from mlflow import MlflowClient

import backends
from suite.records import record as records
from suite.records.cell import Cell, Conditions
from suite.records.events import Outcome
from suite.records.verdict import Verdict
from suite.report import tuning as page
from suite.session import resume, tune, verification
from suite.session.space import Dimension, Range, Values, dimension
from suite.tracking import tracker as tracking
from tasks.options import MODEL, OPTIONS, SEARCHES
from tasks.task import RequestError
from tests.choices import VALUES
from tests.suite.command import assert_refused, in_process
from tests.suite.searches import FAILING, Quick, verdict
from tests.suite.test_conditions import asked

TASK = ("tune", "fashion_mlp", "--data", "generated")
ALONE = ("--tracking", "none")
CELL = Conditions(task="fashion_mlp")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> type[Quick]:
    """Trials without training, and a best that is proved without a proof."""

    class Own(Quick):
        begun: ClassVar[list[Cell]] = []

    def verify_all(*asked: object) -> list[Verdict]:
        return [verdict("numpy"), verdict("jax")]

    monkeypatch.setattr(tune, "Worker", Own)
    monkeypatch.setattr(verification, "verify_all", verify_all)
    return Own


def searched(folder: Path, *words: str) -> Any:
    """The document of a search, whose trials nobody trains."""
    done = in_process(folder, *TASK, *ALONE, "--json", *words)
    document = json.loads(done.stdout)
    return {**document, "returncode": done.returncode, "stderr": done.stderr}


def drawn(document: Any) -> list[dict[str, str]]:
    """The options of every trial."""
    return [trial["options"] for trial in document["trials"]]


class TestWhatIsDrawn:
    @pytest.mark.parametrize("kind", ["random", "grid"])
    def test_the_same_seed_makes_the_same_trials(
        self, kind: str, quick: type[Quick], tmp_path: Path
    ) -> None:
        space = ("--space", "learning_rate=1e-4..1e-1", "--space", "activation=relu,elu")
        how = ("--search", kind, "--trials", "4", *space)
        first, again = (searched(tmp_path, *how, "--seed", "4") for _ in range(2))
        other = searched(tmp_path, *how, "--seed", "5")
        for part in ("trials", "best", "command"):
            assert first[part] == again[part]
        assert len(first["trials"]) == 4
        assert drawn(first) != drawn(other)
        assert {cell.seed for cell in quick.begun} == {4, 5}

    def test_a_grid_has_every_point_once(self, quick: type[Quick], tmp_path: Path) -> None:
        space = ("--space", "hidden=8;16,8", "--space", "dropout=0..0.8")
        found = searched(tmp_path, "--search", "grid", *space)
        points = [(o["hidden"], o["dropout"]) for o in drawn(found)]
        dropouts = ("0", "0.2", "0.4", "0.6", "0.8")
        assert sorted(points) == sorted((h, d) for h in ("16,8", "8") for d in dropouts)
        assert points != sorted(points)  # so that the first of them are no corner

    def test_a_trial_that_was_made_before_is_not_trained_again(
        self, quick: type[Quick], tmp_path: Path
    ) -> None:
        found = searched(tmp_path, "--space", "activation=relu,elu", "--trials", "4")
        assert len(found["trials"]) == 4
        assert len(quick.begun) == 2
        assert re.search(r"trial \d: the same as trial 1", found["stderr"])

    def test_what_is_set_is_not_searched(self, quick: type[Quick], tmp_path: Path) -> None:
        own = ("--set", "activation=tanh", "--set", "held_out=0.1")
        for options in drawn(searched(tmp_path, *own, "--trials", "2")):
            assert options["activation"] == "tanh"
            assert options["held_out"] == "0.1"
            assert options.keys() == {"held_out", *SEARCHES["fashion_mlp"].space}


class TestHalving:
    HALVING = ("--profile", "full", "--space", "learning_rate=1e-4..1e-1", "--trials", "7")

    @pytest.mark.parametrize("kind", ["halving", "hyperband"])
    def test_trials_that_fall_behind_are_stopped(
        self, kind: str, quick: type[Quick], tmp_path: Path
    ) -> None:
        found = searched(tmp_path, "--search", kind, *self.HALVING)
        stopped = [trial for trial in found["trials"] if trial["stopped"]]
        assert stopped
        for trial in stopped:
            assert len(trial["val_accuracy"]) in (1, 3)  # the rungs, a factor of 3 apart
            assert trial["outcome"] == "interrupted"
            assert trial["reason"].startswith("stopped by the search after epoch")
        whole = [trial for trial in found["trials"] if not trial["stopped"]]
        assert {len(trial["val_accuracy"]) for trial in whole} == {5}
        best = max(whole, key=lambda trial: trial["val_accuracy"][-1])
        assert found["best"] == best["number"]
        # each was begun once: what goes on goes on where it is, what is stopped is not taken up
        assert len(quick.begun) == len({json.dumps(c.options) for c in quick.begun}) == 7


class TestGoingOn:
    SPACE = ("--space", "learning_rate=1e-4..1e-1")

    @pytest.mark.parametrize(("kind", "place"), [("random", 2), ("hyperband", 0)])
    def test_a_search_that_was_interrupted_comes_to_what_it_would_have(
        self, kind: str, place: int, quick: type[Quick], tmp_path: Path
    ) -> None:
        how = ("--search", kind, "--profile", "full", "--trials", "4", *self.SPACE)
        whole = searched(tmp_path, *how)
        quick.begun.clear()
        quick.interrupted_at = place
        done = in_process(tmp_path, *TASK, *ALONE, *how)
        assert done.returncode == 130
        (session,) = re.findall(r"to go on: tetragrad tune --resume (\S+)", done.stderr)
        quick.interrupted_at = None
        resumed = in_process(tmp_path, "tune", "--resume", session, *ALONE, "--json")
        assert resumed.returncode == 0
        document = json.loads(resumed.stdout)
        for part in ("trials", "best", "command"):
            assert document[part] == whole[part]
        assert len(quick.begun) == 5  # that trial was begun twice

    def test_more_trials_can_be_asked_for(self, quick: type[Quick], tmp_path: Path) -> None:
        few = searched(tmp_path, "--trials", "2", *self.SPACE)
        more = ("tune", "--resume", few["session"], "--trials", "4", *ALONE, "--json")
        document = json.loads(in_process(tmp_path, *more).stdout)
        assert drawn(document) == drawn(searched(tmp_path, "--trials", "4", *self.SPACE))
        assert document["trials"][:2] == few["trials"]

    def test_what_cannot_go_on_is_refused(
        self, quick: type[Quick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = searched(tmp_path, "--trials", "1", *self.SPACE)["session"]
        again = ("tune", "--resume", session)
        assert_refused(in_process(tmp_path, *again, "--seed", "1"), "--seed", "leave it out")
        assert_refused(in_process(tmp_path, "tune", "--resume", "x"), "no search 'x'", session)
        with monkeypatch.context() as other:
            other.setattr(resume, "versions", lambda: "others")
            assert_refused(in_process(tmp_path, *again), "other sources or packages")
        journal = tmp_path / "results" / "tuning" / f"{session}.journal"
        journal.write_text("{}\n")
        assert_refused(in_process(tmp_path, *again), "is not the journal of a search")

    def test_a_proof_that_is_interrupted_is_made_when_it_goes_on(
        self, quick: type[Quick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*asked: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(verification, "verify_all", interrupted)
            done = in_process(tmp_path, *TASK, *ALONE, "--trials", "1", *self.SPACE)
        assert done.returncode == 130
        (session,) = re.findall(r"to go on: tetragrad tune --resume (\S+)", done.stderr)
        resumed = in_process(tmp_path, "tune", "--resume", session, *ALONE)
        assert (resumed.returncode, len(quick.begun)) == (0, 1)

    def test_results_that_cannot_be_written_end_it(
        self, quick: type[Quick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*asked: object) -> None:
            raise records.NotWritten("the record is too large for the disk")

        monkeypatch.setattr(records, "write", full)
        done = in_process(tmp_path, *TASK, *ALONE, "--trials", "1", *self.SPACE)
        assert done.returncode == 1
        assert "make room and `tetragrad tune --resume" in done.stderr

    def test_no_trial_begins_after_the_limit(self, quick: type[Quick], tmp_path: Path) -> None:
        found = searched(tmp_path, "--limit", "0", *self.SPACE)
        assert (found["returncode"], found["trials"], found["best"]) == (1, [], None)
        assert "no further trial begins after 0 minutes" in found["stderr"]


class TestWhatIsShown:
    FAILS = ("--search", "grid", "--space", f"learning_rate=0.01,{FAILING},0.1")

    def test_a_trial_that_fails_costs_itself_alone(
        self, quick: type[Quick], tmp_path: Path
    ) -> None:
        done = in_process(tmp_path, *TASK, *ALONE, *self.FAILS)
        assert done.returncode == 0
        assert re.search(r"\d +1e9 +- +0 +diverged", done.stdout)
        assert "diverged: the loss is nan at step 3" in done.stdout
        assert "the best of 3 is trial" in done.stdout
        assert "--set learning_rate=0.01" in done.stdout

    def test_where_all_fail_there_is_no_best(self, quick: type[Quick], tmp_path: Path) -> None:
        done = in_process(tmp_path, *TASK, *ALONE, "--space", f"learning_rate={FAILING}")
        assert done.returncode == 1
        assert "no trial came to its end" in done.stdout
        assert "to run it" not in done.stdout

    def test_a_best_that_is_not_verified_is_said_to_be_so(
        self, quick: type[Quick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = [verdict("numpy"), verdict("torch", passed=False)]
        monkeypatch.setattr(verification, "verify_all", lambda *asked: found)
        done = in_process(tmp_path, *TASK, *ALONE, "--trials", "1")
        assert done.returncode == 1
        assert "NOT VERIFIED: it is not shown to be the same model in torch:eager" in done.stdout
        assert "to run it" not in done.stdout
        (path,) = (tmp_path / "results" / "tuning").glob("*.html")
        html = path.read_text()
        assert "NOT VERIFIED" in html
        assert "tetragrad run --task" not in html

    def test_what_is_proved_is_the_best_in_every_backend_and_two_precisions(
        self, quick: type[Quick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proofs: list[tuple[Any, ...]] = []

        def verify_all(*wanted: Any) -> list[Verdict]:
            proofs.append(wanted)
            return [verdict("numpy")]

        monkeypatch.setattr(verification, "verify_all", verify_all)
        rates = "learning_rate=1e-4,1e-2,1e-1"
        found = searched(tmp_path, "--search", "grid", "--space", rates)
        ((choices, chosen, precisions, data, device, _, options),) = proofs
        assert choices == [("fashion_mlp", None)]
        assert [name for name, _ in chosen] == list(backends.names())
        assert set(precisions) == {"float32", "float64"}
        assert (data, device, options) == ("generated", "cpu", {"learning_rate": "1e-2"})
        plan = asked(tmp_path, monkeypatch, found["command"])
        assert plan.conditions.options == options  # nothing is held out: the test set is scored
        assert (plan.data, plan.conditions.profile) == ("generated", "quick")

    def test_the_page_has_every_trial_and_a_figure_for_every_option(
        self, quick: type[Quick], tmp_path: Path
    ) -> None:
        space = ("--space", f"learning_rate=0.001,0.01,{FAILING}", "--space", "hidden=8..64")
        how = ("--profile", "full", "--search", "halving", "--trials", "7", *space)
        found = searched(tmp_path, *how)
        html = (tmp_path / found["page"]).read_text()
        assert "GENERATED DATA" in html
        figures = json.loads(html.partition('id="figures">')[2].partition("</script>")[0])
        assert len(figures) == 4  # by trial, by epoch, by each option
        by_trial = figures["figure-1"]["data"]
        assert sum(len(trace["x"]) for trace in by_trial[1:]) == 7
        assert figures["figure-4"]["layout"]["xaxis"]["type"] == "log"
        for name in page.FATES:
            assert f"</svg>{name}</li>" in html


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lstm",), "lstm has no options to search; tasks that have are: fashion_mlp"),
        (("fashion",), "no task 'fashion'; did you mean 'fashion_mlp'"),
        ((), "no task to search; name one"),
        (("all",), "a search is of one"),
        (("fashion_mlp", "--backend", "torch:all"), "a search is of one"),
        (("fashion_mlp", "--space", "activatoin=relu"), "did you mean 'activation'"),
        (("fashion_mlp", "--space", "held_out=0"), "no option 'held_out'"),
        (("fashion_mlp", "--space", "activation"), "give activation=A,B,C"),
        (("fashion_mlp", "--space", "activation=gelu"), "activation=gelu will not do"),
        (("fashion_mlp", "--space", "activation=elu..relu"), "activation has no ranges"),
        (("fashion_mlp", "--space", "hidden=8,4..16"), "hidden has no ranges"),
        (("fashion_mlp", "--space", "batch_norm=false..true"), "batch_norm has no ranges"),
        (("fashion_mlp", "--space", "l2=1e-2..1e-4"), "is empty; give the lower end first"),
        (("fashion_mlp", "--space", "dropout=0..1"), "dropout=1 will not do"),
        (("fashion_mlp", "--search", "halving"), "profile quick has one epoch"),
        (("fashion_mlp", "--set", "held_out=0"), "leaves the test set alone"),
        (("fashion_mlp", "--profile", "huge"), "no profile 'huge'"),
        (
            ("fashion_mlp", "--set", "l2=1", "--space", "l2=0,1"),
            "l2 is both in --space and in --set",
        ),
        (
            ("fashion_mlp", "--search", "grid", "--space", "batch=1..99999999,l2=1"),
            "batch=99999999,l2=1 will not do",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    assert_refused(in_process(tmp_path, "tune", *words, "--data", "generated"), said)
    assert not (tmp_path / "results").exists()


def test_a_grid_without_end_is_refused(tmp_path: Path) -> None:
    values = ",".join(str(width) for width in range(1, 202))
    both = ("--space", f"hidden={values}", "--space", f"batch={values}")
    done = in_process(tmp_path, *TASK, "--search", "grid", *both)
    assert_refused(done, "the grid has 40,401 points", "--search random")


@pytest.mark.parametrize(
    ("name", "text", "found", "points"),
    [
        ("activation", "relu,elu,relu", Values(["relu", "elu"]), ["relu", "elu"]),
        ("hidden", "8;16,8", Values(["8", "16,8"]), ["8", "16,8"]),
        ("hidden", "10..1000", Range(10, 1000), ["10", "100", "1000"]),
        ("learning_rate", "1e-3..1e-1", Range(1e-3, 1e-1), ["0.001", "0.01", "0.1"]),
        ("dropout", "0..0.4", Range(0.0, 0.4), ["0", "0.1", "0.2", "0.3", "0.4"]),
    ],
)
def test_what_a_text_says_of_an_option(
    name: str, text: str, found: Dimension, points: list[str]
) -> None:
    read = dimension(CELL, name, text, {})
    assert read == found
    assert read.points == points


def test_a_number_that_is_drawn_stays_within_its_range() -> None:
    assert Range(0.0, 0.99999).text(0.99999) == "0.99999"  # to three digits it would be 1
    assert Range(1e-4, 1e-1).text(0.0123456) == "0.0123"


def test_what_a_task_declares_can_be_searched() -> None:
    for name, search in SEARCHES.items():
        assert MODEL[name].keys() >= search.space.keys()
        for option, text in search.space.items():
            assert dimension(Conditions(task=name), option, text, {}).points


def test_a_file_s_name_has_room_for_every_option() -> None:
    values = {name: VALUES[name][-1] for name in OPTIONS["fashion_mlp"] if name in VALUES}
    names = {
        Conditions(task="fashion_mlp", backend="tensorflow", mode="graph", options=o).file_name
        for o in (values, {**values, "held_out": "0.2"}, {**values, "held_out": "0.25"})
    }
    assert len(names) == 3
    assert all(len(name) < 220 for name in names)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Path, Any]:
    """A search in real workers into a real store; the best is proved in NumPy alone."""
    folder = tmp_path_factory.mktemp("tune")
    (folder / "results").mkdir()
    shutil.copy(empty_store, folder / "results")
    space = ("--search", "grid", "--space", "optimizer=sgd", "--space", "learning_rate=0.05,1e30")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backends, "chosen", lambda *wanted, of: (("numpy", "eager"),))
        return folder, in_process(folder, *TASK, "--profile", "smoke", *space)


@pytest.mark.filterwarnings("ignore")  # MLflow's own, not ours
class TestReal:
    def test_the_best_is_proved_and_shown(self, real: tuple[Path, Any]) -> None:
        _, done = real
        assert done.returncode == 0, done.stderr
        assert "it is the same model in numpy:eager, in float32 and float64" in done.stdout
        assert "--set optimizer=sgd --set learning_rate=0.05" in done.stdout
        assert "diverged: the loss is nan" in done.stdout

    def test_no_trial_is_scored_on_the_test_set(self, real: tuple[Path, Any]) -> None:
        folder, _ = real
        found = [records.read(path) for path in records.all_paths(folder / "results")]
        assert sorted(r.outcome for r in found) == [Outcome.DIVERGED, Outcome.OK]
        for record in found:
            names = {name for epoch in record.epochs for name in epoch["metrics"]}
            assert names <= {"train_loss", "val_loss", "val_accuracy", "dead_units"}
            assert record.specification["held_out"] == 0.2
            assert record.validation == "val_loss"
            assert record.targets == []

    def test_trials_are_runs_below_that_of_the_search_which_has_the_page(
        self, real: tuple[Path, Any]
    ) -> None:
        folder, _ = real
        store = MlflowClient(tracking.default_uri(folder / "results"))
        experiment = store.get_experiment_by_name("fashion_mlp")
        assert experiment
        runs = store.search_runs([experiment.experiment_id])
        (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
        trials = [run for run in runs if run is not parent]
        assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
        assert sorted(run.data.tags["outcome"] for run in trials) == ["diverged", "ok"]
        (whole,) = (run for run in trials if run.data.tags["outcome"] == "ok")
        assert whole.data.params["optimizer.learning_rate"] == "0.05"
        assert 0.2 < whole.data.metrics["val_accuracy"] < 1
        (report,) = store.list_artifacts(parent.info.run_id, "report")
        assert report.path.endswith(".html")

    def test_its_session_can_be_reported(self, real: tuple[Path, Any]) -> None:
        folder, _ = real
        done = in_process(folder, "report", *ALONE)
        assert done.returncode == 0, done.stderr


def test_without_optuna_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["suite.cli.tune"]
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    assert_refused(in_process(tmp_path, *TASK), "pip install 'tetragrad[tune]'")


def test_a_damaged_option_of_a_trial_costs_it_alone() -> None:
    with pytest.raises(RequestError, match="will not do"):
        dimension(CELL, "batch", "60000", {"held_out": "0.2"})
