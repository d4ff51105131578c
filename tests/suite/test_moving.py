"""Records brought home: what is new arrives, what is younger stays, nothing leads outside."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from suite.records import record as records, timing as timings
from suite.records.events import Outcome
from suite.records.moving import bring_home
from suite.records.timing import Contestant, Timing
from tasks.task import RequestError
from tests.suite.examples import CELL, example_record

TIMING = Timing(
    session="s1",
    conditions=CELL.shared,
    created="2026-01-01",
    unit="samples/s",
    samples=(100,),
    contestants=(Contestant("numpy:eager", "numpy", "eager", True, (0.1,), 0.0),),
)


@pytest.mark.parametrize("whole", [True, False])
def test_records_and_timings_arrive(tmp_path: Path, whole: bool) -> None:
    """Moves a results folder, or one session's folder in it."""
    away, home = tmp_path / "away", tmp_path / "home"
    for session in ("s1", "s2"):
        records.write(away, example_record(session))
    alone = replace(TIMING, session="s3", conditions=CELL.shared.at_batch_scale(4))
    for timing in (TIMING, alone):
        timings.write(away, timing)
    assert bring_home(away if whole else away / "records" / "s1", home) == (2 if whole else 1)
    assert [p.parent.name for p in records.all_paths(home)] == (["s1", "s2"] if whole else ["s1"])
    assert records.read(next(records.all_paths(home))) == example_record("s1")
    assert timings.of_session(home, "s1") == {"fashion_mlp": TIMING}
    assert timings.of_session(home, "s3") == ({"fashion_mlp x4": alone} if whole else {})
    assert bring_home(away, home) == (0 if whole else 1)


@pytest.mark.parametrize(("created", "brought"), [("2026-01-02", 1), ("2025-12-31", 0)])
def test_the_younger_of_two_stays(tmp_path: Path, created: str, brought: int) -> None:
    away, home = tmp_path / "away", tmp_path / "home"
    records.write(home, example_record())
    other = replace(example_record(), created=created, outcome=Outcome.CRASHED)
    path = records.write(away, other)
    assert bring_home(path.parent, home) == brought
    (found,) = records.all_paths(home)
    assert records.read(found).outcome == ("crashed" if brought else "ok")


@pytest.mark.parametrize(
    "changed",
    [
        {"session": "../../outside"},
        {"session": "/tmp/outside"},
        {"session": ".."},
        {"cell": {**asdict(CELL), "mode": "../../../outside"}},
    ],
)
def test_a_record_cannot_name_a_place_outside(tmp_path: Path, changed: dict[str, object]) -> None:
    away, home = tmp_path / "away", tmp_path / "home"
    away.mkdir()
    (away / "r.json").write_text(json.dumps({**asdict(example_record()), **changed}))
    with pytest.raises(RequestError, match="no name for a file"):
        bring_home(away, home)
    assert not home.exists()


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no records in"):
        bring_home(tmp_path, tmp_path / "home")
    (tmp_path / "r.json").write_text("junk")
    with pytest.raises(RequestError, match=r"r.json is not a record"):
        bring_home(tmp_path, tmp_path / "home")
