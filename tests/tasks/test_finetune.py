"""``fewshot:finetune`` as a task: episodes, where the heads begin, and how they are judged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tasks
from tasks.episodes import Episodes, interval95
from tasks.finetune import PROFILES, Finetune, features
from tests.tasks.tiny_fewshot import DRAWINGS, tiny_base, tiny_pictures, tiny_task


@pytest.fixture(scope="module")
def task() -> Finetune:
    found = tiny_task("finetune")
    assert isinstance(found, Finetune)
    return found


def test_the_known_pictures_come_first_and_are_asked_about_in_no_episode(task: Finetune) -> None:
    c, chunk = task.config, next(task.chunks("train", 0))
    places = chunk["places"]
    assert (places == places[:1]).all()  # every step is of all episodes
    for episode in places[0]:
        assert len(set(episode)) == c.ways * (c.shots + c.queries)
        known, asked = np.split(episode // DRAWINGS, [c.ways * c.shots])  # characters
        classes = known[:: c.shots]
        assert len(set(classes)) == c.ways
        np.testing.assert_array_equal(known, np.repeat(classes, c.shots))
        np.testing.assert_array_equal(asked, np.repeat(classes, c.queries))


def test_the_episodes_are_those_that_siamese_is_judged_by() -> None:
    c = PROFILES["full"]
    assert (c.ways, c.shots) in c.ways_shots
    assert c.play == Episodes(c.ways, c.shots, c.queries, 600, c.episode_seed)


def test_the_heads_begin_with_the_means_whatever_the_seed(task: Finetune) -> None:
    one, other = task.initial(0).params, task.initial(1).params
    chunk = next(task.chunks("train", 0))
    embeddings, places = chunk["embeddings"][0], chunk["places"][0]
    for episode, label in itertools.product(range(len(places)), range(task.config.ways)):
        shots = task.config.shots
        known = embeddings[places[episode, label * shots : (label + 1) * shots]]
        kernel = one["head.kernels"][episode, :, label]
        np.testing.assert_allclose(kernel, known.mean(axis=0), rtol=1e-6, atol=1e-7)
    assert not one["head.biases"].any()
    for name, leaf in one.items():
        np.testing.assert_array_equal(leaf, other[name])
        assert (name in task.frozen) == (not name.startswith("head."))


def test_the_score_is_of_the_right_pictures_in_the_right_episode(task: Finetune) -> None:
    """Logits that know the truth, but for one picture in one episode."""
    c, (chunk,) = task.config, task.chunks("test")
    real = chunk["weights"] > 0
    assert real.sum() == tiny_pictures()["new"][..., 0, 0].size
    places = next(task.chunks("train"))["places"][0][:, c.ways * c.shots :]
    logits = np.zeros((*real.shape, c.episodes, c.ways))
    flat = np.zeros((real.sum(), c.episodes, c.ways))
    for episode, asked in enumerate(places):
        flat[asked, episode, np.repeat(np.arange(c.ways), c.queries)] = 50.0
    flat[places[1, 0], 1] = 0, 50.0, 0
    logits[real] = flat
    embeddings = np.zeros((*real.shape, c.embedding))
    scores = task.score([(chunk, {"logits": logits, "embeddings": embeddings})])
    accuracies = np.array([1, 1 - 1 / (c.ways * c.queries), 1, 1])
    assert scores["acc_after"] == pytest.approx(accuracies.mean())
    assert scores["acc_after_ci95"] == pytest.approx(interval95(accuracies))
    assert scores["query_loss"] == pytest.approx(50 / (4 * c.ways * c.queries))
    assert scores["acc_before"] == pytest.approx(1 / c.ways)  # all are alike: the first is chosen


def test_before_is_the_answer_of_the_initial_heads(task: Finetune) -> None:
    c, (chunk,) = task.config, task.chunks("test")
    found = tiny_base().features["embeddings"].reshape(-1, c.embedding)
    embeddings = np.zeros((*chunk["weights"].shape, c.embedding))
    embeddings[chunk["weights"] > 0] = found
    kernels = task.initial(0).params["head.kernels"]
    logits = np.einsum("sbc,ecw->sbew", embeddings, kernels)
    scores = task.score([(chunk, {"logits": logits, "embeddings": embeddings})])
    assert scores["acc_before"] == scores["acc_after"]
    assert scores["acc_before_ci95"] == scores["acc_after_ci95"]


def test_features_are_the_embeddings_of_the_new_pictures_alone() -> None:
    base = tiny_task("siamese")
    (chunk,) = base.chunks("test")
    marks = chunk["images"][..., 1, 1, None]  # (steps, batch, 1), of noise
    found = features(base, lambda chunk: {"embeddings": marks})["embeddings"]
    np.testing.assert_array_equal(found[..., 0], tiny_pictures()["new"][..., 1, 1])


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str) -> None:
    assert PROFILES[profile].epoch_steps % PROFILES[profile].chunk_steps == 0
