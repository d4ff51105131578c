"""The cache of decoded data sets: read back, shared, damaged, read-only."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tasks.datasets import cache
from tasks.datasets.cache import cached
from tasks.task import Array, RequestError

ARRAYS = {"ids": np.arange(1000, dtype=np.int32), "labels": np.array([[0.5, 1]])}


class Maker:
    """Counts how often it was needed, and takes some seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls = 0
        self._seconds = seconds

    def __call__(self) -> Mapping[str, Array]:
        self.calls += 1
        time.sleep(self._seconds)
        return ARRAYS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))
    return tmp_path


def same(found: Mapping[str, Array]) -> None:
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_it_is_made_once_and_then_read_back(folder: Path) -> None:
    make = Maker()
    for _ in range(3):
        same(cached("example", "key", make))
    assert make.calls == 1
    assert len(list((folder / "example").iterdir())) == 1  # no temporary folder is left
    assert not cached("example", "key", make)["ids"].flags.writeable


def test_another_key_or_name_is_another_entry() -> None:
    make = Maker()
    for name, key in (("one", "1"), ("one", "2"), ("two", "1")):
        cached(name, key, make)
    assert make.calls == 3


@pytest.mark.parametrize("file", ["ids.npy", "labels.npy", "sha256.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_a_damaged_entry_is_made_anew(folder: Path, file: str, damage: str) -> None:
    make = Maker()
    cached("example", "key", make)
    (path,) = folder.rglob(file)
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        bad = {"cut": content[:-3], "flipped": content[:-1] + b"\xff", "empty": b""}[damage]
        path.write_bytes(bad)
    same(cached("example", "key", make))
    assert make.calls == 2
    same(cached("example", "key", make))
    assert make.calls == 2


def test_where_it_cannot_be_written_it_is_made_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path / "file"))
    make = Maker()
    for _ in range(2):
        same(cached("example", "key", make))
    assert make.calls == 2


def test_of_several_that_ask_at_once_one_does_the_work(folder: Path) -> None:
    start, found, makers = threading.Barrier(4), [], [Maker(0.1) for _ in range(4)]

    def ask(make: Maker) -> None:
        start.wait()
        found.append(cached("example", "key", make))

    threads = [threading.Thread(target=ask, args=(make,)) for make in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for arrays in found:
        same(arrays)
    assert sum(make.calls for make in makers) == 1
    assert len(list((folder / "example").iterdir())) == 1


def test_one_that_hangs_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "PATIENCE", 0.1)
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> Mapping[str, Array]:
        hangs.set()
        go_on.wait()
        return ARRAYS

    thread = threading.Thread(target=cached, args=("example", "key", hang))
    thread.start()
    hangs.wait()
    same(cached("example", "key", Maker()))
    go_on.set()
    thread.join()


def test_making_an_entry_may_ask_for_another() -> None:
    same(cached("example", "outer", lambda: cached("example", "inner", Maker())))


def test_without_platformdirs_folders_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    monkeypatch.delenv("TETRAGRAD_CACHE", raising=False)
    with pytest.raises(RequestError, match="name folders in TETRAGRAD_DATA and TETRAGRAD_CACHE"):
        cache.cache_directory()
    same(cached("example", "key", Maker()))  # what it would only save time for is made
    monkeypatch.setenv("TETRAGRAD_CACHE", str(tmp_path))
    assert cache.cache_directory() == tmp_path
