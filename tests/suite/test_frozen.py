"""Frozen leaves and pretrained states in the proof, in records and in reproducing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tasks
from backends.numpy import fashion_mlp
from suite.causes.evidence import Watched
from suite.causes.rules import follow, results, rule_of
from suite.records import anchors
from suite.records.cell import Conditions
from suite.records.specification import about
from suite.records.verdict import UNFROZEN
from suite.session import reproduce
from suite.session.equivalence import compare, unfrozen
from suite.session.plan import Plan, cells
from suite.worker.trace import trace
from tasks.task import Array, Envelope, RequestError, State
from tests.suite.examples import CELL, example_record
from tests.tiny import tiny_task, tiny_transfer

ENVELOPE = Envelope(steps=10, loss=1e-12, gradient=1e-12, state=1e-12)


class Decaying(fashion_mlp.Program):  # type: ignore[name-defined, misc]
    """Moves the frozen kernel by its last bit or two in every chunk."""

    def train(self, placed: list[dict[str, Array]]) -> Array:
        self._params["hidden.kernel"] *= 1 - 2.0**-52
        losses: Array = super().train(placed)
        return losses


def test_a_frozen_leaf_that_moves_by_a_bit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny_transfer("transfer")
    state = task.initial(0).astype("float64")
    right = trace(task, fashion_mlp.build(task, state, None), seed=0, ends=(10,))
    found = {name for name in right if name.startswith(UNFROZEN)}
    assert found == {f"{UNFROZEN}hidden.kernel", f"{UNFROZEN}hidden.bias"}
    assert unfrozen(right, "numpy") == ()
    assert not any(UNFROZEN in name for name in anchors.values_of(right))
    monkeypatch.setattr(fashion_mlp, "Program", Decaying)
    wrong = trace(task, fashion_mlp.build(task, state, None), seed=0, ends=(10,))
    assert all(finding.passed for finding in compare(wrong, right, ENVELOPE))  # nothing else does
    (finding,) = unfrozen(wrong, "numpy")
    assert not finding.passed
    assert "numpy moves hidden.kernel, which is frozen" in str(finding)


def test_a_task_without_frozen_leaves_has_none_in_its_trace_and_specification() -> None:
    task = tiny_task()
    state = task.initial(0).astype("float64")
    noted = trace(task, fashion_mlp.build(task, state, None), seed=0, ends=(10,))
    assert not any(name.startswith(UNFROZEN) for name in noted)
    facts = about(task)
    assert "frozen" not in facts["specification"]
    assert facts["provenance"].keys() == {"dataset", "source", "digest"}  # as records of before


def test_records_have_what_is_frozen_and_the_digest_of_the_pretrained_state() -> None:
    facts = about(tiny_transfer("transfer"))
    assert facts["specification"]["frozen"] == ["hidden.kernel", "hidden.bias"]
    assert facts["provenance"]["pretrained"] == "tiny"
    scratch = about(tiny_transfer("scratch"))["provenance"]
    assert "pretrained" not in scratch
    assert scratch["digest"] != facts["provenance"]["digest"]


def test_another_pretrained_state_is_not_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny_transfer("transfer")
    monkeypatch.setattr(tasks, "load", lambda *given: task)
    cell = replace(CELL, task="fashion_mlp", variant="transfer", backend="numpy", mode="eager")
    record = replace(example_record(), cell=cell, **about(task))
    assert reproduce.require_rerunnable(record) is task
    record.provenance = {**record.provenance, "pretrained": "other", "digest": "other"}
    with pytest.raises(RequestError, match="pretrained state: its digest was other and is tiny"):
        reproduce.require_rerunnable(record)


def test_a_leaf_that_lies_otherwise_in_memory_is_trained_too() -> None:
    task = tiny_task()
    state = task.initial(0).astype("float64")
    turned = {name: np.asfortranarray(leaf) for name, leaf in state.params.items()}
    program = fashion_mlp.build(task, State(turned, state.slots), None)
    for chunk in task.chunks("train", 0):
        program.train(program.place(chunk))
    for name, leaf in program.state().params.items():
        assert not np.array_equal(leaf, state.params[name]), name


def test_causes_are_looked_for_in_what_moves_alone() -> None:
    task = tiny_transfer("transfer")
    state = task.initial(0).astype("float64")
    gradients = {name: np.ones_like(state.params[name]) for name in task.trained}
    norms = {name: float(np.linalg.norm(g)) for name, g in gradients.items()}
    watched = [Watched(0, state, state, gradients, norms)]
    names = {f"0/{end}" for leaf in task.trained for end in (leaf, f"v/{leaf}")}
    assert follow(rule_of(task.optimizer), watched).keys() == names
    assert results(watched).keys() == names


def test_a_variant_without_options_has_none_of_the_plan_s() -> None:
    choices = ("fashion_mlp", None), ("fashion_mlp", "transfer")
    chosen = Conditions(options={"activation": "tanh"})
    plan = Plan(choices, (("numpy", "eager"),), chosen, range(1), "generated", 1.0, 1.0)
    default, transfer = (next(cells(plan, c, 0, "generated")).options for c in choices)
    assert (default, transfer) == ({"activation": "tanh"}, {})
