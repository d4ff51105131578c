"""Cells trained in turns that go on from checkpoints at different places."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from suite.session import race as together
from suite.session.process import Worker
from suite.session.race import Race
from tests.suite.examples import CELL, example_record
from tests.suite.scripts import SCRIPT

GOES_ON = """
done = {"numpy": 1, "torch": 3, "jax": 0}[job["cell"]["backend"]]
def chunk(number):  # the samples say which one it is
    return {"epoch": 1, "samples": 10 * number, "operations": 5, "seconds": .1, "losses": [1.0]}
if done:
    send(event="resumed", step=done, chunks=[chunk(n + 1) for n in range(done)], epochs=[])
for number in range(done + 1, 10):
    turn()
    send(event="chunk", **chunk(number))
send(event="finished", phases={}, memory={}, compilations={}, worker={})
while turn(): send(event="further", samples=10, operations=5, seconds=.1)
send(event="ended", outcome="ok", reason=None)
"""


def test_only_rounds_in_which_all_train_the_same_chunk_are_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT + GOES_ON)
    monkeypatch.setattr(together, "Worker", partial(Worker, command=(sys.executable, str(script))))
    records = [
        replace(
            example_record(), cell=replace(CELL, backend=backend), chunks=[], epochs=[], phases={}
        )
        for backend in ("numpy", "torch", "jax")
    ]
    cells = Race(records, 30, 0, lambda record, event: None)
    cells.run(lambda record: None)
    assert [record.outcome for record in records] == ["ok"] * 3
    assert [record.resumed for record in records] == [1, 3, None]
    everything = [10 * number for number in range(1, 10)]
    assert all([c["samples"] for c in r.chunks] == everything for r in records)
    assert cells.timing
    assert list(cells.timing.samples[:6]) == everything[3:]
    assert all(len(c.seconds) == len(cells.timing.samples) for c in cells.timing.contestants)
