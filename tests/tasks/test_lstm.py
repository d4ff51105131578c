"""The character language model as a task."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from tasks.datasets import tiny_shakespeare
from tasks.lstm import LSTM, PROFILES, RNN
from tasks.task import Array, Chunk, Tree
from tests.tasks.tiny_lstm import HIDDEN, STEPS, STREAMS, UNROLL, tiny_task


@pytest.fixture(scope="module")
def full() -> LSTM:
    return LSTM(PROFILES["full"], "full", tiny_shakespeare.generated())


def test_it_has_the_parameters_of_the_specification(full: LSTM) -> None:
    state = full.initial(0)
    assert sum(leaf.size for leaf in state.params.values()) == 349_569
    assert state.params["embedding.kernel"].std() == pytest.approx(1, rel=0.05)
    for name in ("lstm.kernel", "lstm.recurrent", "output.kernel"):
        kernel = state.params[name]
        assert np.abs(kernel).max() <= 1 / 16
        assert kernel.std() == pytest.approx(1 / 16 / np.sqrt(3), rel=0.02)
    np.testing.assert_array_equal(
        state.params["lstm.bias"], np.repeat(np.array([0, 1, 0, 0], np.float32), 256)
    )
    assert not state.params["output.bias"].any()
    assert {name: b.shape for name, b in state.buffers.items()} == {
        "carry.hidden": (32, 256),
        "carry.cell": (32, 256),
    }
    assert not any(b.any() for b in state.buffers.values())


def test_the_plain_network_has_a_state_of_one_part_and_a_bias_of_0() -> None:
    task = tasks.load("lstm", "smoke", "generated", "rnn")
    assert isinstance(task, RNN)
    assert (task.label, task.config) == ("lstm:rnn", PROFILES["smoke"])
    state = task.initial(0)
    assert sum(leaf.size for leaf in state.params.values()) == 103_041
    assert np.abs(state.params["rnn.recurrent"]).max() <= 1 / 16
    assert not state.params["rnn.bias"].any()
    assert {name: b.shape for name, b in state.buffers.items()} == {"carry.hidden": (32, 256)}
    assert all("cell" not in chunk for _, chunk in task.evaluation_kinds())


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks_and_its_rate_falls_to_nothing(profile: str) -> None:
    config = PROFILES[profile]
    steps = (config.train_characters - 1) // (config.streams * config.unroll)
    assert steps % config.chunk_steps == 0
    assert config.optimizer.schedule is not None
    assert config.optimizer.schedule.total == config.epochs * steps


def test_an_epoch_is_the_text_in_streams_of_chunks_of_one_shape(full: LSTM) -> None:
    chunks = list(full.chunks("train", seed=5, epoch=2))
    assert len(chunks) == 10
    assert {c[name].shape for c in chunks for name in ("inputs", "targets")} == {(49, 32, 64)}
    assert {c[name].dtype.name for c in chunks for name in ("inputs", "targets")} == {"int32"}
    assert sum(map(full.samples, chunks)) == 490 * 2_048
    assert_streams(chunks, tiny_shakespeare.generated().text)
    resets = np.concatenate([c["reset"] for c in chunks])
    np.testing.assert_array_equal(resets, np.eye(1, 490, dtype=np.float32)[0])
    again = next(full.chunks("train", seed=6, epoch=3))
    np.testing.assert_array_equal(again["inputs"], chunks[0]["inputs"])


def assert_streams(chunks: list[Chunk], text: Array) -> None:
    """Step by step, every stream goes on where it was; the streams follow one another."""
    for name, shift in (("inputs", 0), ("targets", 1)):
        steps = np.concatenate([c[name] for c in chunks])  # (steps, streams, unroll)
        joined = steps.transpose(1, 0, 2).reshape(-1)
        np.testing.assert_array_equal(joined, text[shift : shift + joined.size])


def test_what_does_not_fill_the_streams_is_dropped() -> None:
    task = tiny_task()
    chunks = list(task.chunks("train"))
    assert [c["inputs"].shape for c in chunks] == [(3, STREAMS, UNROLL)] * (STEPS // 3)
    assert_streams(chunks, task._text["train"])
    (chunk,) = task.chunks("test")
    assert chunk["inputs"].shape == (1, STREAMS, 9)
    assert_streams([chunk], task._text["test"])
    assert not chunk["hidden"].any()


def test_validation_begins_after_the_training_text(full: LSTM) -> None:
    (chunk,) = full.chunks("test")
    assert chunk["inputs"].shape == (1, 32, 3_485)
    text = tiny_shakespeare.generated().text[1_003_854:]
    np.testing.assert_array_equal(chunk["inputs"][0].reshape(-1), text[: 32 * 3_485])


def test_score_is_the_mean_in_nats_and_bits() -> None:
    task = tiny_task()
    (chunk,) = task.chunks("test")
    nats = np.random.default_rng(0).random((1, STREAMS, 9))
    found = task.score([(chunk, {"nats": nats})])
    assert found["val_nats"] == pytest.approx(nats.mean())
    assert found["val_bits"] == pytest.approx(nats.mean() / 0.6931472)


def test_texts_follow_the_model_and_carry_its_state() -> None:
    """A model that writes the alphabet from a, if it is given its own state and output back."""
    first = tiny_shakespeare.encode("a")[0]

    def predict(chunk: Chunk) -> Tree:
        place = chunk["cell"][:, :, 0] + 1
        last = np.where(place == 1, tiny_shakespeare.encode("\n"), first + place - 2)
        np.testing.assert_array_equal(chunk["inputs"][:, :, 0], last)
        logits = np.where(np.arange(65) == first + place[..., None] - 1, 1e3, 0.0)
        state = np.repeat(place[..., None], HIDDEN, axis=2)
        return {"logits": logits, "hidden": -state, "cell": state}

    texts = tiny_task().texts(predict)
    assert texts == {"greedy": "abcdefghijkl", "temperature 0.8": "abcdefghijkl"}


def test_texts_are_drawn_from_the_model() -> None:
    """Draws two characters, one twice as likely at temperature 1."""
    shares = np.zeros(65)
    shares[:2] = 2, 1

    def predict(chunk: Chunk) -> Tree:
        logits = np.broadcast_to(np.log(np.maximum(shares, 1e-30)), (1, 2, 65))
        return {"logits": logits, "hidden": chunk["hidden"], "cell": chunk["cell"]}

    task = LSTM(PROFILES["full"], "full", tiny_shakespeare.generated())
    texts = task.texts(predict)
    drawn = texts["temperature 0.8"]
    assert texts["greedy"] == "\n" * 200
    assert set(drawn) == {"\n", " "}
    hot = 2 ** (1 / 0.8)
    expected = hot / (hot + 1)
    assert abs(drawn.count("\n") / 200 - expected) < 4 * np.sqrt(expected * (1 - expected) / 200)
    assert task.texts(predict) == texts
