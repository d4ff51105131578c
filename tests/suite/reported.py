"""Sessions that were never run, for the report's tests: every kind of cell that there is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import backends
from suite.records import record as records
from suite.records.events import Outcome
from suite.records.record import Record
from tests.suite import examples
from tests.suite.examples import CELL, example_record

SESSION = "20260101-000000-abcd"
TIMED = "20251231-000000-abcd"
MODES = {name: backends.load(name).MODES[0] for name in backends.NAMES}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} | `x` & 'y'"


def finding(error: float | None, passed: bool = True) -> dict[str, Any]:
    return {
        "quantity": "gradient",
        "error": error,
        "tolerance": 1e-5,
        "where": "hidden.kernel",
        "passed": passed,
    }


def verdict(backend: str, *findings: dict[str, Any]) -> dict[str, Any]:
    """As sessions of before there were modes have it."""
    return {
        **{"task": "fashion_mlp", "backend": backend, "precision": "float32", "steps": 100},
        **{"findings": list(findings), "outcome": "ok", "reason": None},
    }


def record(backend: str, seed: int = 0, speed: float = 1.0, **changes: Any) -> Record:
    """``speed`` times the example's; ``changes`` of the record, or of its cell."""
    of_cell = {k: changes.pop(k) for k in [*changes] if k in CELL.__dataclass_fields__}
    cell = replace(CELL, backend=backend, mode=MODES[backend], seed=seed)
    found = example_record(SESSION)
    chunks = [{**c, "seconds": c["seconds"] / speed} for c in found.chunks]
    timed = examples.timed(1000 * speed)
    found = replace(
        found, chunks=chunks, timed=timed, equivalence=verdict(backend, finding(4.2e-7))
    )
    cell = replace(cell, **of_cell)
    provenance = {**found.provenance, "source": cell.data}
    outcome = Outcome(changes.pop("outcome", found.outcome))
    return replace(found, **{"cell": cell, "provenance": provenance, "outcome": outcome, **changes})


def failed(backend: str, outcome: str = "crashed", seed: int = 0, reason: str = "why") -> Record:
    """A cell that came to nothing."""
    nothing: dict[str, Any] = {"chunks": [], "epochs": [], "phases": {}, "memory": {}, "texts": {}}
    nothing["timed"] = None
    return record(backend, seed, outcome=outcome, reason=reason, verified=False, **nothing)


def unverified(backend: str, seed: int = 0, **changes: Any) -> Record:
    """A fast cell of another model."""
    parts = verdict(backend, finding(0.3, passed=False))
    return record(backend, seed, speed=9, verified=False, equivalence=parts, **changes)


def timing(*contestants: tuple[str, str, list[float]], **changes: Any) -> dict[str, Any]:
    """A timing of the records' task; contestants are (backend, mode, seconds)."""
    return {
        **{"schema_version": 1, "session": SESSION, "task": "fashion_mlp", "variant": None},
        **{"profile": "quick", "data": "generated", "device": "cpu", "precision": "float32"},
        **{"threads": 1, "unit": "samples/s", "created": "2026-01-01T00:00:00.000+00:00"},
        "samples": [1000] * max((len(seconds) for _, _, seconds in contestants), default=0),
        "contestants": [
            {"name": f"{b}:{m}", "backend": b, "mode": m, "verified": True, "seconds": seconds}
            | {"idle_load": 0.0}
            for b, m, seconds in contestants
        ],
        **{"warnings": [], **changes},
    }


def at_batches(
    session: str = TIMED, scales: tuple[int, ...] = (1, 2, 4), **changes: Any
) -> list[dict[str, Any]]:
    """Timings of a session of ``time``: with batches n times as large, JAX is n times as fast.

    NumPy, which is there twice, is not. What PyTorch and TensorFlow do is not to be shown:
    ``everything`` has the first as another model, this session the second.
    """
    found = []
    for scale in scales:
        rounds = [("numpy", "eager", [1.0 * scale] * 3), ("jax", "jit", [0.5] * 3)]
        rounds += [("torch", "eager", [0.1] * 3), ("tensorflow", "graph", [0.1] * 3)]
        one = timing(*rounds, session=session, samples=[1000 * scale] * 3, **changes)
        one["contestants"].append({**one["contestants"][0], "name": "numpy:eager#2"})
        one["contestants"][-1]["seconds"] = [9.0] * 3
        one["contestants"][3]["verified"] = False
        found.append({**one, "batch_scale": scale, "batch": 128 * scale})
    return found


def attention(shift: float = 0.0) -> dict[str, Any]:
    words, others = ["a", "<unk>", "a"], ["ein", HOSTILE]
    values = [[0.9 - shift, 0.1 + shift], [0.5, 0.5], [0.2, 0.8]]
    return {
        f"cross, layer 1, head {head}": {"rows": words, "columns": others, "values": values}
        for head in (1, 2)
    }


def everything() -> list[Record]:
    """Two tasks with each thing that a report can show, and with hostile words in all places."""
    parted = unverified("torch")
    shown: dict[str, Any] = {
        "texts": {"greedy": "To be", HOSTILE: HOSTILE},
        "compilations": {"first": 2, "again": 1},
    }
    real: dict[str, Any] = {"task": "lstm", "data": "real", "profile": "full"}
    return [
        *(record("numpy", seed, **shown, heatmaps=attention()) for seed in (0, 1)),
        *(replace(parted, cell=replace(parted.cell, seed=seed)) for seed in (0, 1)),
        failed("tensorflow", reason=HOSTILE),
        *(record("jax", seed, speed=2, **shown, heatmaps=attention(0.01)) for seed in (0, 1)),
        *(record("torch", seed, speed=3, mode="compile") for seed in (0, 1)),
        *(record(backend, **real, packages={"numpy": HOSTILE}) for backend in MODES),
    ]


def write(results: Path, found: list[Record], *timed: dict[str, Any]) -> Path:
    for one in found:
        records.write(results, one)
    for one_timed in timed:
        name = f"fashion_mlp-{one_timed.get('batch_scale', 1)}.json"
        path = results / "timings" / one_timed["session"] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one_timed))
    return results
