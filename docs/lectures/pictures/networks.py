"""Pictures of layers, activations and losses, computed by NumPy's functions of the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backends.numpy.activations import ACTIVATIONS
from backends.numpy.layers import (
    Saved,
    dense,
    dense_backward,
    relu,
    relu_backward,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_squared_error,
    softmax_squared_error_backward,
)
from docs.lectures.concept import Picture
from docs.lectures.pictures.drawing import LOOKS, chart, lines, picture
from tasks.task import Array

CURVES = ("sigmoid", "tanh", "relu", "leaky_relu", "elu")
DEPTH, WIDTH, ROWS = 20, 64, 32
EXAMPLE = (1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0)
"""The logits of a document's example of softmax."""

Loss = tuple[Callable[[Array, Array], tuple[Array, Saved]], Callable[[float, Saved], Array]]
LOSSES: dict[str, Loss] = {
    "cross-entropy": (softmax_cross_entropy, softmax_cross_entropy_backward),
    "squared error": (softmax_squared_error, softmax_squared_error_backward),
}


def gradient_check() -> Picture:
    """Errors of central differences by their step, in both precisions."""
    return picture(
        "Computed when this page was built, by NumPy's functions on this page: a network of two "
        "layers, 8 inputs, 16 hidden units and 4 classes. "
        "The error is the largest over all weights, as a share of the largest gradient.",
        _differences,
    )


def _differences(charts: list[str]) -> None:
    steps = [10.0**-k for k in range(1, 11)]
    values = {
        name: [difference_error(step, dtype) for step in steps]
        for name, dtype in (("float64", np.float64), ("float32", np.float32))
    }
    best = steps[int(np.argmin(values["float64"]))]
    said = f"Error of central differences by step; in float64 it is least at {best:.0e}."
    with chart(charts, said) as axes:
        lines(axes, steps, values, marker="o", markersize=3)
        axes.set(xscale="log", yscale="log", xlabel="step of the difference", ylabel="error")
        axes.set_title("By hand against central differences")


def difference_error(step: float, dtype: Any) -> float:
    """The largest error of central differences of one kernel, relative to its largest gradient."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(5, 8)).astype(dtype), rng.integers(0, 4, 5)
    first, second = (rng.normal(size=s).astype(dtype) / 3 for s in ((8, 16), (16, 4)))

    def value(kernel: Array) -> tuple[float, Array]:
        a, saved = dense(x, kernel, np.zeros(16, dtype))
        h, saved_relu = relu(a)
        z, saved_output = dense(h, second, np.zeros(4, dtype))
        loss, saved_loss = softmax_cross_entropy(z, labels)
        dh, _, _ = dense_backward(softmax_cross_entropy_backward(1.0, saved_loss), saved_output)
        _, dw, _ = dense_backward(relu_backward(dh, saved_relu), saved)
        return float(loss), dw

    _, by_hand = value(first)
    by_steps = np.zeros(first.shape)
    for place in np.ndindex(*first.shape):
        moved = [first.copy(), first.copy()]
        for kernel, sign in zip(moved, (1, -1), strict=True):
            kernel[place] += dtype(sign * step)
        by_steps[place] = (value(moved[0])[0] - value(moved[1])[0]) / (2 * step)
    return float(np.abs(by_steps - by_hand).max() / np.abs(by_hand).max())


def activations() -> Picture:
    """Functions, their slopes, and how far a gradient gets through many layers of them."""
    return picture(
        "Computed when this page was built, by the functions of NumPy on this page. "
        f"On the right: {DEPTH} dense layers of {WIDTH} units, weights from N(0, 2 / {WIDTH}), "
        f"{ROWS} random inputs, and a random gradient at the end.",
        _functions,
        _slopes,
        _depth,
    )


def _functions(charts: list[str]) -> None:
    x = np.linspace(-4, 4, 161)
    values = {name: curve_of(name, x)[0] for name in CURVES}
    with chart(charts, "Sigmoid, tanh, ReLU, leaky ReLU and ELU from -4 to 4.") as axes:
        lines(axes, x, values)
        axes.set(ylim=(-1.4, 3), xlabel="x", ylabel="f(x)")
        axes.set_title("Functions")


def _slopes(charts: list[str]) -> None:
    x = np.linspace(-4, 4, 161)
    values = {name: curve_of(name, x)[1] for name in CURVES}
    top = max(values["sigmoid"])
    with chart(charts, f"Their slopes; that of the sigmoid is {top:.2f} at most.") as axes:
        lines(axes, x, values)
        axes.set(xlabel="x", ylabel="f'(x)")
        axes.set_title("Slopes")


def curve_of(name: str, x: Array) -> tuple[Array, Array]:
    """Values and slopes of an activation at x (points,); it may write into its inputs."""
    activate, backward = ACTIVATIONS[name]
    y, saved = activate(x[:, None].copy())
    value = y[:, 0].copy()
    return value, backward(np.ones((len(x), 1)), saved)[:, 0]


def _depth(charts: list[str]) -> None:
    values = {name: norms_back(name) for name in CURVES}
    ends = ", ".join(f"{name} {norms[-1]:.0e}" for name, norms in values.items())
    said = f"The norm of the gradient by layers back; {DEPTH} layers back: {ends}."
    with chart(charts, said) as axes:
        lines(axes, range(DEPTH + 1), values)
        axes.set(yscale="log", xlabel="layers back", xticks=range(0, DEPTH + 1, 5))
        axes.set_ylabel("norm, relative to the last layer")
        axes.set_title("What is left of a gradient")


def norms_back(name: str) -> list[float]:
    """Norms of the gradient after 0, 1, ... layers back, relative to the first."""
    activate, activate_backward = ACTIVATIONS[name]
    rng = np.random.default_rng(0)
    h, ways = rng.normal(size=(ROWS, WIDTH)), []
    for _ in range(DEPTH):
        kernel = rng.normal(size=(WIDTH, WIDTH)) * np.sqrt(2 / WIDTH)
        a, saved = dense(h, kernel, np.zeros(WIDTH))
        h, saved_activation = activate(a)
        ways.append((saved, saved_activation))
    dh = rng.normal(size=h.shape)
    norms = [float(np.linalg.norm(dh))]
    for saved, saved_activation in reversed(ways):
        dh, _, _ = dense_backward(activate_backward(dh, saved_activation), saved)
        norms.append(float(np.linalg.norm(dh)))
    return [norm / norms[0] for norm in norms]


def losses() -> Picture:
    """The losses by the probability of the right class, their gradients, and softmax with β."""
    return picture(
        "Computed when this page was built, by the functions of NumPy on this page: two classes, "
        "and on the right the logits 1, 2, 3, 4, 1, 2, 3 of a document's example, times β.",
        _values,
        _gradients,
        _softmax,
    )


def _values(charts: list[str]) -> None:
    p = np.linspace(0.005, 0.995, 199)
    values = {name: [_loss(loss, q)[0] for q in p] for name, loss in LOSSES.items()}
    with chart(charts, "Both losses fall to 0 as the right class becomes certain.") as axes:
        lines(axes, p, values)
        axes.set(xlabel="probability of the right class", ylabel="loss")
        axes.set_title("Loss")


def _gradients(charts: list[str]) -> None:
    p = np.linspace(0.005, 0.995, 199)
    values = {name: [_loss(loss, q)[1] for q in p] for name, loss in LOSSES.items()}
    most = p[int(np.argmax(values["squared error"]))]
    said = (
        "Of the cross-entropy the gradient is largest where the model is wrong; of the squared "
        f"error it is largest at {most:.2f} and vanishes at 0."
    )
    with chart(charts, said) as axes:
        lines(axes, p, values)
        axes.set(xlabel="probability of the right class", ylabel="size of the logit's gradient")
        axes.set_title("Gradient")


def _loss(loss: Loss, p: float) -> tuple[float, float]:
    """The loss, and the size of its gradient by the right logit, for two classes."""
    forward, backward = loss
    value, saved = forward(np.array([[np.log(p / (1 - p)), 0.0]]), np.array([0]))
    return float(value), float(abs(backward(1.0, saved)[0, 0]))


def _softmax(charts: list[str]) -> None:
    with chart(charts, "Softmax of the example: the larger β, the nearer to 1 for 4.") as axes:
        for number, beta in enumerate((0.5, 1, 2)):
            z = beta * np.array([EXAMPLE])
            p = [np.exp(-softmax_cross_entropy(z, np.array([c]))[0]) for c in range(z.shape[1])]
            color, _ = LOOKS[number]
            places = np.arange(len(p)) + 0.27 * (number - 1)
            axes.bar(places, p, width=0.25, color=color, label=f"β = {beta:g}")
        axes.set_xticks(range(len(EXAMPLE)), [f"{value:g}" for value in EXAMPLE])
        axes.set(xlabel="logit", ylabel="probability")
        axes.set_title("Softmax")
        axes.legend()
