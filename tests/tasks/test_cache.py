"""The cache of decoded data sets: read back, shared, damaged, read-only."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from suite.contract import Array
from tasks.datasets.cache import cached

ARRAYS = {"ids": np.arange(1000, dtype=np.int32), "labels": np.array([[0.5, 1]])}


class Maker:
    """Counts how often it was needed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Mapping[str, Array]:
        self.calls += 1
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


def test_several_may_ask_at_once(folder: Path) -> None:
    start, found = threading.Barrier(4), []

    def ask() -> None:
        start.wait()
        found.append(cached("example", "key", Maker()))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for arrays in found:
        same(arrays)
    assert len(list((folder / "example").iterdir())) == 1
