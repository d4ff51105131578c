"""The autoencoder's normalised code and its gradients: NumPy's by central differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import backends
from backends.numpy import autoencoder, layers
from backends.numpy.central_differences import of_loss, relative_error
from tasks.task import Array, State, Tree
from tests.backends.conftest import Call
from tests.backends.differences import TOLERANCE, layer, seeds, sizes
from tests.backends.tiny_tasks import SEED, program_of
from tests.tasks.tiny_autoencoder import tiny_task

VARIANTS = ("joint", "plain", "spectral")


@given(seeds, sizes, sizes)
def test_l2_normalize(seed: int, n: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, channels))
    x += np.sign(x) * 0.1  # the nearer to 0, the larger the second derivative
    check = layer(layers.l2_normalize, layers.l2_normalize_backward, "x")
    assert relative_error(check, {"x": x}, {}, seed) < TOLERANCE
    y, _ = layers.l2_normalize(x)
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1)
    np.testing.assert_allclose(y * np.linalg.norm(x, axis=1, keepdims=True), x)


def test_the_smallest_rows_are_divided_by_a_constant() -> None:
    x = np.array([[0.0, 0.0], [3e-14, 4e-14]])
    y, saved = layers.l2_normalize(x)
    np.testing.assert_allclose(y, np.array([[0, 0], [0.03, 0.04]]))
    dy = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(layers.l2_normalize_backward(dy, saved), dy * 1e12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(5))
def test_every_gradient(seed: int, variant: str) -> None:
    task = tiny_task(variant)
    params = task.initial(seed).astype("float64").params
    chunk = next(task.chunks("train", seed))
    batch = task.excerpt({name: a[0].astype(np.float64) for name, a in chunk.items()})
    assert relative_error(of_loss(autoencoder.loss, {}), params, batch, seed) < TOLERANCE


def of_a_code_of_zeros(backend: str) -> tuple[float, dict[str, Array], Array]:
    """Loss, gradients and codes where the code layer's kernel and bias are 0."""
    task = tiny_task("joint")
    state = task.initial(0).astype("float64")
    dead = {n: np.zeros_like(a) if "encoder.output" in n else a for n, a in state.params.items()}
    state = State(dead, state.slots)
    program = program_of(backend, ("autoencoder", "joint"), state, SEED)
    loss, gradients = program.gradients(program.place(next(task.chunks("train"))))
    outputs = program.predict(program.place(next(task.chunks("test"))))
    return loss, dict(gradients), outputs["codes"]


@pytest.mark.parametrize("backend", backends.NAMES)
def test_a_code_of_zeros_stays_zero_with_the_same_finite_gradients(
    call: Call, backend: str
) -> None:
    loss, gradients, codes = call(backend, "float64", of_a_code_of_zeros)
    expected_loss, expected, _ = of_a_code_of_zeros("numpy")
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    assert not codes.any()
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all()
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=1e-10 * scale)


@pytest.mark.parametrize("backend", backends.NAMES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_are_the_codes_and_their_errors(call: Call, backend: str, variant: str) -> None:
    found = call(backend, "float64", outputs_of, variant)
    task, params = tiny_task(variant), tiny_task(variant).initial(0).params
    x = next(task.chunks("test"))["inputs"].astype(np.float64)
    codes = through(params, "encoder", x)
    codes *= np.sqrt(codes.shape[-1]) / np.linalg.norm(codes, axis=-1, keepdims=True)
    errors = ((through(params, "decoder", codes) - x) ** 2).sum(axis=-1)
    np.testing.assert_allclose(found["codes"], codes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["squared_error"], errors, rtol=1e-9)


def outputs_of(backend: str, variant: str) -> dict[str, Array]:
    task = tiny_task(variant)
    state = task.initial(0).astype("float64")
    program = program_of(backend, ("autoencoder", variant), state, SEED)
    return dict(program.predict(program.place(next(task.chunks("test")))))


def through(params: Tree, part: str, x: Array) -> Array:
    """The layers of one part in their order, float64."""
    kernels = [n for n in params if n.startswith(part) and n.endswith("kernel")]
    for name in kernels:
        x = x @ params[name].astype(np.float64) + params[name.replace("kernel", "bias")]
        x = x if name == kernels[-1] else np.maximum(x, 0)
    return x
