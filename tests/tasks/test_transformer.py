"""Translation as a task: sizes, buckets, scores, what is shown."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import tasks
from tasks.datasets import multi30k
from tasks.datasets.multi30k import BOS, EOS, PAD, UNKNOWN
from tasks.task import Array, Chunk, Predict, Tree
from tasks.transformer import PROFILES, Transformer, config
from tests.tasks.tiny_transformer import BATCH, ENGLISH, STEPS, tiny_task


@pytest.fixture(scope="module")
def full() -> Transformer:
    return Transformer(PROFILES["full"], "full", None, multi30k.generated())


def test_it_has_the_parameters_of_the_specification(full: Transformer) -> None:
    params = full.initial(0).params
    assert sum(math.prod(leaf.shape) for leaf in params.values()) == 2_695_946
    assert params["encoder.embedding.kernel"].std() == pytest.approx(128**-0.5, rel=0.01)
    hidden = params["decoder.1.feedforward.hidden.kernel"]
    assert np.abs(hidden).max() == pytest.approx(math.sqrt(6 / (128 + 512)), rel=0.01)
    for name, leaf in params.items():
        kind = name.rpartition(".")[2]
        if kind != "kernel":
            assert (leaf == (kind == "scale")).all(), name


@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_every_profile_is_made_of_whole_chunks(profile: str) -> None:
    constants = PROFILES[profile]
    assert constants.epoch_steps % constants.chunk_steps == 0
    schedule = constants.optimizer.schedule
    assert schedule is not None
    assert schedule.total == constants.epochs * constants.epoch_steps
    assert config(profile, "dropout") == replace(constants, dropout=0.1)


def test_an_epoch_has_its_steps_in_few_shapes_and_no_pair_twice(full: Transformer) -> None:
    chunks = list(full.chunks("train", seed=1, epoch=2))
    lengths = [chunk["source"].shape[2] for chunk in chunks]
    assert len(chunks) == 450
    assert set(lengths) == set(full.config.buckets)
    assert lengths != sorted(lengths)
    assert all(c[name].shape[:2] == (1, 64) for c in chunks for name in c)
    assert [c["source"].shape for c in full.shapes(1)] == [
        (1, 64, length)
        for length in dict.fromkeys(c["source"].shape[2] for c in full.chunks("train", 1))
    ]
    pairs = {
        (source.tobytes(), target.tobytes())
        for c in chunks
        for source, target in zip(*(padded(c[name]) for name in ("source", "targets")), strict=True)
    }
    assert len(pairs) > 0.99 * 28_800  # the stand-in may say the same twice


def padded(sentences: Array) -> Array:
    flat = sentences.reshape(-1, sentences.shape[-1])
    return np.pad(flat, ((0, 0), (0, 40 - flat.shape[1])))


def test_inputs_are_targets_one_word_later_and_sentences_end_once(full: Transformer) -> None:
    for chunk in full.chunks("train", seed=1):
        source, inputs, targets = (
            chunk[name].reshape(-1, chunk[name].shape[2])
            for name in ("source", "inputs", "targets")
        )
        assert (inputs[:, 0] == BOS).all()
        real = targets[:, :-1] > EOS
        np.testing.assert_array_equal(inputs[:, 1:][real], targets[:, :-1][real])
        np.testing.assert_array_equal(inputs != PAD, targets != PAD)
        for sentences in (source, targets):
            ends = (sentences != PAD).sum(axis=1) - 1
            assert (sentences[np.arange(len(ends)), ends] == EOS).all()
            assert ((sentences == EOS).sum(axis=1) == 1).all()
        assert full.samples(chunk) == (targets != PAD).sum()


def test_most_pairs_are_in_the_smallest_bucket_that_holds_them(full: Transformer) -> None:
    wasted = []
    for chunk in full.chunks("train", seed=1):
        longer = np.maximum(*((chunk[name] != PAD).sum(axis=2) for name in ("source", "targets")))
        smaller = [b for b in full.config.buckets if b < chunk["source"].shape[2]]
        wasted.append((longer <= max(smaller, default=0)).sum())
    assert 0 < sum(wasted) < 0.1 * 28_800  # those that did not fill a chunk of their own


def test_epochs_are_permuted_by_seed_and_epoch() -> None:
    task = tiny_task()

    def first(seed: int, epoch: int) -> Tree:
        return next(task.chunks("train", seed, epoch))

    np.testing.assert_array_equal(first(1, 2)["source"], first(1, 2)["source"])
    for other in (first(2, 2), first(1, 3)):
        assert not np.array_equal(other["targets"], first(1, 2)["targets"])


def test_sentences_that_are_too_long_are_cut() -> None:
    task = tiny_task()
    task.config = replace(task.config, buckets=(4,))
    for chunk in [*task.chunks("train"), *task.chunks("test")]:
        assert chunk["source"].shape[2] == 4
        assert (chunk["source"] == EOS).any(axis=2).all()


def answers(task: Transformer, nats: float) -> list[tuple[Chunk, Tree]]:
    """A model that gives every word ``nats`` and translates every test sentence correctly."""
    english = task._data.english["test"]
    by_source = {
        tuple(row[row != PAD]): english[number]
        for number, row in enumerate(task._data.german["test"])
    }
    results: list[tuple[Chunk, Tree]] = []
    for chunk in task.chunks("test"):
        if "targets" in chunk:
            results.append((chunk, {"nats": np.where(chunk["targets"] != PAD, nats, 0)}))
            continue
        tokens = np.zeros((*chunk["source"].shape[:2], english.shape[1] + 1), np.int32)
        for row, source in zip(tokens[0], chunk["source"][0], strict=True):
            found = by_source.get(tuple(source[(source != PAD) & (source != EOS)]))
            words = [] if found is None else found[found != PAD]
            row[: len(words)] = words
            row[len(words)] = EOS
        results.append((chunk, {"tokens": tokens}))
    return results


def test_scores_are_nats_of_real_words_and_bleu_of_sentences_in_their_places() -> None:
    task = tiny_task()
    scores = task.score(answers(task, 1.5))
    assert scores["val_nats"] == pytest.approx(1.5)
    assert scores["bleu"] == pytest.approx(100)
    (last, outputs) = answers(task, 1.5)[-1]
    swapped = {"tokens": outputs["tokens"][:, ::-1]}
    assert task.score([*answers(task, 1.5)[:-1], (last, swapped)])["bleu"] < 90


def test_with_a_beam_sentences_are_searched_for_and_not_decoded_greedily() -> None:
    task = tiny_task()
    assert list(task.search(lambda chunk: {})) == []
    task.config = replace(task.config, beam=2)
    assert all("targets" in chunk for chunk in task.chunks("test"))
    found = list(task.search(stub(task)))
    assert [chunk["source"].shape for chunk, _ in found] == [
        chunk["source"].shape for chunk in task.decoding_chunks()
    ]
    assert all((outputs["tokens"][:, :, 0] == EOS).all() for _, outputs in found)


def stub(task: Transformer) -> Predict:
    """A model that ends every sentence at once, and attends to the first word alone."""
    constants = task.config

    def predict(chunk: Chunk) -> Tree:
        _, n, length = chunk["source"].shape
        if "last" in chunk:
            logits = np.where(np.arange(ENGLISH) == EOS, 5.0, 0.0)
            logits = np.broadcast_to(logits, (1, n, ENGLISH))
            return {"logits": logits, "keys": chunk["keys"], "values": chunk["values"]}
        if "inputs" in chunk:
            words = chunk["inputs"].shape[2]
            outputs = {"memory": np.zeros((1, n, length, constants.width))}
            for kind, shape in (
                ("encoder", (length, length)),
                ("decoder", (words, words)),
                ("cross", (words, length)),
            ):
                weights = np.zeros((1, n, constants.layers, constants.heads, *shape))
                weights[..., 0] = 1
                outputs[f"attention.{kind}"] = weights
            return outputs
        tokens = np.zeros((1, n, length + 1), np.int32)
        tokens[:, :, 0], tokens[:, :, 1] = UNKNOWN + 1, EOS
        return {"tokens": tokens}

    return predict


def test_translations_and_attention_are_shown_in_words() -> None:
    task = tiny_task()
    texts = task.texts(stub(task))
    assert set(texts.values()) == {"e4"}
    assert all(set(source.split()) <= set(task._data.vocabularies[0]) for source in texts)
    heatmaps = task.heatmaps(stub(task))
    assert len(heatmaps) == 3 * task.config.layers * task.config.heads
    drawn = heatmaps["cross, layer 2, head 1"]
    assert drawn.rows == ("<bos>", "e4")
    assert drawn.columns[-1] == "<eos>"
    assert drawn.values.shape == (2, len(drawn.columns))


def test_a_sentence_can_be_asked_for() -> None:
    task = tiny_task()
    task.config = replace(task.config, sentence="G5 nowhere g7")
    assert next(iter(task.texts(stub(task)))) == "g5 <unk> g7"
    assert task.heatmaps(stub(task))["encoder, layer 1, head 1"].rows == (
        "g5",
        "<unk>",
        "g7",
        "<eos>",
    )


def test_verification_takes_few_shapes_and_enough_steps() -> None:
    full = tasks.load("transformer", "full", "generated")
    chunks = list(full.verification_chunks(full.verification_seed))
    assert len({chunk["source"].shape for chunk in chunks}) == 2
    steps = max(envelope.steps for envelope in full.envelopes.values())
    assert sum(len(chunk["source"]) for chunk in chunks) >= steps


def test_the_tiny_task_has_two_shapes() -> None:
    assert {c["source"].shape for c in tiny_task().chunks("train", 3)} == {
        (2, BATCH, 6),
        (2, BATCH, 8),
    }
    assert len(list(tiny_task().chunks("train", 3))) == STEPS // 2
