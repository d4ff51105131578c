"""Errors of the file system: each has the system's own words and the remedy that helps."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.records import baseline, record as records, timing as timings
from suite.records.cell import Conditions
from suite.records.checkpoints import Checkpoints
from suite.records.findings import Finding, Findings
from suite.records.record import NotWritten
from suite.session import store
from suite.session.plan import Plan
from suite.session.verifier import Verifier
from tasks import datasets
from tasks.datasets.sources import SOURCES
from tasks.paths import because
from tasks.task import RequestError
from tests.suite.examples import example_baseline, example_record, example_timing
from tests.tiny import tiny_task

PLAN = Plan((), (), Conditions(), range(1), "generated", 9.0, 9.0)
READERS: list[Callable[[Path], Any]] = [records.read, baseline.read, timings.read]


def refused(error: int) -> Callable[..., Any]:
    """A call that the system refuses."""

    def call(*given: Any, **named: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return call


REMEDIES = {
    errno.ENOENT: "look for it",
    errno.EACCES: "mend its permissions",
    errno.EPERM: "mend its permissions",
    errno.EROFS: "read-only",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.ENOTDIR: "a file is in the way: name a folder",
    errno.EEXIST: "a file is in the way: name a folder",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENAMETOOLONG: "a shorter name",
    errno.EMFILE: "ulimit -n",
    errno.EIO: "name another place",
}


@pytest.mark.parametrize("error", REMEDIES)
def test_every_error_has_its_remedy_and_no_other(error: int) -> None:
    said = because(OSError(error, os.strerror(error)))
    assert said.startswith(f"({os.strerror(error)}): ")
    assert [r for r in {*REMEDIES.values()} if r in said] == [REMEDIES[error]]


class TestReading:
    @pytest.mark.parametrize("read", READERS)
    def test_a_file_that_is_not_there_is_looked_for(self, tmp_path: Path, read: Any) -> None:
        with pytest.raises(RequestError, match=r"x.json cannot be read \(No such.*look for it"):
            read(tmp_path / "x.json")

    @pytest.mark.parametrize("read", READERS)
    def test_a_folder_is_no_file_and_a_file_no_folder(self, tmp_path: Path, read: Any) -> None:
        with pytest.raises(RequestError, match=r"cannot be read .*it is a folder: name a file"):
            read(tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(RequestError, match=r"cannot be read .*a file is in the way"):
            read(tmp_path / "file" / "x.json")

    @pytest.mark.parametrize("read", READERS)
    def test_one_that_may_not_be_read_is_not_to_be_moved_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Any
    ) -> None:
        for how in ("read_text", "read_bytes"):
            monkeypatch.setattr(Path, how, refused(errno.EACCES))
        with pytest.raises(RequestError, match=r"cannot be read .*mend its permissions") as error:
            read(tmp_path / "x.json")
        assert "move it away" not in str(error.value)

    def test_the_plan_of_a_session(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "sessions" / "s1.json").mkdir(parents=True)
        with pytest.raises(RequestError, match=r"s1.json cannot be read .*name a file"):
            store.read_plan(tmp_path, "s1")

    def test_a_file_of_data(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TETRAGRAD_DATA", str(tmp_path))
        source = SOURCES["fashion_mnist"]
        file = next(iter(source.files))
        where, _ = datasets.serving(source, file)
        where.mkdir(parents=True)
        with pytest.raises(RequestError, match=r"cannot be read .*it is a folder.*data fetch"):
            datasets.read(source, file)

    def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "c.npz").mkdir()
        assert Checkpoints(tmp_path / "c.npz", 60, {}).load(tiny_task()) is None
        said = capsys.readouterr().err
        assert "cannot be read" in said
        assert "damaged" not in said

    @pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"task": 1}', "\udcff"])
    def test_a_kept_verdict_that_cannot_be_read_is_made_again(
        self, tmp_path: Path, content: str | None
    ) -> None:
        verifier = Verifier(tiny_task(), "cpu", 1, cache_folder=tmp_path)
        path = verifier._cache_path(("numpy", "eager"), "float32")
        assert path
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content.encode(errors="surrogateescape"))
        assert verifier._kept(("numpy", "eager"), "float32") is None


def write_findings(path: Path) -> None:
    Findings("x", (Finding("a", "b", "c"),)).write(path, None)


WRITERS: list[tuple[Callable[[Path], Any], type[Exception]]] = [
    (records.require_writable, RequestError),
    (lambda results: records.write(results, example_record()), NotWritten),
    (lambda results: timings.write(results, example_timing([1.0])), NotWritten),
    (lambda folder: baseline.write(folder, example_baseline()), RequestError),
    (lambda results: store.write_plan(results, "s1", PLAN), RequestError),
    (lambda results: store.lock(results, "s1"), RequestError),
    (lambda folder: write_findings(folder / "found.md"), RequestError),
]


class TestWriting:
    @pytest.mark.parametrize(("write", "kind"), WRITERS)
    def test_a_file_where_a_folder_is_to_be_has_no_permissions_to_mend(
        self, tmp_path: Path, write: Callable[[Path], Any], kind: type[Exception]
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(kind, match="a file is in the way: name a folder") as error:
            write(tmp_path / "file")
        assert "permissions" not in str(error.value)

    @pytest.mark.parametrize(("write", "kind"), WRITERS[1:5])
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (errno.ENOSPC, r"\(No space left on device\): make room"),
            (errno.EROFS, r"\(Read-only file system\)"),
        ],
    )
    def test_a_disk_that_is_full_needs_room_and_one_may_turn_read_only(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        error: int,
        words: str,
        write: Callable[[Path], Any],
        kind: type[Exception],
    ) -> None:
        monkeypatch.setattr(os, "fsync", refused(error))
        with pytest.raises(kind, match=words):
            write(tmp_path)
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

    def test_a_folder_where_a_file_is_to_be(self, tmp_path: Path) -> None:
        with pytest.raises(RequestError, match="it is a folder: name a file"):
            write_findings(tmp_path)


@pytest.fixture(params=[0o022, 0o002, 0o077, 0o027])
def umask(request: pytest.FixtureRequest) -> Any:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_the_users_umask_decides_who_may_read_what_is_written(tmp_path: Path, umask: int) -> None:
    """Records, timings, plans, baselines, findings, checkpoints, verdicts, reports, stand-ins."""
    from suite import report
    from suite.records import checkpoints
    from tasks.datasets import cache

    results = tmp_path / "results"
    records.write(results, example_record())
    timings.write(results, example_timing([1.0]))
    store.write_plan(results, "s1", PLAN)
    store.lock(results, "s1").release()
    baseline.write(tmp_path / "baselines", example_baseline())
    write_findings(tmp_path / "found.md")
    checkpoints._write(tmp_path / "checkpoints" / "c.npz", {})
    records.write_json(tmp_path / "verdicts" / "v.json", {})
    report.write(results, [example_record()], tmp_path / "report")
    cache._write(tmp_path / "cache" / "entry", {})
    written = [*tmp_path.rglob("*")]
    assert len([path for path in written if path.is_file()]) >= 13
    modes = {str(path): oct(path.stat().st_mode & 0o777) for path in written}
    expected = {str(path): oct((0o777 if path.is_dir() else 0o666) & ~umask) for path in written}
    assert modes == expected
    json.loads(next((results / "records").rglob("*.json")).read_text())
