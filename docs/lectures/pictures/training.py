"""Pictures of optimisers, regularisation, normalisation and a learning curve."""

from __future__ import annotations

import numpy as np

from backends.numpy.layers import batch_norm, dense, relu
from backends.numpy.optimizers import Updater
from docs.lectures.concept import Picture
from docs.lectures.pictures.drawing import LOOKS, Draw, chart, lines, picture
from docs.lectures.pictures.kept import drawn_from, record
from suite.records.convergence import read_curve
from tasks.optimizers import (
    SGD,
    Adagrad,
    Adam,
    Cosine,
    Exponential,
    Inverse,
    Linear,
    Momentum,
    Optimizer,
    RMSprop,
    Schedule,
)
from tasks.task import Array

STEEPNESS = np.array([1.0, 10.0])
START = np.array([-2.5, 1.2])
STEPS = 60
OPTIMIZERS: dict[str, Optimizer] = {
    "SGD, η 0.1": SGD(0.1),
    "momentum, η 0.02": Momentum(0.02, 0.9),
    "Adagrad, η 0.5": Adagrad(0.5, 1e-7),
    "RMSprop, η 0.1": RMSprop(0.1, 0.9, 1e-7),
    "Adam, η 0.2": Adam(0.2, 0.9, 0.999, 1e-7),
}
RATES = 0.01, 0.05, 0.18, 0.21
SCHEDULES: dict[str, Schedule] = {
    "linear": Linear(100),
    "linear, warm-up 20": Linear(100, 20),
    "cosine": Cosine(100),
    "exponential": Exponential(100),
    "inverse": Inverse(100),
}
REGULARISED = {
    "none": "imdb_text-bow",
    "L2, λ 0.001": "imdb_text-bow_l2",
    "dropout 0.5": "imdb_text-bow_dropout",
}
CURVE = "imdb_text-bow_validation"
LAYERS, UNITS, BATCH = 12, 64, 128
SCALES = 0.5, 1.0, 2.0


def bowl(optimizer: Optimizer) -> tuple[Array, Array]:
    """Points (steps + 1, 2) and values (steps + 1,) of ``f = (x^2 + 10 y^2) / 2`` on the way."""
    params = {"p": START.copy()}
    updater = Updater(optimizer, params, {s: {"p": np.zeros(2)} for s in optimizer.slots})
    updater.begin(0, STEPS)
    points = [START.copy()]
    for step in range(STEPS):
        updater.apply({"p": STEEPNESS * params["p"]}, step)
        points.append(params["p"].copy())
    path = np.array(points)
    return path, (STEEPNESS * path**2).sum(axis=1) / 2


def descent() -> Picture:
    """Paths of the optimisers on a bowl, learning rates, and schedules."""
    return picture(
        "Computed when this page was built, by NumPy's optimisers: "
        f"{STEPS} steps on f = (x² + 10 y²) / 2 from the same point. "
        "On the right, the factors of the learning rate in `tasks/optimizers.py`.",
        _paths,
        _values,
        _rates,
        _schedules,
    )


def _paths(charts: list[str]) -> None:
    with chart(charts, "Paths of five optimisers to the bottom of a bowl.") as axes:
        x, y = np.meshgrid(np.linspace(-3, 1.5, 60), np.linspace(-1.6, 1.6, 60))
        levels = [0.1, 0.5, 1.5, 3, 5, 8, 12]
        axes.grid(visible=False)
        axes.contour(x, y, (x**2 + 10 * y**2) / 2, levels, colors="#808080", linewidths=0.5)
        for (name, optimizer), (color, dash) in zip(OPTIMIZERS.items(), LOOKS, strict=False):
            path, _ = bowl(optimizer)
            axes.plot(*path.T, color=color, linestyle=dash, linewidth=1.4, label=name)
        axes.plot(0, 0, "+", color="#808080", markersize=10)
        axes.set(xlabel="x", ylabel="y", ylim=(-1.6, 2.9), yticks=(-1, 0, 1))
        axes.set_title("Paths")
        axes.legend(ncols=2, loc="upper center")


def _values(charts: list[str]) -> None:
    values = {name: bowl(optimizer)[1] for name, optimizer in OPTIMIZERS.items()}
    ends = ", ".join(f"{name}: {v[-1]:.0e}" for name, v in values.items())
    with chart(charts, f"f by step. After {STEPS} steps: {ends}.") as axes:
        lines(axes, range(STEPS + 1), values)
        axes.set(yscale="log", ylim=(1e-12, 1e5), xlabel="step", ylabel="f")
        axes.set_title("Value by step")


def _rates(charts: list[str]) -> None:
    values = {f"η {rate:g}": bowl(SGD(rate))[1] for rate in RATES}
    said = f"Plain descent with learning rates {', '.join(values)}: the last one diverges."
    with chart(charts, said) as axes:
        lines(axes, range(STEPS + 1), values)
        axes.set(yscale="log", ylim=(1e-8, 1e7), xlabel="step", ylabel="f")
        axes.set_title("Plain descent by learning rate")


def _schedules(charts: list[str]) -> None:
    steps = np.arange(101)
    values = {name: schedule.factor(steps) for name, schedule in SCHEDULES.items()}
    with chart(charts, "Factors of the learning rate that fall from 1 over 100 steps.") as axes:
        lines(axes, steps, values)
        axes.set(xlabel="step of 100", ylabel="factor")
        axes.set_title("Learning rate decay")


def regularisation() -> Picture:
    """Train and test loss by epoch, without and with regularisation."""
    return picture(
        f"{drawn_from(*REGULARISED.values())} "
        "The train loss has the penalty in it, and is measured with dropout.",
        *(_regularised(name, label) for name, label in REGULARISED.items()),
    )


def _regularised(name: str, label: str) -> Draw:
    own = record(label)
    epochs = range(1, len(own.epochs) + 1)
    values = {
        f"{split} loss": [e["metrics"][f"{split}_loss"] for e in own.epochs]
        for split in ("train", "test")
    }

    def draw(charts: list[str]) -> None:
        last = ", ".join(f"{key} {v[-1]:.3f}" for key, v in values.items())
        with chart(charts, f"{name}: at the end {last}.", (3.2, 2.7)) as axes:
            lines(axes, epochs, values, marker="o", markersize=4)
            axes.set(xlabel="epoch", ylabel="loss", ylim=(0.15, 0.75), xticks=epochs)
            axes.set_title(f"{name}: test accuracy {own.metrics['test_accuracy']:.3f}")

    return draw


def normalisation() -> Picture:
    """How large activations are by depth, with and without batch normalisation."""
    return picture(
        "Computed when this page was built, by NumPy's functions: "
        f"{LAYERS} dense layers of {UNITS} units with ReLU, {BATCH} random inputs. "
        f"Weights are from N(0, 2 / {UNITS}), times the factor in the legend.",
        *(_scales(normalised) for normalised in (False, True)),
    )


def _scales(normalised: bool) -> Draw:
    def draw(charts: list[str]) -> None:
        values = {f"weights × {s:g}": spreads(s, normalised) for s in SCALES}  # noqa: RUF001
        ends = ", ".join(f"{name}: {v[-1]:.1e}" for name, v in values.items())
        title = "With batch normalisation" if normalised else "Without normalisation"
        with chart(charts, f"{title}: standard deviation in the last layer: {ends}.") as axes:
            lines(axes, range(LAYERS + 1), values)
            axes.set(yscale="log", ylim=(1e-4, 1e4), xlabel="layer")
            axes.set_ylabel("standard deviation")
            axes.set_title(title)

    return draw


def spreads(scale: float, normalised: bool) -> list[float]:
    """Standard deviations of what goes into each layer, and out of the last."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(BATCH, UNITS))
    found = [float(h.std())]
    for _ in range(LAYERS):
        kernel = rng.normal(size=(UNITS, UNITS)) * np.sqrt(2 / UNITS) * scale
        a, _ = dense(h, kernel, np.zeros(UNITS))
        h, _ = relu(a)
        if normalised:
            h, _, _ = batch_norm(h, np.ones(UNITS), np.zeros(UNITS), 1e-3)
        found.append(float(h.std()))
    return found


def curve() -> Picture:
    """Train and validation loss by epoch, with what the rule says of them."""
    metrics = [epoch["metrics"] for epoch in record(CURVE).epochs]
    reading = read_curve([m["train_loss"] for m in metrics], [m["val_loss"] for m in metrics])
    return picture(
        f"{drawn_from(CURVE)} The program's reading of it: *{reading}*. Its reason: "
        f"{reading.reason}.",
        _losses,
        _accuracy,
    )


def _losses(charts: list[str]) -> None:
    metrics = [epoch["metrics"] for epoch in record(CURVE).epochs]
    epochs = range(1, len(metrics) + 1)
    values = {"train loss": "train_loss", "validation loss": "val_loss"}
    drawn = {name: [m[key] for m in metrics] for name, key in values.items()}
    best = int(np.argmin(drawn["validation loss"])) + 1
    said = f"The validation loss is lowest in epoch {best} and then rises; the train loss falls."
    with chart(charts, said) as axes:
        lines(axes, epochs, drawn, marker="o", markersize=3)
        axes.axvline(best, color="#808080", linewidth=1)
        axes.annotate(f" lowest: epoch {best}", (best, 0.02))
        axes.set(
            xlabel="epoch", ylabel="loss", ylim=(0, 0.75), xticks=range(0, len(metrics) + 1, 5)
        )
        axes.set_title("Loss")


def _accuracy(charts: list[str]) -> None:
    metrics = [epoch["metrics"] for epoch in record(CURVE).epochs]
    epochs = range(1, len(metrics) + 1)
    drawn = {"validation accuracy": [m["val_accuracy"] for m in metrics]}
    end = drawn["validation accuracy"]
    said = f"The validation accuracy: {max(end):.3f} at best, {end[-1]:.3f} at the end."
    with chart(charts, said) as axes:
        lines(axes, epochs, drawn, marker="o", markersize=3)
        axes.set(xlabel="epoch", ylabel="accuracy", xticks=range(0, len(metrics) + 1, 5))
        axes.set_title("Accuracy")
