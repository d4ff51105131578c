"""Pictures of embeddings, autoencoders and metric learning."""

from __future__ import annotations

import numpy as np

import backends
from backends.numpy.contrastive import triplet_loss, triplet_loss_backward
from backends.numpy.layers import l2_normalize, l2_normalize_backward
from docs.lectures.concept import Picture
from docs.lectures.pictures.drawing import LOOKS, Draw, chart, picture
from docs.lectures.pictures.kept import base, drawn_from, drawn_from_baseline, record
from suite.records.baseline import Baseline
from suite.report.looks import look
from tasks.task import Array

TEXTS = {"bag of all words": "imdb_text-bow", "embedding of the last 50": "imdb_text-embedding"}
CODES, PAIRS = "autoencoder-joint-quick-real", "fewshot-siamese-quick-real"
CLASSES, EACH, MARGIN, UPDATES, RATE = 4, 5, 0.5, 300, 0.1
MARKERS = "os^D"


def embeddings() -> Picture:
    """Two models of film reviews: a bag of all words, and an embedding of some."""
    return picture(
        drawn_from(*TEXTS.values()),
        _metric("test_accuracy", "accuracy on the test set"),
        _metric("test_loss", "loss on the test set"),
    )


def _metric(metric: str, title: str) -> Draw:
    def draw(charts: list[str]) -> None:
        kept = {name: record(label) for name, label in TEXTS.items()}
        ends = ", ".join(f"{name} {own.metrics[metric]:.3f}" for name, own in kept.items())
        with chart(charts, f"{title} by epoch. At the end: {ends}.") as axes:
            for (name, own), (color, dash) in zip(kept.items(), LOOKS, strict=False):
                values = [epoch["metrics"][metric] for epoch in own.epochs]
                epochs = range(1, len(values) + 1)
                axes.plot(epochs, values, color=color, linestyle=dash, marker="o", label=name)
            axes.set(xlabel="epoch", ylabel=metric.replace("_", " "), xticks=range(1, 6))
            axes.set_title(title.capitalize())
            axes.legend()

    return draw


def autoencoders() -> Picture:
    """Losses of the first steps, and how well clusters of codes match the classes."""
    return picture(
        drawn_from_baseline(CODES),
        lambda charts: _first_losses(charts, base(CODES), "squared error of an image"),
        lambda charts: _by_backend(charts, base(CODES), "nmi", "NMI of clusters and classes"),
    )


def metrics() -> Picture:
    """Points on a circle before and after descent of the triplet loss, and real runs."""
    return picture(
        "The circles were computed when this page was built, by NumPy's triplet loss: "
        f"{UPDATES} steps of descent on {CLASSES} classes of {EACH} points, from one random start. "
        f"The errors: {drawn_from_baseline(PAIRS)}",
        *_circles(),
        lambda charts: _by_backend(charts, base(PAIRS), "run_error", "One-shot error, 20 classes"),
    )


def _circles() -> tuple[Draw, ...]:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(CLASSES * EACH, 2))
    placed = []
    for _ in range(UPDATES + 1):
        e, saved_norm = l2_normalize(points)
        loss, saved = triplet_loss(e, EACH, MARGIN)
        placed.append((e, float(loss)))
        points = points - RATE * l2_normalize_backward(
            triplet_loss_backward(1.0, saved), saved_norm
        )
    named = (("Before", placed[0]), (f"After {UPDATES} steps", placed[-1]))
    return tuple(_circle(title, e, loss) for title, (e, loss) in named)


def _circle(title: str, e: Array, loss: float) -> Draw:
    def draw(charts: list[str]) -> None:
        said = f"{title}: points of {CLASSES} classes, loss {loss:.2f}."
        with chart(charts, said, (3, 3)) as axes:
            around = np.linspace(0, 2 * np.pi, 100)
            axes.plot(np.cos(around), np.sin(around), color="#808080", linewidth=0.6)
            for number, own in enumerate(e.reshape(CLASSES, EACH, 2)):
                color, _ = LOOKS[number]
                x, y = own.T
                axes.scatter(x, y, color=color, marker=MARKERS[number], s=36)
            axes.set(aspect="equal", xticks=(), yticks=(), title=f"{title}: loss {loss:.2f}")
            axes.axis("off")

    return draw


def _first_losses(charts: list[str], own: Baseline, title: str) -> None:
    steps = [int(step) for step in own.runs[0].losses]
    with chart(charts, f"{title} by step, for every run: they fall alike.") as axes:
        for name in backends.NAMES:
            seen = look(name)
            for number, run in enumerate(r for r in own.runs if r.backend == name):
                axes.plot(
                    steps,
                    list(run.losses.values()),
                    color=seen.color,
                    linewidth=0.8,
                    label=None if number else backends.load(name).TITLE,
                )
        axes.set(xscale="log", yscale="log", xlabel="step", ylabel="train loss")
        axes.set_title(f"Train loss: {title}")
        axes.legend()


def _by_backend(charts: list[str], own: Baseline, name: str, title: str) -> None:
    titles = {b: backends.load(b).TITLE for b in backends.NAMES}
    means = {b: np.mean([r.quantities[name] for r in own.runs if r.backend == b]) for b in titles}
    said = ", ".join(f"{titles[b]} {mean:.3f}" for b, mean in means.items())
    with chart(charts, f"{title}, mean over seeds: {said}.") as axes:
        for place, backend in enumerate(titles):
            values = [r.quantities[name] for r in own.runs if r.backend == backend]
            color = look(backend).color
            axes.scatter([place] * len(values), values, color=color, facecolors="none")
            axes.plot([place - 0.2, place + 0.2], [means[backend]] * 2, color=color)
        axes.set_xticks(range(len(titles)), titles.values())
        axes.set(xlim=(-0.5, 3.5), ylabel=name.replace("_", " "))
        axes.set_title(f"{title}: each seed, and the mean")
