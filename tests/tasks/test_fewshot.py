"""Few-shot recognition as a task: what a batch is made of, and how embeddings are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tasks
from tasks import fewshot
from tasks.datasets import omniglot
from tasks.optimizers import Cosine
from tasks.task import Array
from tests.tasks.tiny_fewshot import (
    ALPHABETS,
    CHARACTERS,
    CLASSES,
    DRAWINGS,
    PER_CLASS,
    RUNS,
    SIDE,
    VARIANTS,
    tiny_pictures,
    tiny_task,
)

NAMES = ("siamese", "triplet")
BATCH = CLASSES * PER_CLASS


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache_of_its_own(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TETRAGRAD_CACHE", str(cache))


@pytest.mark.parametrize(("variant", "count"), [("siamese", 125_697), ("triplet", 125_568)])
def test_it_has_the_parameters_of_the_specification(variant: str, count: int) -> None:
    task = tasks.load("fewshot", "full", "generated", variant)
    params = task.initial(0).params
    assert sum(leaf.size for leaf in params.values()) == count
    assert params["conv2.kernel"].shape == (3, 3, 32, 64)
    assert params["conv3.kernel"].std() == pytest.approx(np.sqrt(2 / 576), rel=0.05)
    assert params["dense.kernel"].shape == (256, 128)
    assert params["dense.kernel"].std() == pytest.approx(1 / 16, rel=0.05)
    assert not any(leaf.any() for name, leaf in params.items() if name in ("conv1.bias",))
    if variant == "siamese":
        assert (params["similarity.kernel"] == -2).all()
        assert params["similarity.kernel"].shape == (128, 1)
        assert params["similarity.bias"].tolist() == [12]


def test_the_constants_of_the_specification() -> None:
    full = fewshot.config("full", "siamese")
    assert full.epochs * full.epoch_steps == 6_000
    assert full.optimizer.schedule == Cosine(6_000)
    assert fewshot.config("quick", "triplet").optimizer.schedule == Cosine(2_000)
    assert fewshot.config("full", "triplet").one_alphabet == 0.5
    for profile in tasks.PROFILES:
        c = fewshot.config(profile, "siamese")
        assert c.epoch_steps % c.chunk_steps == 0


def origins(images: Array) -> tuple[Array, Array]:
    """Class and drawing of tiny pictures (..., side, side), by the mark and where its corner is.

    A class is a character in a rotation: 4 character + rotation.
    """
    # where a quarter turn after another takes the upper left corner
    corners = np.stack([images[..., i, j] for i, j in ((0, 0), (-1, 0), (-1, -1), (0, -1))], -1)
    number = np.rint(corners.max(axis=-1) * CHARACTERS * DRAWINGS * VARIANTS).astype(int) - 1
    character, rest = np.divmod(number, DRAWINGS * VARIANTS)
    return 4 * character + corners.argmax(axis=-1), rest // VARIANTS


def epochs(variant: str, one_alphabet: float = 1.0, count: int = 20) -> tuple[Array, Array]:
    """``origins`` (steps, classes, per class) of some epochs."""
    task = tiny_task(variant, one_alphabet)
    images = [c["images"] for e in range(count) for c in task.chunks("train", 1, e)]
    return origins(np.concatenate(images).reshape(-1, CLASSES, PER_CLASS, SIDE, SIDE))


@pytest.mark.parametrize("one_alphabet", [0.0, 1.0])
def test_a_batch_holds_different_drawings_of_different_classes(one_alphabet: float) -> None:
    classes, drawings = epochs("triplet", one_alphabet)
    assert (classes == classes[..., :1]).all()
    assert all(len(set(step)) == CLASSES for step in classes[..., 0].tolist())
    assert (np.sort(drawings, axis=-1)[..., 1:] > np.sort(drawings, axis=-1)[..., :-1]).all()
    assert set(classes.ravel()) == set(range(4 * CHARACTERS))  # all are drawn in time
    assert set(drawings.ravel()) == set(range(DRAWINGS))


def alone(classes: Array) -> Array:
    """Tells which classes (steps, classes) are of one alphabet and rotation, (steps,)."""
    alphabet = np.repeat(np.arange(len(ALPHABETS)), ALPHABETS)[classes // 4]
    kind = 4 * alphabet + classes % 4
    return np.asarray((kind == kind[:, :1]).all(axis=1))


def test_as_many_batches_as_asked_for_are_of_one_alphabet_and_rotation() -> None:
    assert alone(epochs("siamese", 1.0)[0][..., 0]).all()
    assert alone(epochs("triplet", 0.0)[0][..., 0]).mean() < 0.15  # by chance
    assert 0.3 < alone(epochs("triplet", 0.5)[0][..., 0]).mean() < 0.75


def test_pairs_are_all_of_the_same_class_and_random_ones_of_different_classes() -> None:
    (chunk, *_) = tiny_task("siamese").chunks("train", 3)
    same = CLASSES * PER_CLASS * (PER_CLASS - 1) // 2
    assert chunk["pairs"].shape == (2, same + 7, 2)
    assert chunk["pairs"].dtype == np.int32
    for pairs in chunk["pairs"] // PER_CLASS:
        equal = pairs[:, 0] == pairs[:, 1]
        assert equal[:same].all()
        assert not equal[same:].any()
    for pairs in chunk["pairs"].tolist():
        assert len({tuple(sorted(pair)) for pair in pairs}) == same + 7
    assert not np.array_equal(*chunk["pairs"])


@pytest.mark.parametrize("variant", NAMES)
def test_batches_depend_on_seed_and_epoch(variant: str) -> None:
    def epoch(seed: int, number: int) -> bytes:
        chunks = tiny_task(variant).chunks("train", seed, number)
        return b"".join(a.tobytes() for chunk in chunks for a in chunk.values())

    assert epoch(1, 1) == epoch(1, 1)
    assert len({epoch(1, 1), epoch(1, 2), epoch(2, 1)}) == 3


def test_rotating_a_chunk_leaves_the_kept_pictures_alone() -> None:
    task = tiny_task("triplet", 0.0)
    before = task._pictures["train"].copy()
    list(task.chunks("train", 0))
    np.testing.assert_array_equal(task._pictures["train"], before)


@pytest.mark.parametrize("variant", NAMES)
def test_verification_is_the_same_in_every_profile(variant: str) -> None:
    smoke, full = (tasks.load("fewshot", p, "generated", variant) for p in ("smoke", "full"))
    one, other = (next(task.verification_chunks(3)) for task in (smoke, full))
    assert one["images"].shape == (50, 16, 28, 28)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
    assert sum(len(c["images"]) for c in smoke.verification_chunks(3)) == 100
    if variant == "siamese":
        assert one["pairs"].shape == (50, 24 + 96, 2)
        assert one["pairs"].max() == 15


@pytest.mark.parametrize("variant", NAMES)
def test_an_excerpt_is_a_small_batch_without_blank_paper(variant: str) -> None:
    task = tiny_task(variant)
    batch = {name: a[0] for name, a in next(task.chunks("train", 0)).items()}
    batch["images"] = np.zeros_like(batch["images"])
    few = task.excerpt(batch)
    assert few["images"].shape == (2 * PER_CLASS, SIDE, SIDE)
    assert (few["images"] > 0).all()
    if variant == "siamese":
        equal = np.equal(*(few["pairs"] // PER_CLASS).T)
        assert equal.tolist() == [True] * 2 + [False] * PER_CLASS


def test_the_test_chunk_is_padded_with_weight_0() -> None:
    task = tiny_task("triplet")
    (chunk,) = task.chunks("test")
    steps = -(-(6 * DRAWINGS + 8 * RUNS) // BATCH)
    assert chunk["images"].shape == (steps, BATCH, SIDE, SIDE)
    assert chunk["weights"].sum() == 6 * DRAWINGS + 8 * RUNS
    assert task.samples(chunk) == steps * BATCH


def perfect(variant: str) -> dict[str, float]:
    """The score of embeddings that are the same for every drawing of a character."""
    task, pictures = tiny_task(variant), tiny_pictures()
    (chunk,) = task.chunks("test")
    characters = [
        *(100 * r + np.arange(4) for r in range(RUNS)),
        *(100 * r + pictures["answers"][r] for r in range(RUNS)),
        np.repeat(1000 + np.arange(6), DRAWINGS),
    ]
    of_character = np.random.default_rng(0).standard_normal((2000, 5))
    embeddings = np.zeros((*chunk["weights"].shape, 5))
    embeddings[chunk["weights"] > 0] = of_character[np.concatenate(characters)]
    outputs = {"embeddings": embeddings, "kernel": np.full_like(embeddings, -1.0)}
    return dict(task.score([(chunk, outputs)]))


@pytest.mark.parametrize("variant", NAMES)
def test_perfect_embeddings_have_a_perfect_score(variant: str) -> None:
    assert perfect(variant) == {
        "run_error": 0,
        "acc_2way_1shot": 1,
        "acc_2way_1shot_ci95": 0,
        "acc_3way_2shot": 1,
        "acc_3way_2shot_ci95": 0,
    }


def test_the_score_of_pixels_alone() -> None:
    """By which many of the stand-in's characters can be told."""
    task = tasks.load("fewshot", "smoke", "generated", "triplet")
    (chunk,) = task.chunks("test")
    pixels = chunk["images"].reshape(*chunk["weights"].shape, -1)
    score = task.score([(chunk, {"embeddings": pixels})])
    assert {"acc_5way_1shot", "acc_5way_5shot", "acc_20way_1shot"} < score.keys()
    assert 0.05 < score["run_error"] < 0.5
    assert score["acc_20way_1shot"] < score["acc_5way_1shot"] < score["acc_5way_5shot"]


def test_both_variants_share_what_is_kept_and_say_which_data_it_is() -> None:
    one, other = (tasks.load("fewshot", "smoke", "generated", v) for v in NAMES)
    assert one.provenance == other.provenance
    assert one.provenance.dataset == omniglot.SOURCE.name
    assert one.provenance.source == "generated"
