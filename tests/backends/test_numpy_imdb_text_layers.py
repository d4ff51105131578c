"""NumPy's layers on words, batch normalisation and the models, by central differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit, log_expit

from backends.numpy import imdb_text, layers, text
from backends.numpy.central_differences import of_loss, relative_error
from suite.session.equivalence import compare
from suite.worker.trace import trace
from tasks.imdb_text import VARIANTS
from tasks.task import Array, Envelope
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.tasks.tiny_imdb_text import tiny_task


def bags(rng: np.random.Generator, n: int, vocabulary: int) -> tuple[Array, Array]:
    """Words, with two of padding behind, and offsets; some bags are empty or hold a word twice."""
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 4, n))]).astype(np.int32)
    return rng.integers(0, vocabulary, offsets[-1] + 2, dtype=np.int32), offsets


@given(seeds, sizes, sizes, sizes)
def test_bag_dense(seed: int, n: int, vocabulary: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    words, offsets = bags(rng, n, vocabulary)
    params = {"w": rng.standard_normal((vocabulary, outputs)), "b": rng.standard_normal(outputs)}
    check = layer(
        lambda w, b: text.bag_dense(words, offsets, w, b), text.bag_dense_backward, "w", "b"
    )
    assert relative_error(check, params, {}, seed) < TOLERANCE
    dense = np.zeros((n, vocabulary))
    for row, start, end in zip(dense, offsets[:-1], offsets[1:], strict=True):
        np.add.at(row, words[start:end], 1)
    y, _ = text.bag_dense(words, offsets, params["w"], params["b"])
    np.testing.assert_allclose(y, dense @ params["w"] + params["b"], atol=1e-12)


@given(seeds, sizes, sizes, sizes)
def test_bag_dense_of_words_with_values(seed: int, n: int, vocabulary: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    words, offsets = bags(rng, n, vocabulary)
    values = rng.standard_normal(len(words))
    params = {"w": rng.standard_normal((vocabulary, outputs)), "b": rng.standard_normal(outputs)}
    check = layer(
        lambda w, b: text.bag_dense(words, offsets, w, b, values), text.bag_dense_backward, "w", "b"
    )
    assert relative_error(check, params, {}, seed) < TOLERANCE
    dense = np.zeros((n, vocabulary))
    for row, start, end in zip(dense, offsets[:-1], offsets[1:], strict=True):
        np.add.at(row, words[start:end], values[start:end])
    y, _ = text.bag_dense(words, offsets, params["w"], params["b"], values)
    np.testing.assert_allclose(y, dense @ params["w"] + params["b"], atol=1e-12)


@given(seeds, sizes, sizes, sizes, sizes)
def test_embedding_max(seed: int, n: int, length: int, vocabulary: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, vocabulary, (n, length), dtype=np.int32)
    params = {"w": rng.standard_normal((vocabulary, channels))}
    check = layer(lambda w: text.embedding_max(words, w), text.embedding_max_backward, "w")
    assert relative_error(check, params, {}, seed) < TOLERANCE
    y, _ = text.embedding_max(words, params["w"])
    np.testing.assert_array_equal(y, params["w"][words].max(axis=1))


def test_of_words_with_equal_embeddings_one_alone_gets_the_gradient() -> None:
    _, saved = text.embedding_max(np.array([[0, 1, 1, 2]]), np.zeros((4, 2)))
    dw = text.embedding_max_backward(np.array([[1.0, 2.0]]), saved)
    assert (dw.sum(axis=0) == [1, 2]).all()
    assert (np.count_nonzero(dw, axis=0) == 1).all()


@given(seeds, st.integers(2, 7), sizes)
def test_batch_norm(seed: int, n: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    params = {
        "x": rng.standard_normal((n, channels)),
        "scale": rng.standard_normal(channels),
        "offset": rng.standard_normal(channels),
    }
    check = layer(
        lambda x, scale, offset: layers.batch_norm(x, scale, offset, 1e-3)[:2],
        layers.batch_norm_backward,
        *params,
    )
    assert relative_error(check, params, {}, seed) < TOLERANCE
    y, _, (mean, variance) = layers.batch_norm(params["x"], np.ones(1), np.zeros(1), 0.0)
    np.testing.assert_allclose(mean, params["x"].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(variance, params["x"].var(axis=0), atol=1e-12)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(y.std(axis=0), 1, atol=1e-9)


@given(seeds, sizes)
def test_sigmoid_cross_entropy(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    z, labels = 3 * rng.standard_normal(n), rng.integers(0, 2, n).astype(np.float64)
    check = layer(
        lambda z: layers.sigmoid_cross_entropy(z, labels),
        layers.sigmoid_cross_entropy_backward,
        "z",
    )
    assert relative_error(check, {"z": z}, {}, seed) < TOLERANCE
    loss, saved = layers.sigmoid_cross_entropy(z, labels)
    assert loss == pytest.approx(-np.where(labels == 1, log_expit(z), log_expit(-z)).mean())
    np.testing.assert_allclose(
        layers.sigmoid_cross_entropy_backward(1.0, saved), (expit(z) - labels) / n, atol=1e-15
    )


def test_sigmoid_cross_entropy_does_not_overflow() -> None:
    loss, saved = layers.sigmoid_cross_entropy(np.array([900.0, -900.0]), np.array([0.0, 1.0]))
    assert loss == 900
    np.testing.assert_array_equal(
        layers.sigmoid_cross_entropy_backward(1.0, saved), np.array([0.5, -0.5])
    )


@given(seeds, sizes, sizes, sizes, sizes)
def test_pair_logits(seed: int, n: int, m: int, rows: int, channels: int) -> None:
    """Words and contexts come several times, in a row and in a batch."""
    rng = np.random.default_rng(seed)
    words, contexts = (rng.integers(0, rows, shape, dtype=np.int32) for shape in (n, (n, m)))
    params = {name: rng.standard_normal((rows, channels)) for name in ("v", "u")}
    check = layer(
        lambda v, u: text.pair_logits(words, contexts, v, u), text.pair_logits_backward, "v", "u"
    )
    assert relative_error(check, params, {}, seed) < TOLERANCE
    z, _ = text.pair_logits(words, contexts, **params)
    for i, j in np.ndindex(n, m):
        assert z[i, j] == pytest.approx(params["v"][words[i]] @ params["u"][contexts[i, j]])


@given(seeds, sizes, sizes, st.sampled_from([1.0, 900.0]))
def test_negative_sampling(seed: int, n: int, m: int, scale: float) -> None:
    z = scale * np.random.default_rng(seed).standard_normal((n, m))
    loss, saved = text.negative_sampling(z)
    expected = -log_expit(z[:, 0]) - log_expit(-z[:, 1:]).sum(axis=1)
    assert loss == pytest.approx(expected.mean())
    dz = text.negative_sampling_backward(3.0, saved)
    labels = np.arange(m) == 0
    np.testing.assert_allclose(dz, 3 * (expit(z) - labels) / n, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_models(variant: str, seed: int) -> None:
    task = tiny_task(variant)
    state = task.initial(seed).astype("float64")
    rng = np.random.default_rng(seed)
    # at their initial values the biases are 0 and the scales 1: every leaf must matter
    params = {name: a + 0.1 * rng.standard_normal(a.shape) for name, a in state.params.items()}
    program = imdb_text.build(task, state, None)
    batch = program.place(next(task.chunks("train", seed)))[0]
    check = of_loss(program.loss, state.buffers)
    assert relative_error(check, params, batch, seed) < TOLERANCE


def test_one_wrong_index_on_the_way_back_from_the_maximum_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By leaf, and by the first step after it."""
    task = tiny_task("embedding")

    def found() -> dict[str, Array]:
        program = imdb_text.build(task, task.initial(0).astype("float64"), None)
        return trace(task, program, seed=0, ends=(3,))

    right = found()

    def one_row_further(dy: Array, saved: layers.Saved) -> Array:
        dw = text.embedding_max_backward(dy, saved)
        return np.concatenate([dw[-1:], dw[:-1]])

    monkeypatch.setattr(imdb_text, "embedding_max_backward", one_row_further)
    found_wrong = {
        deviation.quantity: deviation.where
        for deviation in compare(found(), right, Envelope(3, 1e-12, 1e-12, 1e-12))
        if not deviation.passed
    }
    assert found_wrong.pop("prediction").startswith("scoring/")
    assert found_wrong == {
        "gradient": "embedding.kernel",
        "loss": "step 2",
        "state": "v/embedding.kernel",
    }
