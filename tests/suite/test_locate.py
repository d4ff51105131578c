"""The first operation that adds error: found forwards, backwards, in a leaf, in the update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.numpy import fashion_mlp
from backends.numpy.activations import ACTIVATIONS
from backends.numpy.layers import dense_backward
from backends.program import Program
from suite.records.events import Outcome
from suite.records.taps import Observation, Tap, flat, read
from suite.records.verdict import Deviation, Verdict
from suite.session import locator, verification
from suite.session.first_difference import errors, first_difference
from suite.session.locator import STEPS, Search
from suite.session.process import Ending
from suite.worker.observing import observed
from tasks.optimizers import RMSprop
from tasks.task import Array, Tree
from tests.locate.expected import operation
from tests.mutants.table import TABLE
from tests.tiny import tiny_task

ALLOWED = tiny_task().envelopes["float64"]


def observations(program: Callable[..., Program] = fashion_mlp.build) -> list[Observation]:
    """The first two steps of the tiny perceptron."""
    task = tiny_task()
    built = program(task, task.initial(3).astype("float64"), None)
    return [*observed(task, built, 3, STEPS)]


ORACLE = observations()


def located(own: Observation, step: int = 1) -> str:
    return str(first_difference(own, ORACLE[step - 1], ALLOWED))


def with_tap(name: str, change: Callable[[Tap], Tap]) -> Observation:
    """The first step in which an operation, and all behind it, has changed."""
    names = [*ORACLE[0].taps]
    changed = names[names.index(name) :]
    taps = {n: change(t) if n in changed else t for n, t in ORACLE[0].taps.items()}
    return replace(ORACLE[0], taps=taps)


def test_a_program_is_observed_step_by_step() -> None:
    first, second = ORACLE
    assert [*first.taps] == ["hidden", "hidden_activation", "output", "loss"]
    assert first.gradients.keys() == tiny_task().params.keys()
    assert first.before.keys() == first.after.keys()
    assert all(np.array_equal(second.before[name], leaf) for name, leaf in first.after.items())
    assert not np.array_equal(first.before["params/hidden.kernel"], first.after["v/hidden.kernel"])
    assert first_difference(first, first, ALLOWED) is None


def test_it_is_the_same_from_a_file(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "seen.npz",
        allow_pickle=False,
        **{k: a for o in ORACLE for k, a in flat(o).items()},
    )
    with np.load(tmp_path / "seen.npz") as arrays:
        again = read(arrays, 2)
    assert first_difference(again, ORACLE[1], replace(ALLOWED, gradient=0, state=0)) is None
    assert [*again.taps] == [*ORACLE[1].taps]
    assert (again.step, again.after.keys()) == (2, ORACLE[1].after.keys())


def test_forwards_it_is_the_first_value_whose_inputs_are_equal() -> None:
    own = with_tap("hidden_activation", lambda tap: (tap[0] * 1.003, tap[1]))
    assert located(own) == "hidden_activation, forwards: inputs equal, output off by 3e-03"
    own = replace(own, taps={**own.taps, "hidden": (own.taps["hidden"][0] * (1 + 1e-15), None)})
    assert "inputs equal to 1e-15, output off" in located(own)


def test_backwards_it_is_the_last_operation_whose_cotangent_differs() -> None:
    taps = ORACLE[0].taps
    wrong = {n: (v, 2 * np.asarray(c)) for n, (v, c) in taps.items() if n.startswith("hidden")}
    own = replace(ORACLE[0], taps={**taps, **wrong})
    assert located(own) == (
        "hidden_activation, backwards: cotangents behind it equal, its own off by 1e+00"
    )


def test_what_has_no_name_is_told_and_what_has_no_cotangent_is_not_compared() -> None:
    own = with_tap("output", lambda tap: (tap[0] + 1, tap[1]))
    taps = {n: t for n, t in own.taps.items() if n != "hidden_activation"}
    assert "(it has no hidden_activation)" in located(replace(own, taps=taps))
    without: dict[str, Tap] = {n: (v, None) for n, (v, _) in ORACLE[0].taps.items()}
    assert first_difference(replace(ORACLE[0], taps=without), ORACLE[0], ALLOWED) is None
    assert {row.cotangent for row in errors(replace(ORACLE[0], taps=without), ORACLE[0])} == {None}


def test_another_shape_and_what_is_not_finite_are_differences() -> None:
    for change in (lambda tap: (tap[0][..., None], tap[1]), lambda tap: (tap[0] * np.nan, tap[1])):
        assert "output off" not in located(with_tap("output", change))
        assert "output, forwards: inputs equal, output of another shape or not finite" in located(
            with_tap("output", change)
        )


def changed(tree: Tree, *names: str) -> dict[str, Array]:
    return {n: leaf + 1 if n in names else leaf for n, leaf in tree.items()}


def test_leaves_come_last_those_of_the_last_layer_first() -> None:
    gradients = changed(ORACLE[0].gradients, "hidden.bias", "output.bias")
    assert located(replace(ORACLE[0], gradients=gradients)).startswith("output.bias, its gradient")
    assert located(replace(ORACLE[0], gradients=gradients)).endswith("; so hidden.bias")
    after = changed(ORACLE[1].after, "params/hidden.bias", "v/hidden.bias")
    told = located(replace(ORACLE[1], after=after), 2)
    assert told.startswith("step 2, v/hidden.bias, its update: gradients equal, the state after")


def test_a_planted_activation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ACTIVATIONS, "relu", ACTIVATIONS["elu"])
    assert located(observations()[0]).startswith("hidden_activation, forwards: inputs equal, out")


def test_a_planted_derivative_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    activate, backward = ACTIVATIONS["relu"]
    wrong = (activate, lambda dy, saved: 1.01 * backward(dy, saved))
    monkeypatch.setitem(ACTIVATIONS, "relu", wrong)
    assert located(observations()[0]).startswith("hidden, backwards: cotangents behind it equal, ")


def test_a_planted_sign_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(dy: Array, saved: Any) -> tuple[Array, Array, Array]:
        dx, dw, db = dense_backward(dy, saved)
        return dx, dw, -db

    monkeypatch.setattr(fashion_mlp, "dense_backward", wrong)
    assert located(observations()[0]).startswith("output.bias, its gradient: values and cotangents")


def test_a_planted_constant_of_the_optimiser_is_named() -> None:
    task = tiny_task(RMSprop(learning_rate=1e-3, rho=0.99, epsilon=1e-7))
    program = fashion_mlp.build(task, task.initial(3).astype("float64"), None)
    (own,) = observed(task, program, 3, [1])
    assert located(own).startswith("v/hidden.kernel, its update: gradients equal, the state after")


class Silent:
    """A program without taps."""

    def __init__(self, program: Program) -> None:
        for name in ("place", "train", "gradients", "state"):
            setattr(self, name, getattr(program, name))


def test_without_taps_leaves_are_named_and_what_to_do(tmp_path: Path) -> None:
    def silent(*given: Any) -> Any:
        return Silent(fashion_mlp.build(*given))

    own, _ = observations(silent)
    assert [*own.taps] == ["loss"]
    own = replace(own, gradients=changed(own.gradients, "hidden.kernel"))
    files = [tmp_path / name for name in ("own.npz", "oracle.npz")]
    for file, seen in zip(files, (own, ORACLE[0]), strict=True):
        np.savez(file, allow_pickle=False, **flat(seen))
    search = locator.compare(tiny_task(), files[0], files[1], [1])
    assert search.located
    assert search.text.startswith("error begins at hidden.kernel, its gradient")
    assert "no operation has a name in both: name some by tap(name, x)" in search.text


def verdict(quantity: str, where: str, passed: bool = False, backend: str = "torch") -> Verdict:
    finding = Deviation(quantity, 1.0, 1e-9, where, passed)
    return Verdict("fashion_mlp", backend, "float64", 10, (finding,), mode="eager")


def test_a_search_says_where_else_to_look() -> None:
    none = Search("all agrees", rows=tuple(errors(ORACLE[0], ORACLE[0])))
    failed, passed = verdict("loss", "step 5"), verdict("loss", "step 5", passed=True)
    assert none.of(failed, failed) == "all agrees: it is between steps, in training several at once"
    assert (
        none.of(replace(failed, precision="float32"), passed)
        == "all agrees: it is in float32 alone"
    )
    told = none.of(verdict("prediction", "scoring/logits"), failed)
    assert told == "all agrees: it is in evaluation, scoring/logits"
    assert Search("first, x", True).of(failed, failed) == "first, x"
    ended = Ending(Outcome.CRASHED, "KeyError")
    assert "crashed: KeyError" in locator.compare(tiny_task(), ended, ended, [1]).of(failed, failed)


def test_what_is_searched_and_in_which_steps() -> None:
    chosen = locator.wanted(
        [
            verdict("loss", "step 7"),
            verdict("gradient", "hidden.kernel", backend="jax"),
            verdict("loss", "step 1", passed=True, backend="numpy"),
            verdict("dropout", "the rate of hidden", backend="tensorflow"),
            replace(verdict("loss", "step 1", backend="a"), outcome=Outcome.CRASHED, findings=()),
        ]
    )
    assert chosen == {("torch", "eager"): (1, 2, 6, 7), ("jax", "eager"): (1, 2)}


def test_an_oracle_in_doubt_is_held_against_another_backend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []

    def search(task: Any, device: str, choices: Any, against: Any) -> dict[Any, Search]:
        asked.append((*choices, against))
        return dict.fromkeys(choices, Search("first, it", True))

    monkeypatch.setattr(locator, "search", search)
    monkeypatch.setattr("backends.unavailable", lambda name, mode, task: None)
    oracle, other = ("numpy", "eager"), ("jax", "jit")
    found: Any = {
        (oracle, "float64"): verdict("central differences", "hidden.bias", backend="numpy"),
        (other, "float64"): replace(verdict("loss", "step 1", backend="jax"), mode="jit"),
    }
    seen: list[Any] = []
    watch = lambda *given: seen.append(given[1])  # noqa: E731
    told = verification._located(tiny_task(), "cpu", found, watch)
    assert asked == [(oracle, ("torch", "eager")), (other, oracle)]
    assert seen == [oracle, other]
    assert [str(v.explanation)[-9:] for v in told.values()] == ["first, it"] * 2


def test_every_planted_mistake_within_a_step_has_an_operation() -> None:
    without = {mutant.name for mutant in TABLE if operation(mutant) is None}
    # those of random numbers, of what is timed and of what stays as it began: no single step shows
    # them
    shown = ("dropout", "restore", "train", "frozen")
    assert all(name.startswith(shown) for name in without), without
    assert sum(operation(mutant) is not None for mutant in TABLE) > 0.9 * len(TABLE)
