"""NumPy's layers of the transformer and the model by central differences, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import log_softmax, softmax

from backends.numpy import arrays, attention, layers, optimizers, transformer as model, vocabulary
from backends.numpy.central_differences import Differentiable, of_loss, relative_error
from backends.numpy.engine import Backward, Key
from tasks.optimizers import Adam
from tasks.task import Array, Tree
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.tasks.tiny_transformer import tiny_task

short = st.integers(1, 5)
EPSILON = 1e-5


@given(seeds, sizes, st.integers(2, 9))
def test_layer_norm(seed: int, n: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    params = {
        "x": rng.standard_normal((n, channels)),
        "scale": rng.standard_normal(channels),
        "offset": rng.standard_normal(channels),
    }
    check = layer(
        lambda x, scale, offset: layers.layer_norm(x, scale, offset, 0.1),
        layers.layer_norm_backward,
        *params,
    )
    assert relative_error(check, params, {}, seed) < TOLERANCE
    x, scale, offset = params.values()
    y, _ = layers.layer_norm(x, scale, offset, EPSILON)
    spread = np.sqrt(x.var(axis=1, keepdims=True) + EPSILON)
    expected = scale * (x - x.mean(axis=1, keepdims=True)) / spread + offset
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)


def random_attention(
    seed: int, n: int, heads: int, queries: int, keys: int, d: int
) -> tuple[np.random.Generator, dict[str, Array]]:
    rng = np.random.default_rng(seed)
    shapes = {"q": queries, "k": keys, "v": keys}
    return rng, {p: rng.standard_normal((n, heads, size, d)) for p, size in shapes.items()}


def attention_in(mask: Array | None, params: Tree) -> Differentiable:
    def backward(dy: Array, saved: layers.Saved) -> tuple[Array, ...]:
        out = [np.full_like(a, np.nan) for a in params.values()]
        attention.attention_backward(dy, saved, out)
        return tuple(out)

    return layer(lambda q, k, v: attention.attention(q, k, v, mask), backward, *params)


@given(seeds, short, st.integers(1, 3), short, short, short)
def test_attention_to_what_is_not_padding(
    seed: int, n: int, heads: int, queries: int, keys: int, d: int
) -> None:
    rng, params = random_attention(seed, n, heads, queries, keys, d)
    real = np.arange(keys) < rng.integers(1, keys + 1, (n, 1))
    mask = attention.padding_mask(real, np.float64)
    assert relative_error(attention_in(mask, params), params, {}, seed) < TOLERANCE
    y, (weights, *_) = attention.attention(**params, mask=mask)
    for sentence, of_sentence in enumerate(real):
        q, k, v = (params[name][sentence] for name in ("q", "k", "v"))
        k, v = k[:, of_sentence], v[:, of_sentence]  # as if the padding were not there
        p = softmax(np.einsum("htd,hsd->hts", q, k) / np.sqrt(d), axis=2)
        expected = np.einsum("hts,hsd->thd", p, v).reshape(queries, heads * d)
        np.testing.assert_allclose(y[sentence], expected, rtol=1e-10, atol=1e-12)
        assert not weights[sentence][:, :, ~of_sentence].any()


@given(seeds, short, st.integers(1, 3), short, short)
def test_causal_attention(seed: int, n: int, heads: int, length: int, d: int) -> None:
    _, params = random_attention(seed, n, heads, length, length, d)
    mask = attention.causal_mask(length, np.float64)
    assert relative_error(attention_in(mask, params), params, {}, seed) < TOLERANCE
    y, (weights, *_) = attention.attention(**params, mask=mask)
    assert not np.triu(weights, 1).any()
    for t in range(length):
        k, v = (params[name][:, :, : t + 1] for name in ("k", "v"))
        last, _ = attention.attention(params["q"][:, :, t : t + 1], k, v, None)
        np.testing.assert_allclose(y[:, t], last[:, 0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1e3, 1e150])
def test_attention_does_not_overflow(size: float) -> None:
    q, k = np.array([[[[size]]]]), np.array([[[[1.0], [-1.0]]]])
    y, _ = attention.attention(q, k, np.array([[[[3.0], [5.0]]]]), None)
    assert y == 3


@given(seeds, sizes, st.integers(1, 8))
def test_positions(seed: int, length: int, half: int) -> None:
    table = attention.positions(length, 2 * half, np.dtype(np.float64))
    assert not table.flags.writeable
    for p, i in np.ndindex(length, half):
        angle = p / 10_000 ** (2 * i / (2 * half))
        np.testing.assert_allclose(table[p, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)])


@given(seeds, short, short, short)
def test_a_layout_keeps_the_real_words_in_order(
    seed: int, n: int, length: int, channels: int
) -> None:
    rng = np.random.default_rng(seed)
    real = rng.random((n, length)) < 0.6
    layout, x = attention.Layout(real), rng.standard_normal((n, length, channels))
    rows = layout.gather(x)
    np.testing.assert_array_equal(rows, x[real])
    np.testing.assert_array_equal(layout.spread(rows), x * real[..., None])
    np.testing.assert_array_equal(layout.places, np.nonzero(real)[1])


@given(seeds, sizes, st.integers(2, 7), sizes)
def test_embedding(seed: int, n: int, words: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    ids, params = rng.integers(0, words, n), {"w": rng.standard_normal((words, width))}
    before = rng.standard_normal((words, width))

    def backward(dy: Array, saved: layers.Saved) -> Array:
        dw = before.copy()
        vocabulary.embedding_backward(dy, saved, dw)
        return dw - before

    check = layer(lambda w: vocabulary.embedding(ids, w), backward, "w")
    assert relative_error(check, params, {}, seed) < TOLERANCE
    y, _ = vocabulary.embedding(ids, params["w"])
    np.testing.assert_allclose(y, np.sqrt(width) * params["w"][ids])


def random_output(
    seed: int, n: int, words: int, width: int
) -> tuple[np.random.Generator, dict[str, Array], Array]:
    rng = np.random.default_rng(seed)
    shapes = {"y": (n, width), "w": (words, width), "b": (words,)}
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    return rng, params, rng.integers(0, words, n)


@given(seeds, st.integers(1, 2 * arrays.ROWS + 1), sizes, short, st.floats(0, 0.9))
def test_smoothed_cross_entropy(
    seed: int, n: int, words: int, width: int, smoothing: float
) -> None:
    _, params, targets = random_output(seed, n, words, width)
    check = layer(
        lambda y, w, b: vocabulary.smoothed_cross_entropy(y, w, b, targets, smoothing),
        vocabulary.smoothed_cross_entropy_backward,
        *params,
    )
    assert relative_error(check, params, {}, seed) < TOLERANCE
    y, w, b = params.values()
    log_p = log_softmax(y @ w.T + b, axis=1)
    picked = log_p[np.arange(n), targets]
    value, _ = vocabulary.smoothed_cross_entropy(y, w, b, targets, smoothing)
    expected = -((1 - smoothing) * picked + smoothing * log_p.mean(axis=1)).mean()
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-12)
    plain = vocabulary.cross_entropy(y, w, b, targets)
    np.testing.assert_allclose(plain, -picked, rtol=1e-10, atol=1e-12)


def test_smoothed_cross_entropy_does_not_overflow() -> None:
    w, b = np.array([[900.0], [-900.0]]), np.zeros(2)
    y, targets = np.ones((2, 1)), np.array([0, 1])
    value, saved = vocabulary.smoothed_cross_entropy(y, w, b, targets, 0.0)
    assert value == 900
    for gradient in vocabulary.smoothed_cross_entropy_backward(1.0, saved):
        assert np.isfinite(gradient).all()


@given(seeds, sizes, st.integers(2, 7), short)
def test_an_embedding_tied_to_the_logits_gets_both_gradients(
    seed: int, n: int, words: int, width: int
) -> None:
    rng, params, targets = random_output(seed, n, words, width)
    ids, own = rng.integers(0, words, n), {"w": params["w"]}

    def forward(w: Array) -> tuple[Array, layers.Saved]:
        y, saved = vocabulary.embedding(ids, w)
        value, saved_loss = vocabulary.smoothed_cross_entropy(y, w, params["b"], targets, 0.1)
        return value, (saved, saved_loss)

    def backward(dloss: float, saved: layers.Saved) -> Array:
        dy, dw, _ = vocabulary.smoothed_cross_entropy_backward(dloss, saved[1])
        vocabulary.embedding_backward(dy, saved[0], dw)
        return dw

    assert relative_error(layer(forward, backward, "w"), own, {}, seed) < TOLERANCE


def whole_model(seed: int, variant: str | None = None) -> tuple[Any, dict[str, Array], Tree]:
    """The tiny task, parameters none of which is 0 or 1, and a batch."""
    task, rng = tiny_task(variant), np.random.default_rng(seed)
    params = {
        name: leaf + 0.1 * rng.standard_normal(leaf.shape)
        for name, leaf in task.initial(seed).astype("float64").params.items()
    }
    return task, params, {name: a[0] for name, a in next(task.chunks("train", seed)).items()}


@pytest.mark.parametrize(("seed", "variant"), [(0, None), (1, "dropout"), (2, "dropout")])
def test_the_model(seed: int, variant: str | None) -> None:
    task, params, batch = whole_model(seed, variant)

    def loss(
        params: Tree, buffers: Tree, batch: Tree, _: Key | None
    ) -> tuple[Array, Tree, Backward]:
        return model.loss(task.config, params, buffers, batch, (seed, 5))

    assert relative_error(of_loss(loss, {}), params, batch, seed) < TOLERANCE
    dropped = loss(params, {}, batch, None)[0]
    assert (dropped == model.loss(task.config, params, {}, batch, None)[0]) == (variant is None)


def test_the_gradients_of_key_biases_are_0_as_softmax_does_not_see_them() -> None:
    task, params, batch = whole_model(0)
    value, _, backward = model.loss(task.config, params, {}, batch, None)
    gradients = backward(1.0)
    biases = [name for name in params if name.endswith(".key.bias")]
    assert len(biases) == 3 * task.config.layers
    moved = {**params, **{name: params[name] + 3 for name in biases}}
    assert not any(gradients[name].any() for name in biases)
    assert model.loss(task.config, moved, {}, batch, None)[0] == pytest.approx(value, rel=1e-12)


def test_padding_changes_neither_loss_nor_gradients() -> None:
    task, params, batch = whole_model(1)
    wider = {name: np.pad(a, ((0, 0), (0, 4))) for name, a in batch.items()}
    (value, _, back), (same, _, back_wider) = (
        model.loss(task.config, params, {}, b, None) for b in (batch, wider)
    )
    assert same == pytest.approx(value, rel=1e-14)
    gradients, of_wider = back(1.0), back_wider(1.0)
    assert gradients.keys() == params.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(of_wider[name], gradient, rtol=1e-9, atol=1e-14, err_msg=name)


def test_clipped_gradients_keep_their_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(optimizers, "_adam", lambda c, p, g, *rest: seen.append(g))
    ones = {"w": np.ones(4, np.float32)}
    adam = Adam(1e-2, 0.9, 0.999, 1e-8, clip=0.3)
    updater = optimizers.Updater(adam, ones, {"m": ones, "v": ones})
    updater.begin(0, 1)
    updater.apply(ones, 0)
    np.testing.assert_array_equal(seen, [np.full(4, 0.15, np.float32)])
    assert seen[0].dtype == np.float32
