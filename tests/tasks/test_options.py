"""Options of ``fashion_mlp``: what they make of its constants, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

import tasks
from suite.records import anchors
from suite.records.specification import about, differing
from tasks.datasets.fashion_mnist import FashionMNIST, pixels
from tasks.fashion_mlp import CHOSEN, FashionMLP, FashionMLPConfig
from tasks.optimizers import SGD, Cosine, Momentum
from tasks.options import HELD_OUT, MODEL, OPTIONS
from tasks.task import Array, RequestError, Task
from tests.choices import SINGLE, VALUES, Choice, label
from tests.tiny import BATCH, SIDE, SIZES, chosen_task, tiny_data, tiny_task

NAME = "fashion_mlp"


@pytest.fixture(scope="module")
def full() -> Task:
    return tasks.load(NAME, "full", "generated")


def chosen(profile: str = "full", **options: str) -> FashionMLPConfig:
    found = tasks.config(NAME, profile, None, options)
    assert isinstance(found, FashionMLPConfig)
    return found


def test_every_option_and_no_other_is_tried_alone() -> None:
    assert MODEL[NAME].keys() == VALUES.keys()
    default = chosen()
    for choice in SINGLE:
        assert chosen(**choice) != default, choice


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("activation", "gelu", "one of: relu, sigmoid, tanh, leaky_relu, elu, maxout"),
        ("optimizer", "lion", "one of: sgd, momentum, rmsprop, adagrad, adam"),
        ("decay", "step", "one of: none, linear, cosine, exponential, inverse"),
        ("initializer", "zeros", "one of: glorot_uniform, he_normal, normal"),
        ("loss", "hinge", "one of: cross_entropy, squared"),
        ("batch_norm", "yes", "one of: true, false"),
        ("learning_rate", "0", "a number above 0"),
        ("learning_rate", "nan", "a number above 0"),
        ("beta", "fast", "a number above 0"),
        ("l1", "-1", "a number from 0"),
        ("l2", "inf", "a number from 0"),
        ("dropout", "1", "from 0 and below 1"),
        ("hidden", "512,", "whole numbers from 1, such as 128 or 512,128"),
        ("hidden", "0", "whole numbers from 1"),
        ("batch", "0", "a whole number from 1"),
        ("batch", "60001", "60,000 samples, no batch as large"),
        ("held_out", "1", "from 0 and below 1"),
        ("held_out", "0.999999", "an epoch has 0 samples, no batch as large"),
    ],
)
def test_a_wrong_value_is_refused_with_those_there_are(option: str, value: str, words: str) -> None:
    with pytest.raises(RequestError, match=f"{option}={value} will not do.*{words}"):
        chosen(**{option: value})


def test_rate_and_decay_are_those_of_whichever_optimiser() -> None:
    options = {"learning_rate": "0.5", "decay": "cosine", "optimizer": "momentum"}
    for order in (options, dict(reversed(options.items()))):
        assert chosen(**order).trained_by() == Momentum(0.5, 0.9, Cosine(5 * 468))
    assert chosen("smoke", optimizer="sgd").trained_by() == SGD(0.05)
    # of batches half as large there are twice as many, 936 in whole chunks
    schedule = chosen(decay="cosine", batch="64").trained_by().schedule
    assert schedule == Cosine(5 * 936)


def test_a_scale_of_batches_is_that_of_the_batch_which_is_chosen() -> None:
    for options in ({"batch": "64", "batch_scale": "4"}, {"batch_scale": "4", "batch": "64"}):
        assert chosen(**options).batch == 256


def test_the_default_is_the_task_of_its_baseline_and_its_anchor(full: Task) -> None:
    path = anchors.FOLDER.parent / "baselines" / "fashion_mlp-full-real.json"
    specification = json.loads(path.read_text())["specification"]
    assert differing(specification, about(full)["specification"]) == []
    assert full.targets
    assert full.options == {}
    same = tasks.load(NAME, "full", "generated", None, {"hidden": "128"})
    assert same.targets == full.targets


@pytest.mark.parametrize("choice", SINGLE, ids=label)
def test_a_choice_is_named_in_the_specification(choice: Choice) -> None:
    default, chosen = (
        about(task)["specification"] for task in (tiny_task(), chosen_task(**choice))
    )
    changed = differing(default, chosen)
    (name,) = choice
    wanted = "optimizer" if name in ("optimizer", "learning_rate", "decay") else name
    assert any(words.startswith(wanted) for words in changed), changed


def test_what_is_chosen_has_no_targets_no_anchor_and_its_own_envelopes() -> None:
    task = tasks.load(NAME, "full", "generated", None, {"activation": "elu", "batch_scale": "2"})
    assert task.options == {"activation": "elu"}
    assert task.targets == ()
    assert task.envelopes is CHOSEN
    assert anchors.compare(task, {}) == ()


def test_layers_and_leaves() -> None:
    task = chosen_task(hidden="7,5", activation="maxout", batch_norm="true", dropout="0.5")
    shapes = {name: leaf.shape for name, leaf in task.params.items() if name.endswith("kernel")}
    assert shapes == {
        "hidden.kernel": (SIDE * SIDE, 14),
        "hidden2.kernel": (7, 10),
        "output.kernel": (5, 10),
    }
    chunk = next(task.chunks("train"))
    masks = task.dropout_masks(chunk, 0, 0)
    assert {name: a.shape[1:] for name, a in masks.items()} == {
        "dropout/hidden": (BATCH, 7),
        "dropout/hidden2": (BATCH, 5),
    }
    assert sorted(task.buffers) == [
        f"hidden{n}_norm.{what}" for n in ("2", "") for what in ("mean", "variance")
    ]


def test_a_proof_goes_on_into_further_epochs() -> None:
    task = chosen_task(batch="32")
    assert task.config.steps == (3, 3)
    chunks = list(islice(task.verification_chunks(1), 3))
    for epoch, chunk in enumerate(chunks):
        np.testing.assert_array_equal(
            chunk["labels"], next(task.chunks("train", 1, epoch))["labels"]
        )


def test_heatmaps_are_means_over_the_images_of_a_class() -> None:
    task = chosen_task(hidden="3,2")
    (chunk,) = task.chunks("test")
    hidden = np.random.default_rng(0).random((*chunk["labels"].shape, 5))
    maps = task.heatmaps(lambda chunk: {"hidden": hidden})
    assert list(maps) == ["mean activation, hidden", "mean activation, hidden2"]
    both = np.concatenate([drawn.values for drawn in maps.values()], axis=1)
    flat, labels = hidden.reshape(-1, 5)[:20], chunk["labels"].reshape(-1)[:20]
    for label_, row in enumerate(both):
        mean = flat[labels == label_].mean(axis=0) if (labels == label_).any() else 0
        np.testing.assert_allclose(row, mean)
    assert maps["mean activation, hidden"].rows[0] == "T-shirt/top"
    assert maps["mean activation, hidden2"].columns == ("1", "2")


def _rows(images: Array) -> set[bytes]:
    """The pictures (..., pixels), each by its bytes: no two of the tiny ones are the same."""
    return {row.tobytes() for row in images.reshape(-1, SIDE * SIDE)}


def leaks(task: FashionMLP, data: FashionMNIST) -> list[str]:
    """The ways in which what is scored is not data held out of training."""
    known = {split: _rows(pixels(data.images[split])) for split in SIZES}
    chunks = [chunk for epoch in range(9) for chunk in task.chunks("train", 1, epoch)]
    trained = set.union(*(_rows(chunk["images"]) for chunk in chunks))
    (chunk,) = task.chunks("test")
    scored = _rows(chunk["images"][chunk["weights"] > 0])
    found = {
        "of the test set": scored & known["test"],
        "trained on": scored & trained,
        "not of the training data": scored - known["train"],
        "of the test set, trained on": trained & known["test"],
    }
    return [name for name, rows in found.items() if rows]


class TestHeldOut:
    def test_what_is_scored_is_training_data_that_is_not_trained_on(self) -> None:
        task = chosen_task(held_out="0.2")
        assert leaks(task, tiny_data()) == []
        assert (task.config.trained, task.config.scored) == (79, 20)
        (chunk,) = task.chunks("test")
        rows = chunk["weights"] > 0
        np.testing.assert_array_equal(chunk["labels"][rows], tiny_data().labels["train"][79:])
        assert sum(map(task.samples, task.chunks("train"))) == 8 * BATCH  # in whole chunks

    def test_a_leak_that_is_planted_is_found(self) -> None:
        data = tiny_data()
        assert leaks(tiny_task(), data) == ["of the test set", "not of the training data"]
        from_test = chosen_task(held_out="0.2")
        from_test._images["test"] = data.images["test"].reshape(SIZES["test"], -1)
        assert leaks(from_test, data) == ["of the test set", "not of the training data"]
        overlapping = chosen_task(held_out="0.2")
        overlapping._images["train"] = data.images["train"][20:].reshape(79, -1)
        assert leaks(overlapping, data) == ["trained on"]

    def test_the_test_set_is_not_touched(self) -> None:
        data = tiny_data()
        images, labels = ({"train": tree["train"]} for tree in (data.images, data.labels))
        alone = FashionMNIST(images, labels, data.provenance)
        config = replace(tiny_task().config, held_out=0.2)
        with pytest.raises(KeyError, match="test"):
            FashionMLP(tiny_task().config, "smoke", alone)
        task = FashionMLP(config, "smoke", alone)  # there is none to touch
        (chunk,) = task.chunks("test")
        shape = chunk["labels"].shape
        outputs = {"logits": np.zeros((*shape, 10)), "hidden": np.ones((*shape, 6))}
        assert task.score([(chunk, outputs)]).keys() == {"val_loss", "val_accuracy", "dead_units"}
        assert task.validation == "val_loss"
        (drawn,) = task.heatmaps(lambda chunk: outputs).values()
        assert "held-out images" in drawn.meaning

    def test_it_is_no_other_model(self) -> None:
        assert HELD_OUT in OPTIONS[NAME]
        task = tasks.load(NAME, "smoke", "generated", None, {"held_out": "0.2", "l2": "1e-3"})
        assert task.options == {"l2": "1e-3"}  # it is verified without
        assert task.targets == ()
        assert about(task)["specification"]["held_out"] == 0.2
