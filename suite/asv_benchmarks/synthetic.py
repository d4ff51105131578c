"""Sessions that were never run, by the thousand: records and timings of the size of real ones."""

from __future__ import annotations

import functools
import json
import random
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from suite.records import record as records, timing as timings
from suite.records.cell import Cell
from suite.records.record import Record
from suite.records.timing import Contestant, Timing

CELL = Cell(task="fashion_mlp", profile="quick", data="generated")
RATES = {("numpy", "eager"): 1.0, ("torch", "eager"): 1.8, ("tensorflow", "graph"): 1.5}
RATES |= {("jax", "jit"): 4.0}
"""By backend and mode, in thousands of samples per second. A session has one record of each."""
CHUNKS, STEPS, EPOCHS, ROUNDS = 20, 16, 5, 9
PACKAGES, CONSTANTS = 160, 16
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def write(results: Path, first: int, end: int) -> None:
    """Writes the records of the numbers [first, end) below ``results``.

    Every ``len(RATES)`` are a session, which has a timing too. Sessions are an hour apart.
    """
    for number in range(first, end):
        found = record(number)
        _write(records.path_of(results, found), asdict(found))
        if number % len(RATES) == 0:
            own = timing(number // len(RATES))
            _write(timings.path_of(results, own), asdict(own))


def session_id(number: int) -> str:
    """The name of a session."""
    return f"{FIRST + timedelta(hours=number):%Y%m%d-%H%M%S}-{number % 65536:04x}"


def record(number: int) -> Record:
    """A record; those of a session are of one backend and mode after another."""
    session, place = divmod(number, len(RATES))
    (backend, mode), rate = [*RATES.items()][place]
    noise = random.Random(number)
    began = FIRST + timedelta(hours=session)
    template = _template()
    return replace(
        template,
        equivalence={**(template.equivalence or {}), "backend": backend},
        session=session_id(session),
        cell=replace(CELL, backend=backend, mode=mode, seed=0),
        created=began.isoformat(timespec="milliseconds"),
        ended=(began + timedelta(minutes=place + 1)).isoformat(timespec="milliseconds"),
        git={"commit": f"{session:040x}", "dirty": False},
        timed=_timed(1000 * rate * noise.gauss(1, 0.01)),
        chunks=[_chunk(number, rate, noise) for number in range(CHUNKS)],
    )


def timing(session: int) -> Timing:
    """The rounds in turns of a session."""
    noise = random.Random(session)
    contestants = (
        Contestant(
            f"{backend}:{mode}",
            backend,
            mode,
            True,
            tuple(0.1 / rate * noise.gauss(1, 0.01) for _ in range(ROUNDS)),
            0.0,
        )
        for (backend, mode), rate in RATES.items()
    )
    return Timing(
        session=session_id(session),
        conditions=CELL.shared,
        created=(FIRST + timedelta(hours=session)).isoformat(timespec="milliseconds"),
        unit="samples/s",
        samples=(100,) * ROUNDS,
        contestants=tuple(contestants),
    )


@functools.cache
def _template() -> Record:
    """The parts that all records share, as large as those of a real one."""
    finding = {"error": 4.2e-7, "tolerance": 5e-5, "where": "hidden.kernel", "passed": True}
    findings = [
        {"quantity": quantity, **finding, "precision": precision}
        for precision in ("float32", "float64")
        for quantity in ("initial loss", "initial prediction", "gradient", "loss", "final state")
    ]
    verdict = {"task": "fashion_mlp", "backend": "numpy", "precision": "float32", "steps": 48}
    metrics = {"train_loss": 0.4, "test_loss": 0.5, "test_accuracy": 0.8}
    epochs = [
        {"epoch": n, "train_seconds": 0.1 * n, "metrics": metrics} for n in range(1, EPOCHS + 1)
    ]
    phases = dict.fromkeys(("import", "data", "build", "compile", "train", "evaluate"), 0.1)
    return Record(
        session="",
        cell=CELL,
        created="",
        verified=True,
        equivalence={**verdict, "findings": findings, "outcome": "ok", "reason": None},
        specification={f"constant_{number}": 0.1 * number for number in range(CONSTANTS)},
        targets=[{"metric": "test_accuracy", "low": 0.85, "high": None}],
        margin=0.005,
        validation="test_loss",
        provenance={"dataset": "fashion_mnist", "source": "generated", "digest": "00ff" * 16},
        packages={f"package-{n}": f"1.{n}.0" for n in range(PACKAGES)} | {"numpy": "2.4.6"},
        machine={"cpu": "a processor", "python": "3.11"},
        attainable={"matmul": 1e10, "copy": 1e10},
        worker={"devices": ["cpu"], "threads": {"blas": 1}},
        phases=phases,
        epochs=epochs,
        compilations={"first": 0, "again": 0},
        memory={"after_import": 10**8, "peak": 2 * 10**8},
    )


def _chunk(number: int, rate: float, noise: random.Random) -> dict[str, Any]:
    losses = [2 / (1 + number + step / STEPS) + 0.01 * noise.random() for step in range(STEPS)]
    chunk: dict[str, Any] = {"epoch": 1 + number * EPOCHS // CHUNKS, "samples": 100}
    return (
        chunk
        | {"operations": 4e8, "seconds": 0.1 / rate * noise.gauss(1, 0.05)}
        | {"losses": losses}
    )


def _timed(rate: float) -> dict[str, Any]:
    throughput = {"median": rate, "low": 0.98 * rate, "high": 1.02 * rate}
    efficiency = {"median": 0.4, "low": 0.3, "high": 0.5}
    return {"rounds": ROUNDS, "throughput": throughput, "efficiency": efficiency}


def _write(path: Path, document: dict[str, Any]) -> None:
    """Without waiting for the disk, as ``write_json`` does for every file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
