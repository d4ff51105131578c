"""The worker: one process, one framework. ``python -m suite.worker EVENTS_FD < job.json``.

Events go out as JSON lines on a channel of their own, so that what a framework prints cannot
corrupt them. The environment (threads, devices) was set by the parent before this process began.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import backends
import tasks
from backends.program import Backend, Program, Unavailable
from suite.records import events
from suite.records.cell import Cell
from suite.records.checkpoints import Checkpoints
from suite.records.events import (
    Described,
    Ended,
    Event,
    Finished,
    Measured,
    Outcome,
    Started,
    Waiting,
)
from suite.records.specification import about
from suite.records.taps import flat
from suite.system import devices, memory
from suite.system.readings import text
from suite.worker import cards, flips, imported, probes, rates
from suite.worker.clock import Clock
from suite.worker.dropout import dropout_statistics
from suite.worker.observing import observed
from suite.worker.trace import steps_between, trace
from suite.worker.training import Diverged, Send, Training
from suite.worker.watch import watch
from tasks.task import Array, RequestError, State, Task, dtype_of

Job = Mapping[str, Any]


def main() -> None:
    """Reads the job from standard input, does it, and reports how it ended."""
    channel = os.fdopen(int(sys.argv[1]), "w", buffering=1)

    def send(event: Event) -> None:
        channel.write(events.line(event))

    send(_done(json.loads(sys.stdin.readline()), send))


def _done(job: Job, send: Send) -> Ended:
    """Does a job. Returns how it ended."""
    cell = Cell(**job["cell"])
    memory.limit(job.get("memory_limit"))
    try:
        JOBS[job["kind"]](cell, send, job)
    except BrokenPipeError:
        raise SystemExit(1) from None  # the parent is gone: there is no one to work for
    except Unavailable as error:
        return Ended(Outcome.SKIPPED, str(error))
    except Diverged as error:
        return Ended(Outcome.DIVERGED, str(error))
    except Exception as error:  # noqa: BLE001  (whatever it was, the parent must hear of it)
        memory.lift()
        traceback.print_exc()
        out_of_memory = memory.ran_out(repr(error))
        outcome = Outcome.OUT_OF_MEMORY if out_of_memory else Outcome.CRASHED
        return Ended(outcome, _said(error, cell.task))
    return Ended(Outcome.OK)


def _said(error: Exception, task: str) -> str:
    """An error in one line."""
    first = "".join(str(error).splitlines()[:1])
    if isinstance(error, RequestError):
        return first
    with suppress(RequestError):  # the task itself may be what is missing
        if own := tasks.explained(error, task):
            return own
    return f"{type(error).__name__}: {first}"


def _clock(cell: Cell) -> tuple[Clock, dict[str, Any]]:
    """The clock of training, and what the ledger says of the card it runs on."""
    backend = backends.load(cell.backend)
    return cards.clock_for(devices.kind(cell.device), backend.start_device_clock)


def _configure(cell: Cell, clock: Clock) -> Any:
    """Imports the framework, set up for the cell, and the task's module in that backend."""
    if reason := backends.lacking(cell.backend, cell.task):
        raise Unavailable(reason)
    backend = backends.load(cell.backend)
    clock.seconds["import"] += time.process_time()  # Python itself, and what is imported above
    with clock.phase("import"):
        _set_up(cell, backend)
        importlib.import_module(tasks.module(cell.task))
        module = importlib.import_module(backends.module(cell.backend, cell.task))
    if not hasattr(module, "build"):
        raise RequestError(f"{module.__file__} has no build(task, state, seed); write it there")
    return module


def _set_up(cell: Cell, backend: Backend) -> None:
    """Raises Unavailable if the device is not there, or does not compute in the precision."""
    backend.configure(devices.kind(cell.device), cell.threads, cell.precision, cell.mode)
    probes.require_products(backend, cell.precision)


def peak_memory(root: Path = Path("/")) -> int | None:
    """Peak resident memory of this process [bytes]; None if the system does not say."""
    if sys.platform.startswith("linux"):  # whose ru_maxrss begins at the size of the parent
        line = re.search(r"^VmHWM:\s*(\d+) kB$", text(root / "proc/self/status") or "", re.M)
        return int(line[1]) * 1024 if line else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _describe(cell: Cell) -> dict[str, Any]:
    facts = probes.facts(backends.load(cell.backend), dtype_of(cell.precision))
    return {**facts, **(_sources(cell) if cell.task else {})}


def _sources(cell: Cell) -> dict[str, Any]:
    """The files of a task and a backend outside the house, by their digest; nothing of others."""
    outside = {
        "task_folder": dict(tasks.sources(cell.task)),
        "backend_folder": dict(backends.package(cell.backend)),
    }
    return {name: sources for name, sources in outside.items() if sources}


def _load(cell: Cell) -> Task:
    return tasks.load(cell.task, cell.profile, cell.data, cell.variant, cell.options)


def train(cell: Cell, send: Send, job: Job) -> None:
    """Trains a cell, clocked by phase; an event after every chunk and every epoch."""
    clock, card = _clock(cell)
    module = _configure(cell, clock)
    peaks = {"after_import": peak_memory()}
    task, initial, program = _built(cell, module, clock)
    described = _describe(cell) | card
    send(Started(described, **about(task)))
    checkpoints = _checkpoints(cell, task, job)
    training = Training(
        *(task, program, cell.seed, clock, send, partial(_turn, cell, program, send)),
        *(cell.early_stopping, checkpoints),
    )
    training.run(initial)
    peaks["peak"] = peak_memory()
    described |= _after_training(cell, program, clock, card)
    known = {name: peak for name, peak in peaks.items() if peak is not None}
    send(Finished(described, training.compilations, clock.seconds, known))
    training.go_on()


def _built(cell: Cell, module: Any, clock: Clock) -> tuple[Task, State, Program]:
    with clock.phase("data"):
        task = _load(cell)
        initial = task.initial(cell.seed).astype(dtype_of(cell.precision))
    with clock.phase("build"):
        return task, initial, module.build(task, initial, cell.seed)


def time_alone(cell: Cell, send: Send, job: Job) -> None:
    """Trains as long as there are turns, an event after each; evaluates nothing.

    With ``job["flips"]``, otherwise than the backend does of itself, see ``suite.worker.flips``.
    """
    clock, card = _clock(cell)
    module, wanted = _configure(cell, clock), job.get("flips", ())
    flips.in_backend(backends.load(cell.backend), wanted)
    task, initial, program = _built(cell, module, clock)
    flips.in_program(program, wanted, lambda: module.build(task, initial, cell.seed))
    described = _describe(cell) | card
    send(Started(described, **about(task)))
    turn = partial(_turn, cell, program, send)
    training = Training(task, program, cell.seed, clock, send, turn)
    training.time(initial)
    described |= _after_training(cell, program, clock, card)
    send(Finished(described, training.compilations))


def _after_training(
    cell: Cell, program: Program, clock: Clock, card: Mapping[str, Any]
) -> dict[str, Any]:
    """Facts of the ledger that are known only now."""
    seconds = clock.processor_seconds["train"], clock.seconds["train"]
    device = devices.used(cell.device, program.device())
    found = {"device": device, **probes.after_training(program.state(), *seconds)}
    if clock.device_share is not None:
        found["device_clock"] = clock.device_share
    if isinstance(clock, cards.MeteredClock):
        found["card"] = {**card["card"], **clock.measured()}
    return found


def _checkpoints(cell: Cell, task: Task, job: Job) -> Checkpoints | None:
    """Where ``job["checkpoint"]`` says: its ``path``, ``every`` [s], and the ``versions`` used."""
    if "checkpoint" not in job:
        return None
    asked = job["checkpoint"]
    facts = {"cell": dataclasses.asdict(cell), **about(task), "versions": asked["versions"]}
    facts |= _sources(cell)
    return Checkpoints(Path(asked["path"]), asked["every"], facts)


def _turn(cell: Cell, program: Program, send: Send) -> bool:
    """Waits, idle, until the parent gives the next turn; False if it says that there is none.

    Raises WrongDevice if what was done until now was done elsewhere than it should.
    """
    devices.used(cell.device, program.device())
    send(Waiting())
    line = sys.stdin.readline()
    if not line:
        raise BrokenPipeError  # the parent is gone
    return line.strip() == "go"


def trace_job(cell: Cell, send: Send, job: Job) -> None:
    """Writes the equivalence trace to each of ``job["ends"]`` to the file ``job["output"]``."""
    module = _configure(cell, Clock())
    task = _load(cell).verified()
    initial = task.initial(cell.seed).astype(dtype_of(cell.precision))
    # no seed: dropout is by the masks of the batches, since random numbers are each framework's own
    program = module.build(task, initial, None)
    found = trace(task, program, cell.seed, job["ends"])
    devices.used(cell.device, program.device())
    if tasks.is_outside(cell.task):
        found |= imported.noted()
    np.savez(job["output"], allow_pickle=False, **found)


def watch_job(cell: Cell, send: Send, job: Job) -> None:
    """Writes what causes are looked for in to ``job["output"]``, see ``suite.worker.watch``.

    ``job["windows"]`` are the steps; ``job["moved"]`` is the file of another state, or None.
    """
    module = _configure(cell, Clock())
    task = _load(cell).verified()
    initial = task.initial(cell.seed).astype(dtype_of(cell.precision))
    program = module.build(task, initial, None)
    moved = None
    if job["moved"]:
        with np.load(job["moved"], allow_pickle=False) as arrays:
            moved = dict(arrays)
    windows = [(first, last) for first, last in job["windows"]]
    found = watch(task, program, initial, cell.seed, windows, moved)
    np.savez(job["output"], allow_pickle=False, **found)


def observe(cell: Cell, send: Send, job: Job) -> None:
    """Writes the observations of ``job["steps"]``, see ``suite.records.taps``."""
    module = _configure(cell, Clock())
    task = _load(cell).narrow().verified()
    initial = task.initial(cell.seed).astype(dtype_of(cell.precision))
    program = module.build(task, initial, None)
    arrays: dict[str, Array] = {}
    for seen in observed(task, program, cell.seed, job["steps"]):
        arrays |= flat(seen)
    np.savez(job["output"], allow_pickle=False, **arrays)


def first_losses(cell: Cell, send: Send, job: Job) -> None:
    """Writes the losses of the first ``job["steps"]`` steps of a cell's own training, or of its
    first epoch if that is shorter.

    None with dropout: its random numbers are each framework's own.
    """
    module = _configure(cell, Clock())
    task = _load(cell)
    initial = task.initial(cell.seed).astype(dtype_of(cell.precision))
    program = module.build(task, initial, None)
    losses = np.empty(0)
    for chunk in task.chunks("train", cell.seed):
        left = job["steps"] - len(losses)
        if not left or task.dropouts(chunk):
            break
        first = {name: a[:left] for name, a in chunk.items()}
        losses = np.concatenate([losses, program.train(program.place(first))])
    np.savez(job["output"], allow_pickle=False, losses=losses)


def dropout_job(cell: Cell, send: Send, job: Job) -> None:
    """Writes the statistics of the framework's own dropout, nothing of a task that has none."""
    module = _configure(cell, Clock())
    task = _load(cell)
    build = partial(module.build, task)
    errors = dropout_statistics(task, build, cell.precision, cell.seed)
    np.savez(job["output"], allow_pickle=False, **errors)


def gradient_check(cell: Cell, send: Send, job: Job) -> None:
    """Writes how far the oracle's gradients, by leaf, differ from central differences.

    They need nothing of its model but ``restore`` and ``gradients``.
    """
    from backends.numpy.central_differences import of_program, relative_errors

    module = _configure(cell, Clock())
    task = _load(cell).narrow()
    state = task.initial(cell.seed).astype("float64")
    program = module.build(task, state, None)
    first = next(steps_between(task, cell.seed, 0, 1))
    batch = task.excerpt({name: array[0] for name, array in first.items()})
    differentiable = of_program(program, state)
    given = (differentiable, state.params, batch, cell.seed)
    errors = relative_errors(*given, frozen=task.frozen)
    np.savez(job["output"], allow_pickle=False, **{k: np.array(e) for k, e in errors.items()})


def several(cell: Cell, send: Send, job: Job) -> None:
    """Does every one of ``job["jobs"]``, of one backend and device, whether or not others fail.

    A framework takes longer to start than many a proof. Beside the ``output`` of a job, a file
    ``.json`` says how it ended.
    """
    for one in job["jobs"]:
        ended = _done(one, send)
        told = json.dumps(dataclasses.asdict(ended))
        Path(one["output"]).with_suffix(".json").write_text(told, encoding="utf-8")


def describe(cell: Cell, send: Send, job: Job) -> None:
    """Reports what is in force for a backend: its devices, its threads and all else."""
    backend = backends.load(cell.backend)
    _set_up(cell, backend)
    send(Described(_describe(cell)))


def machine(cell: Cell, send: Send, job: Job) -> None:
    """Measures what the backend's products attain on the cell's device, in its precision."""
    backend = backends.load(cell.backend)
    _set_up(cell, backend)
    device, dtype = devices.kind(cell.device), dtype_of(cell.precision)
    send(Measured(rates.attainable(backend.multiplier, device, dtype, cell.threads)))


JOBS = {
    "train": train,
    "time": time_alone,
    "trace": trace_job,
    "watch": watch_job,
    "first_losses": first_losses,
    "observe": observe,
    "dropout": dropout_job,
    "gradient_check": gradient_check,
    "several": several,
    "describe": describe,
    "machine": machine,
}
