"""The autoencoder and its clustering as a task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tasks
from tasks import autoencoder, clustering
from tasks.autoencoder import PROFILES, Autoencoder, JointAutoencoder, SpectralConfig, parameters
from tasks.task import Array, Chunk, Task, Tree
from tests.tasks.tiny_autoencoder import (
    BATCH,
    CLUSTERS,
    CODE,
    INPUTS,
    PROVENANCE,
    STEPS,
    TEST,
    TRAIN,
    tiny_data,
    tiny_joint,
    tiny_task,
)

VARIANTS = tasks.VARIANTS["autoencoder"]
DIRECTIONS = np.eye(CLUSTERS, CODE) - np.eye(CLUSTERS, CODE, -1)


class Predict:
    """Codes that lie near the direction that the input's first entries choose."""

    def __init__(self, turn: float = 0.0):
        self.shapes: set[tuple[object, ...]] = set()
        self.turn = turn

    def __call__(self, chunk: Chunk) -> Tree:
        self.shapes.add(tuple(sorted((k, a.shape, a.dtype.str) for k, a in chunk.items())))
        return {"codes": self.codes(chunk["inputs"])}

    def codes(self, inputs: Array) -> Array:
        chosen = inputs[..., :CLUSTERS].argmax(axis=-1)
        codes = DIRECTIONS[chosen] + self.turn + 0.01 * inputs[..., :CODE]
        return np.asarray(codes, np.float32)


def penalty_of(task: Task) -> float:
    return float(next(task.chunks("train"))["penalty"][0])


def test_it_has_the_parameters_of_the_specification() -> None:
    full = PROFILES["joint"]["full"]
    leaves = parameters(full)
    assert sum(np.prod(leaf.shape) for leaf in leaves.values()) == 795_794
    rng = np.random.default_rng(0)
    variances = {"encoder.hidden1": 2 / 784, "decoder.output": 2 / 1284, "decoder.hidden1": 2 / 10}
    for name, variance in variances.items():
        leaf = leaves[f"{name}.kernel"]
        assert leaf.draw(rng, leaf.shape).std() == pytest.approx(variance**0.5, rel=0.05)
    for name, leaf in leaves.items():
        if name.endswith("bias"):
            assert not leaf.draw(rng, leaf.shape).any()
    spectral = parameters(PROFILES["spectral"]["full"])
    shapes = [leaf.shape for name, leaf in spectral.items() if name.endswith("kernel")]
    assert shapes == [(2000, 256), (256, 64), (64, 10), (10, 64), (64, 256), (256, 2000)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str, variant: str) -> None:
    c = PROFILES[variant][profile]
    assert c.train_samples // c.batch % c.chunk_steps == 0
    assert c.test_samples % c.test_batch == 0
    if isinstance(c, SpectralConfig):
        assert c.inputs == c.train_samples == c.test_samples


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_epoch_is_a_permutation_in_chunks_of_one_shape(variant: str) -> None:
    task = tiny_task(variant)
    chunks = list(task.chunks("train", seed=5, epoch=2))
    assert len(chunks) == 2
    assert {c["inputs"].shape for c in chunks} == {(3, BATCH, INPUTS)}
    assert sum(map(task.samples, chunks)) == BATCH * STEPS
    rows = np.concatenate([c["inputs"].reshape(-1, INPUTS) for c in chunks])
    assert rows.dtype == np.float32
    assert len(np.unique(rows, axis=0)) == BATCH * STEPS
    other = next(task.chunks("train", seed=5, epoch=3))["inputs"]
    assert not np.array_equal(other, chunks[0]["inputs"])


def test_codes_and_errors_of_the_test_set_are_scored() -> None:
    task = tiny_task("plain")
    (chunk,) = task.chunks("test")
    assert chunk["inputs"].shape == (4, 5, INPUTS)
    labels = chunk["labels"]
    rng = np.random.default_rng(0)
    codes = DIRECTIONS[labels] + 0.01 * rng.standard_normal((*labels.shape, CODE))
    errors = np.where(labels > 0, 6.0, 12.0)
    score = task.score([(chunk, {"codes": codes, "squared_error": errors})])
    mse = (0.5 * 15 + 1.0 * 5) / 20  # five labels of each kind
    assert score == pytest.approx({"nmi": 1, "ari": 1, "acc": 1, "mse": mse})


def test_centres_are_found_after_the_plain_epochs_and_predicted_in_test_shape() -> None:
    task, predict = tiny_joint(), Predict()
    assert task.adapt(0, predict) is task
    assert not predict.shapes
    joint = task.adapt(1, predict)
    assert isinstance(joint, JointAutoencoder)
    test = next(task.chunks("test"))
    assert len(predict.shapes) == 1  # nothing is compiled anew
    Predict.__call__(predict, test)
    assert len(predict.shapes) == 1
    assert penalty_of(task) == 0  # the task before is what it was
    assert penalty_of(joint) == 2
    chunk = next(joint.chunks("train", 3))
    assert chunk["centres"].shape == (3, BATCH, CODE)
    # every image's centre is the one of its cluster: near its own code
    np.testing.assert_allclose(chunk["centres"], predict.codes(chunk["inputs"]), atol=0.02)


def test_every_later_epoch_moves_the_centres_to_the_means_and_reassigns() -> None:
    joint = tiny_joint().adapt(1, Predict())
    before = next(joint.chunks("train", 3))
    moved = Predict(turn=0.3)
    after = next(joint.adapt(2, moved).chunks("train", 3))
    np.testing.assert_allclose(after["inputs"], before["inputs"])
    codes = moved.codes(tiny_data()[0]["train"])
    chosen = tiny_data()[0]["train"][:, :CLUSTERS].argmax(axis=-1)
    for step, row in np.ndindex(3, BATCH):
        own = after["inputs"][step, row, :CLUSTERS].argmax()
        expected = codes[chosen == own].mean(axis=0)
        np.testing.assert_allclose(after["centres"][step, row], expected, rtol=1e-5, atol=1e-6)


def test_the_final_assignment_uses_the_moved_centres() -> None:
    joint = tiny_joint().adapt(1, Predict())
    (chunk,) = joint.chunks("test")
    labels = chunk["labels"]
    # a third of every cluster's codes lies beyond the middle between two centres: k-means of these
    # codes would not find the centres of training
    codes = DIRECTIONS[labels].astype(np.float32)
    codes[:, 0] = DIRECTIONS[0]
    outputs: Tree = {"codes": codes, "squared_error": np.zeros(labels.shape)}
    expected = clustering.agreement(
        labels.ravel(), np.where(np.arange(TEST).reshape(4, 5) % 5 == 0, 0, labels).ravel()
    )
    score = dict(joint.score([(chunk, outputs)]))
    assert score.pop("mse") == 0
    assert score == pytest.approx(expected)


def test_verification_has_every_term_of_the_loss() -> None:
    task = tiny_joint()
    chunk = next(task.verification_chunks(3))
    again = next(tiny_joint().verification_chunks(3))
    assert (chunk["penalty"] == 2).all()
    assert chunk["centres"].any()
    assert penalty_of(task) == 0
    for name, array in chunk.items():
        np.testing.assert_array_equal(array, again[name])
    batch = task.excerpt({name: a[0] for name, a in chunk.items()})
    assert batch["inputs"].shape == (8, INPUTS)
    assert batch["penalty"] == 2


def test_spectral_rows_have_the_norm_that_is_asked_for() -> None:
    c = SpectralConfig(train_samples=50)
    rows = autoencoder.graph_rows(np.random.default_rng(0).random((50, 6), dtype=np.float32), c)
    assert rows.dtype == np.float32
    assert np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1).mean()) == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_loads(variant: str) -> None:
    task = tasks.load("autoencoder", "smoke", "generated", variant)
    assert isinstance(task, JointAutoencoder if variant == "joint" else Autoencoder)
    assert task.label == f"autoencoder:{variant}"
    c = PROFILES[variant]["smoke"]
    train, test = (next(task.chunks(split)) for split in ("train", "test"))
    assert train["inputs"].shape == (c.chunk_steps, c.batch, c.inputs)
    assert test["inputs"].reshape(-1, c.inputs).shape == (c.test_samples, c.inputs)
    assert ("centres" in train) == (variant == "joint")


def test_training_images_beyond_a_whole_test_chunk_are_padded_not_lost() -> None:
    assert TRAIN % TEST
    config = replace(tiny_joint().config, kmeans_samples=TRAIN)
    task = JointAutoencoder(config, "joint", "smoke", *tiny_data(), PROVENANCE)
    joint = task.adapt(1, Predict())
    assert isinstance(joint, JointAutoencoder)
    rows = np.concatenate([c["centres"].reshape(-1, CODE) for c in joint.chunks("train")])
    assert len(np.unique(rows, axis=0)) == CLUSTERS
