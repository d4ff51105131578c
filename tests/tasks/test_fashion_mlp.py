"""The Fashion-MNIST perceptron as a task."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

import tasks
from tasks.datasets import fashion_mnist
from tasks.fashion_mlp import PROFILES, FashionMLP
from tasks.task import RequestError
from tests.tiny import BATCH, HIDDEN, STEPS, tiny_task


@pytest.fixture(scope="module")
def full() -> FashionMLP:
    return FashionMLP(PROFILES["full"], "full", fashion_mnist.generated())


def test_it_has_the_parameters_of_the_specification(full: FashionMLP) -> None:
    state = full.initial(0)
    assert sum(leaf.size for leaf in state.params.values()) == 101_770
    for name, (fan_in, fan_out) in {"hidden": (784, 128), "output": (128, 10)}.items():
        kernel, limit = state.params[f"{name}.kernel"], np.sqrt(6 / (fan_in + fan_out))
        assert kernel.shape == (fan_in, fan_out)
        assert np.abs(kernel).max() <= limit
        assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)
        assert not state.params[f"{name}.bias"].any()
    assert not any(leaf.any() for leaf in state.slots["v"].values())


def test_initial_parameters_depend_on_the_seed_alone() -> None:
    one, again, other = (tiny_task().initial(seed).params["hidden.kernel"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str) -> None:
    config = PROFILES[profile]
    assert config.train_samples // config.batch % config.chunk_steps == 0


def test_an_epoch_is_a_permutation_in_chunks_of_one_shape(full: FashionMLP) -> None:
    chunks = list(full.chunks("train", seed=5, epoch=2))
    assert {c["images"].shape for c in chunks} == {(52, 128, 784)}
    assert len(chunks) == 9
    assert sum(map(full.samples, chunks)) == 468 * 128
    images = np.concatenate([c["images"].reshape(-1, 784) for c in chunks])
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert len(np.unique(images, axis=0)) == 468 * 128  # no picture twice


def test_the_permutation_depends_on_seed_and_epoch() -> None:
    def first(seed: int, epoch: int) -> bytes:
        return next(tiny_task().chunks("train", seed, epoch))["images"].tobytes()

    assert first(1, 1) == first(1, 1)
    assert len({first(1, 1), first(1, 2), first(2, 1)}) == 3


def test_the_last_incomplete_batch_is_dropped_in_training_and_padded_in_evaluation() -> None:
    task = tiny_task()
    assert sum(map(task.samples, task.chunks("train"))) == BATCH * STEPS
    (chunk,) = task.chunks("test")
    assert chunk["images"].shape == (3, BATCH, 16)
    np.testing.assert_array_equal(chunk["weights"].sum(axis=1), [8, 8, 4])


def test_score_agrees_with_scipy_and_ignores_the_padding() -> None:
    task = tiny_task()
    (chunk,) = task.chunks("test")
    logits = 5 * np.random.default_rng(0).standard_normal((3, BATCH, 10))
    flat, labels = logits.reshape(-1, 10)[:20], chunk["labels"].reshape(-1)[:20]
    hidden = np.zeros((3, BATCH, HIDDEN))
    hidden[2, 3, [1, 4]] = 0.1, -0.1  # the last real image
    found = task.score([(chunk, {"logits": logits, "hidden": hidden})])
    assert found["dead_units"] == pytest.approx(4 / HIDDEN)
    loss = -log_softmax(flat, axis=1)[np.arange(20), labels].mean()
    assert found["test_loss"] == pytest.approx(loss)
    assert found["test_accuracy"] == pytest.approx((flat.argmax(axis=1) == labels).mean())


def test_an_unknown_task_or_profile_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match=r"no task 'fashion'.*fashion_mlp"):
        tasks.load("fashion", "full", "generated")
    with pytest.raises(RequestError, match=r"no profile 'huge'.*smoke, quick, full"):
        tasks.config("fashion_mlp", "huge")
