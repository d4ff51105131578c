"""The proof reaches rare things: clipped gradients, a reset state, the end of a schedule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tasks
from backends.numpy import lstm, transformer
from suite.worker.trace import steps_between
from tasks.datasets.multi30k import BOS, PAD, UNKNOWN
from tasks.lstm import CLIPPED, RESET
from tasks.optimizers import Adam
from tasks.task import Task


def full(name: str) -> Task:
    return tasks.load(name, "full", "generated")


def norms(task: Task, steps: int) -> Iterator[tuple[float, float]]:
    """The norm of the gradients of each step, and of the cell state that it begins from."""
    initial = task.initial(task.verification_seed).astype("float64")
    program = lstm.build(task, initial, None)
    for chunk in steps_between(task, task.verification_seed, 0, steps):
        for batch in program.place(chunk):
            _, gradients = program.gradients([batch])
            before = program.state().buffers["carry.cell"]
            program.train([batch])
            yield (
                float(np.sqrt(sum(np.vdot(g, g) for g in gradients.values()))),
                float(np.abs(before).max() * (1 - batch["reset"])),
            )


def test_gradients_of_the_lstm_are_clipped_and_its_carried_state_is_reset() -> None:
    task = full("lstm").verified()
    assert isinstance(task.optimizer, Adam)
    assert task.optimizer.clip
    steps = CLIPPED + 1
    assert all(steps <= envelope.steps for envelope in task.envelopes.values())
    gradients, carried = map(np.array, zip(*norms(task, steps), strict=True))
    assert gradients[CLIPPED] > 3 * task.optimizer.clip
    assert gradients.min() < task.optimizer.clip
    assert list(np.flatnonzero(carried == 0)) == [0, RESET]


def test_each_word_that_is_never_written_would_be_in_the_proof(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = full("transformer")
    state = task.first_predicted(task.initial(task.verification_seed))
    chunk = dict(task.evaluation_kinds())["greedy decoding"]

    def written(banned: list[int]) -> set[int]:
        monkeypatch.setattr(transformer, "BANNED", banned)
        program = transformer.build(task, state, None)
        return set(program.predict(program.place(chunk))["tokens"].flat)

    never = [PAD, BOS, UNKNOWN]
    assert not written(never) & {BOS, UNKNOWN}
    for word in never:
        assert written([other for other in never if other != word]) | {PAD} == {word, PAD}


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_schedule_is_seen_to_its_end_and_beyond(name: str) -> None:
    task = full(name)
    verified = task.verified()
    assert isinstance(task.optimizer, Adam)
    assert isinstance(verified.optimizer, Adam)
    steps = task.envelopes["float64"].steps
    rates = verified.optimizer.rates(0, steps)
    assert rates.max() == task.optimizer.learning_rate
    assert list(np.flatnonzero(rates == 0)) == [steps - 2, steps - 1]
    assert (rates[0] < rates.max()) == bool(task.optimizer.schedule.warmup)  # type: ignore[union-attr]
    assert verified.params == task.params
    assert task.verified().optimizer != task.optimizer  # which is unchanged


def test_a_task_without_a_schedule_is_proved_as_it_is() -> None:
    task = full("fashion_mlp")
    assert task.verified() is task
