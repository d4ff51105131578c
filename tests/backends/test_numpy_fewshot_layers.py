"""NumPy's convolution and contrastive losses, and the models, by central differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.signal import correlate

from backends.numpy import contrastive, convolution, fewshot
from backends.numpy.central_differences import of_loss, relative_error
from tasks.task import Array
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.tasks.tiny_fewshot import tiny_task


def padded(x: Array) -> Array:
    frame = convolution.framed(x.shape, x.dtype)
    convolution.inside(frame, x.shape[1])[...] = x
    return frame


@given(seeds, sizes, st.integers(1, 9), sizes, sizes)
def test_convolution(seed: int, n: int, side: int, inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, side, side, inputs))
    params = {
        "x": padded(x),
        "w": rng.standard_normal((3, 3, inputs, outputs)),
        "b": rng.standard_normal(outputs),
    }
    check = layer(convolution.convolution, convolution.convolution_backward, *params)
    assert relative_error(check, params, {}, seed) < TOLERANCE
    y, saved = convolution.convolution(*params.values())
    assert y.shape == (n, -(-side // 2), -(-side // 2), outputs)
    whole = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for picture, o in np.ndindex(n, outputs):
        expected = sum(
            correlate(whole[picture, :, :, c], params["w"][:, :, c, o], "valid")
            for c in range(inputs)
        )
        found = y[picture, :, :, o] - params["b"][o]
        np.testing.assert_allclose(found, expected[::2, ::2], atol=1e-12)
    dy = np.asarray(rng.standard_normal(y.shape))
    for short, long in zip(
        convolution.convolution_backward_params(dy, saved),
        convolution.convolution_backward(dy, saved)[1:],
        strict=True,
    ):
        np.testing.assert_array_equal(short, long)


@given(seeds, st.integers(2, 7), sizes, sizes)
def test_distances(seed: int, n: int, channels: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    e = rng.standard_normal((n, channels))
    pairs = np.stack([rng.choice(n, 2, replace=False) for _ in range(count)]).astype(np.int32)
    check = layer(lambda e: contrastive.distances(e, pairs), contrastive.distances_backward, "e")
    assert relative_error(check, {"e": e}, {}, seed) < TOLERANCE
    y, _ = contrastive.distances(e, pairs)
    np.testing.assert_array_equal(y, np.abs(e[pairs[:, 0]] - e[pairs[:, 1]]))


def test_a_pair_at_distance_0_has_no_gradient() -> None:
    _, saved = contrastive.distances(np.ones((3, 2)), np.array([[0, 1], [2, 2]]))
    assert not contrastive.distances_backward(np.ones((2, 2)), saved).any()


@given(seeds, sizes, sizes)
def test_pair_cross_entropy(seed: int, same: int, different: int) -> None:
    z = 3 * np.random.default_rng(seed).standard_normal(same + different)
    check = layer(
        lambda z: contrastive.pair_cross_entropy(z, same),
        contrastive.pair_cross_entropy_backward,
        "z",
    )
    assert relative_error(check, {"z": z}, {}, seed) < TOLERANCE
    p = 1 / (1 + np.exp(-z))
    expected = -np.log(p[:same]).mean() / 2 - np.log(1 - p[same:]).mean() / 2
    assert contrastive.pair_cross_entropy(z, same)[0] == pytest.approx(expected)


def test_pair_cross_entropy_does_not_overflow() -> None:
    loss, saved = contrastive.pair_cross_entropy(np.array([-1e4, 1e4, 1e4, -1e4]), 2)
    assert loss == pytest.approx(5e3)
    found = contrastive.pair_cross_entropy_backward(1.0, saved)
    np.testing.assert_allclose(found, [-1 / 4, 0, 1 / 4, 0])


def on_the_sphere(rng: np.random.Generator, n: int, channels: int) -> Array:
    e = rng.standard_normal((n, channels))
    return np.asarray(e / np.linalg.norm(e, axis=1, keepdims=True))


@given(seeds, st.integers(2, 4), st.integers(2, 4), st.integers(2, 5))
def test_triplet_loss(seed: int, classes: int, k: int, channels: int) -> None:
    e = on_the_sphere(np.random.default_rng(seed), classes * k, channels)
    check = layer(
        lambda e: contrastive.triplet_loss(e, k, 0.5), contrastive.triplet_loss_backward, "e"
    )
    assert relative_error(check, {"e": e}, {}, seed) < TOLERANCE
    hinges = [
        max(0.0, ((e[a] - e[p]) ** 2).sum() - ((e[a] - e[n]) ** 2).sum() + 0.5)
        for a in range(len(e))
        for p in range(len(e))
        for n in range(len(e))
        if a != p and a // k == p // k != n // k
    ]
    active = [h for h in hinges if h > 0]
    expected = sum(active) / max(len(active), 1)
    assert contrastive.triplet_loss(e, k, 0.5)[0] == pytest.approx(expected)


def test_triplets_that_are_far_enough_apart_have_neither_loss_nor_gradient() -> None:
    e = np.repeat(np.eye(3), 2, axis=0)
    loss, saved = contrastive.triplet_loss(e, 2, 0.5)
    assert loss == 0
    assert not contrastive.triplet_loss_backward(1.0, saved).any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("variant", ["siamese", "triplet"])
def test_models(variant: str, seed: int) -> None:
    task = tiny_task(variant)
    state = task.initial(seed).astype("float64")
    chunk = next(task.chunks("train", seed))
    few = task.excerpt({name: a[0] for name, a in chunk.items()})
    batch = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in few.items()}
    loss = of_loss(partial(fewshot.loss, task.config), {})
    assert relative_error(loss, state.params, batch, seed) < TOLERANCE
