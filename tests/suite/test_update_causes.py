"""Causes in the update: each explains its own difference, and none of the others' is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from suite.causes.movements import explanations
from suite.causes.rules import rule_of
from suite.causes.updates import CAUSES
from tasks.optimizers import SGD, Adagrad, Adam, Linear, Momentum, Optimizer, RMSprop
from tests.mutants import causes as mutants
from tests.mutants.table import TABLE
from tests.suite.update_ports import port

ALLOWED = 1e-11
OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(1e-2, 0.9, 0.98, 1e-9, Linear(20, warmup=4), clip=1.0),
    "rmsprop": RMSprop(1e-3, 0.9, 1e-7),
    "momentum": Momentum(1e-2, 0.9, Linear(20)),
    "sgd": SGD(0.05, Linear(20)),
    "adagrad": Adagrad(1e-2, 1e-7),
}
MUTANTS = {
    "RMSprop: epsilon outside the root [numpy, fashion_mlp]": "epsilon is outside the root",
    "RMSprop: rho 0.99 [numpy, fashion_mlp]": "rho is 0.99, not 0.9",
    "Adam: no bias correction [numpy, imdb_text:embedding]": "does not correct its moments",
    "Adam: epsilon added before the correction [numpy, imdb_text:embedding]": "before the bias",
    "Adam: epsilon inside the root [numpy, imdb_text:embedding]": "inside the root",
    "Adam: beta2 0.98 [numpy, imdb_text:embedding]": "beta2 is 0.98, not 0.999",
    "Adam: momentum adds whole gradients [numpy, imdb_text:embedding]": "beta1 m + g",
    "schedule: linear, off by one [numpy, lstm]": "one step ahead",
    "clip: every leaf for itself [numpy, transformer]": "every leaf's norm is clipped for itself",
    "L2: with a half [numpy, imdb_text:bow_l2]": "the penalty l2 of",
    "L2: on biases too [numpy, imdb_text:bow_l2]": "hidden.bias, bag.bias is in the penalty l2",
    "batch norm: momentum's meaning [numpy, imdb_text:bow_batchnorm]": "counts 99 times as much",
    "batch norm: unbiased running variance [numpy, imdb_text:bow_batchnorm]": "unbiased, n = 8",
    "batch norm: epsilon 1e-5 [numpy, imdb_text:bow_batchnorm]": "epsilon 1e-05 inside the root",
    "state: not carried [numpy, lstm]": "carry.hidden, carry.cell stays as it is",
    "gradient: not of the embedding [numpy, lstm]": "no gradient reaches embedding.kernel",
    "gradient: sum for mean [numpy, fashion_mlp]": "are 8 times as large",
    "predict: no activation [numpy, fashion_mlp]": "given without its ReLU",
}
"""Mistakes in NumPy, and words of their cause."""


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_cause_explains_its_own_difference_and_none_is_named_for_another(name: str) -> None:
    optimizer = OPTIMIZERS[name]
    tried = 0
    for cause in CAUSES:
        for said, rule in cause.rules(optimizer):
            difference, found = explanations(optimizer, port(optimizer, rule), ALLOWED)
            if not difference.differing:  # AMSGrad's largest v may be the last one
                continue
            tried += 1
            named = {e.cause for e in found}
            assert cause.name in named, (said, found)
            assert said in {e.said for e in found}, (said, found)
            assert named == {cause.name}, (said, [e.said for e in found])
    assert tried > 10


def test_the_rule_itself_needs_no_cause() -> None:
    for optimizer in OPTIMIZERS.values():
        difference, found = explanations(optimizer, port(optimizer, rule_of(optimizer)), ALLOWED)
        assert difference.differing == ()
        assert found == []


def test_an_unknown_difference_has_no_cause() -> None:
    for optimizer in OPTIMIZERS.values():
        rule = replace(rule_of(optimizer), formula=lambda g, memory, rate, t: rate * np.tanh(g))
        difference, found = explanations(optimizer, port(optimizer, rule), ALLOWED)
        assert difference.differing
        assert found == []


def test_two_mistakes_at_once_are_not_explained_by_one_of_them() -> None:
    adam = OPTIMIZERS["adam"]
    rules = {said: rule for cause in CAUSES for said, rule in cause.rules(adam)}
    ahead = next(rule for said, rule in rules.items() if "one step ahead" in said)
    both = replace(ahead, decoupled=0.01)
    assert explanations(adam, port(adam, both), ALLOWED)[1] == []


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"output.bias": 2.0}, "output.bias moves twice as far, as if there were two of it"),
        ({"output.kernel": 0.0}, "output.kernel does not move"),
        (
            dict.fromkeys(("hidden.kernel", "hidden.bias", "output.kernel", "output.bias"), 0.1),
            "the learning rate is 0.001, not 0.01",
        ),
    ],
)
def test_leaves_that_move_otherwise_are_named(factors: dict[str, float], said: str) -> None:
    adam = Adam(1e-2, 0.9, 0.999, 1e-7)
    rule = replace(rule_of(adam), moves=lambda leaf: factors.get(leaf, 1.0))
    (found,) = explanations(adam, port(adam, rule), ALLOWED)[1]
    assert found.said == said


@pytest.mark.parametrize("label", MUTANTS)
def test_the_cause_of_a_mistake_in_numpy_is_named(label: str) -> None:
    (mutant,) = (mutant for mutant in TABLE if mutant.label == label)
    said = mutants.cause(mutant)
    assert "cause: " in said
    assert MUTANTS[label] in said
    assert "relation: " not in said
