"""The perceptron: its rule against scikit-learn's, Novikoff's bound, and what XOR needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Perceptron as Reference

import tasks
from backends.numpy.perceptron import build
from tasks.datasets import formulas
from tasks.initializers import zeros
from tasks.perceptron import COUNT, VARIANTS, Perceptron
from tasks.stacks import params
from tasks.task import Array


def task_of(variant: str, profile: str = "full") -> Perceptron:
    task = tasks.load("perceptron", profile, "real", variant)
    assert isinstance(task, Perceptron)
    return task


def trained(task: Perceptron, seed: int, epochs: int) -> tuple[Any, list[Array]]:
    """NumPy's program after so many epochs, and the losses of each of them."""
    program = build(task, task.initial(seed), seed)
    losses = [
        np.concatenate([program.train(program.place(c)) for c in task.chunks("train", seed, epoch)])
        for epoch in range(epochs)
    ]
    return program, losses


def scored(task: Perceptron, program: Any) -> dict[str, float]:
    (chunk,) = task.chunks("test")
    return dict(task.score([(chunk, program.predict(program.place(chunk)))]))


def test_the_variants_are_those_that_the_suite_lists() -> None:
    assert tuple(VARIANTS) == tasks.VARIANTS["perceptron"]


def test_the_lecture_s_network_of_5_3_7_5_1_has_92_parameters() -> None:
    leaves = params((5, 3, 7, 5, 1), zeros)
    assert sum(int(np.prod(leaf.shape)) for leaf in leaves.values()) == 92
    counts = {"rule": 3, "xor": 3, "mlp": (2 + 1) * 8 + 8 + 1}
    for variant, count in counts.items():
        own = task_of(variant).params.values()
        assert sum(int(np.prod(leaf.shape)) for leaf in own) == count


@pytest.mark.parametrize("variant", ["rule", "xor"])
def test_it_is_the_rule_of_scikit_learn_on_the_same_points_in_the_same_order(variant: str) -> None:
    task, seed = task_of(variant), 5
    reference = Reference(shuffle=False, penalty=None)
    for epoch in range(3):
        for chunk in task.chunks("train", seed, epoch):
            points, labels = chunk["inputs"].reshape(-1, 2), chunk["labels"].reshape(-1)
            reference.partial_fit(points.astype(np.float64), labels, classes=[0, 1])
    program = build(task, task.initial(seed).astype("float64"), seed)
    for epoch in range(3):
        for chunk in task.chunks("train", seed, epoch):
            program.train(program.place(chunk))
    found = program.state().params
    assert found["output.kernel"].any()
    np.testing.assert_allclose(found["output.kernel"][:, 0], reference.coef_[0], rtol=1e-12)
    np.testing.assert_allclose(found["output.bias"], reference.intercept_, rtol=1e-12)


def test_the_rule_stops_making_mistakes_before_novikoff_s_bound() -> None:
    task = task_of("rule")
    for seed in (0, 1):
        program, losses = trained(task, seed, 12)
        assert losses[0].any()
        last = max(epoch for epoch, own in enumerate(losses) if own.any())
        assert last < len(losses) - 3
        found = scored(task, program)
        assert 0 < found["mistakes"] <= float(task.bound or 0) < np.inf
        assert found["test_accuracy"] == 1


def test_the_bound_is_of_the_points_that_are_trained_on() -> None:
    task = task_of("rule")
    points = np.concatenate([c["inputs"].reshape(-1, 2) for c in task.chunks("train")])
    labels = np.concatenate([c["labels"].reshape(-1) for c in task.chunks("train")])
    u = np.array(formulas.SEPARATOR) / np.linalg.norm(formulas.SEPARATOR)
    extended = np.column_stack([points, np.ones(len(points))]).astype(np.float64)
    gaps = (2 * labels - 1) * (extended @ u)
    assert gaps.min() >= formulas.GAP / np.linalg.norm(formulas.SEPARATOR) > 0
    longest = np.linalg.norm(extended, axis=1).max()
    assert task.bound == int((longest / gaps.min()) ** 2)


def test_no_line_is_right_on_more_than_three_points_of_xor() -> None:
    task = task_of("xor")
    for seed in (0, 1):
        program, _ = trained(task, seed, 1)
        for chunk in task.chunks("train", seed, 1):
            program.train(program.place(chunk))
            assert scored(task, program)["test_accuracy"] <= 0.75
    weights = np.random.default_rng(0).standard_normal((3, 10_000))
    (chunk,) = task.chunks("test")
    right = (chunk["inputs"][0] @ weights[:2] + weights[2] > 0) == chunk["labels"].T
    assert right.mean(axis=0).max() == 0.75


def test_a_hidden_layer_solves_xor() -> None:
    task = task_of("mlp")
    program, losses = trained(task, 3, 8)
    found = scored(task, program)
    assert found["test_accuracy"] == 1
    assert found["test_loss"] < losses[-1].mean() + 0.01
    assert program.state().buffers[COUNT] == found["mistakes"] > 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str, variant: str) -> None:
    config = task_of(variant, profile).config
    assert config.train_samples // config.batch % config.chunk_steps == 0
    assert config.train_samples % config.batch == 0


def test_a_picture_shows_the_answer_over_the_plane() -> None:
    task = task_of("rule")
    program, _ = trained(task, 0, 12)
    (drawn,) = task.heatmaps(lambda chunk: program.predict(program.place(chunk))).values()
    x, y = np.meshgrid([float(c) for c in drawn.columns], [float(r) for r in drawn.rows])
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    distances = formulas.distance(points).reshape(drawn.values.shape)
    clear = np.abs(distances) > 3 * formulas.GAP
    np.testing.assert_array_equal(drawn.values[clear] > 0, distances[clear] > 0)
    assert drawn.values.max() == 1
