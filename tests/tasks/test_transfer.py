"""``fashion_mlp:transfer`` and ``:scratch`` as tasks."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from tasks import transfer
from tasks.datasets import fashion_mnist
from tasks.fashion_mlp import FashionMLP
from tasks.pretrained import Pretrained
from tasks.task import RequestError
from tasks.transfer import BASE, PROFILES, Transfer
from tests.tiny import BATCH, HIDDEN, tiny_transfer


@pytest.fixture(scope="module")
def scratch() -> Transfer:
    return Transfer(PROFILES["full"], "full", fashion_mnist.generated(), None)


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks_and_classes(profile: str) -> None:
    config = PROFILES[profile]
    steps, chunk_steps = config.steps
    assert steps % chunk_steps == 0
    assert config.per_class * config.classes == config.train_samples
    assert config.train_samples % config.batch == 0


def test_there_are_twenty_images_of_each_of_the_last_five_classes(scratch: Transfer) -> None:
    chunks = list(scratch.chunks("train", 3, 0))
    labels = np.concatenate([c["labels"].ravel() for c in chunks])
    images = np.concatenate([c["images"].reshape(-1, 784) for c in chunks])
    pairs = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    assert len(pairs) == 100
    assert np.bincount([label for _, label in pairs]).tolist() == [20] * 5
    assert len(labels) == 10 * 100  # ten passes
    data = fashion_mnist.generated()
    known = {  # of the classes 5 to 9, which are counted from 0
        (fashion_mnist.pixels(image).tobytes(), int(label) - 5)
        for image, label in zip(data.images["train"], data.labels["train"], strict=True)
        if label >= 5
    }
    assert pairs <= known


def test_the_seed_says_which_images_and_the_epoch_their_order(scratch: Transfer) -> None:
    def found(seed: int, epoch: int) -> tuple[bytes, frozenset[bytes]]:
        (chunk,) = scratch.chunks("train", seed, epoch)
        images = chunk["images"].reshape(-1, 784)
        return images.tobytes(), frozenset(image.tobytes() for image in images)

    (order, images), (other_order, same), (_, others) = found(0, 0), found(0, 1), found(1, 0)
    assert order != other_order
    assert images == same
    assert len(images & others) < 10
    assert found(0, 0) == (order, images)


def test_evaluation_is_of_all_test_images_of_these_classes(scratch: Transfer) -> None:
    labels = fashion_mnist.generated().labels["test"]
    (chunk,) = scratch.chunks("test")
    real = chunk["weights"] > 0
    assert real.sum() == min((labels >= 5).sum(), PROFILES["full"].test_samples)
    np.testing.assert_array_equal(chunk["labels"][real], labels[labels >= 5][: real.sum()] - 5)


def test_what_was_learned_is_frozen_and_no_matter_of_the_seed() -> None:
    task = tiny_transfer("transfer")
    one, other = task.initial(0), task.initial(1)
    for name in task.frozen:
        np.testing.assert_array_equal(one.params[name], other.params[name])
    assert not np.array_equal(one.params["output.kernel"], other.params["output.kernel"])
    assert one.slots["v"].keys() == task.trained.keys() == {"output.kernel", "output.bias"}
    assert tiny_transfer("scratch").frozen == ()


def test_both_variants_learn_from_the_same_batches() -> None:
    chunks = (next(tiny_transfer(v).chunks("train", 2, 1)) for v in ("transfer", "scratch"))
    one, other = chunks
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_the_base_learns_the_first_classes_with_a_layer_that_fits(
    scratch: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = transfer.base("generated")
    labels = np.concatenate([c["labels"].ravel() for c in base.chunks("train", 0, 0)])
    assert set(labels) == {*range(5)}
    assert len(labels) == BASE.train_samples == 231 * 128
    learned = Pretrained(base.initial(0).params, "digest")
    task = Transfer(PROFILES["full"], "full", fashion_mnist.generated(), learned)
    shapes = {name: leaf.shape for name, leaf in task.params.items()}
    assert shapes == {name: leaf.shape for name, leaf in scratch.params.items()}
    assert sum(np.prod(leaf.shape) for leaf in task.trained.values()) == 645
    calls = []

    def pretrained(make: object, source: str) -> Pretrained:
        calls.append((make, source))
        return learned

    monkeypatch.setattr(transfer, "pretrained", pretrained)
    assert tasks.load("fashion_mlp", "smoke", "generated", "transfer").label.endswith(":transfer")
    assert tasks.load("fashion_mlp", "smoke", "generated", "scratch").label.endswith(":scratch")
    assert calls == [(transfer.base, "generated")]


def test_heatmaps_name_the_classes_that_there_are() -> None:
    task = tiny_transfer("transfer")
    (heatmap,) = task.heatmaps(
        lambda chunk: {"hidden": np.ones((*chunk["labels"].shape, HIDDEN))}
    ).values()
    assert heatmap.rows == ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
    assert heatmap.values.shape == (5, HIDDEN)


def test_the_default_has_its_options_and_the_variants_none() -> None:
    assert isinstance(tasks.load("fashion_mlp", "smoke", "generated"), FashionMLP)
    for variant in ("transfer", "scratch"):
        with pytest.raises(RequestError, match=f"fashion_mlp:{variant} has no option 'hidden'"):
            tasks.config("fashion_mlp", "full", variant, {"hidden": str(BATCH)})
