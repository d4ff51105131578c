"""Pictures of recurrence and attention."""

from __future__ import annotations

import numpy as np

from backends.numpy.attention import attention as attend, causal_mask, positions
from docs.lectures.concept import Picture
from docs.lectures.pictures.drawing import chart, heatmap, lines, picture
from docs.lectures.pictures.kept import drawn_from, record
from tasks.task import Array

RECURRENT = {"LSTM": "lstm", "plain": "lstm-rnn"}
VANISHING = "vanishing gradient"
LENGTH, WIDTH = 32, 128


def recurrence() -> Picture:
    """How far a gradient reaches back in the LSTM and in the plain network."""
    meaning = record("lstm").heatmaps[VANISHING]["meaning"]
    return picture(f"{drawn_from(*RECURRENT.values())} {meaning}", _vanishing, _learning)


def _vanishing(charts: list[str]) -> None:
    values: dict[str, list[float]] = {}
    for name, label in RECURRENT.items():
        drawn = record(label).heatmaps[VANISHING]
        for row, logs in zip(drawn["rows"], drawn["values"], strict=True):
            values[f"{name}, {row}"] = [10**log for log in logs]
    ends = ", ".join(f"{name} {v[-1] / v[0]:.0e}" for name, v in values.items())
    steps = range(len(next(iter(values.values()))))
    said = f"The gradient's norm by steps back. The last as a share of the first: {ends}."
    with chart(charts, said) as axes:
        lines(axes, steps, values)
        axes.set(yscale="log", xlabel="steps back", ylabel="norm of the gradient")
        axes.set_title("What reaches back")


def _learning(charts: list[str]) -> None:
    kept = {name: record(label) for name, label in RECURRENT.items()}
    values = {
        name: [float(np.mean(chunk["losses"])) for chunk in own.chunks]
        for name, own in kept.items()
    }
    steps = np.cumsum([len(chunk["losses"]) for chunk in kept["LSTM"].chunks])
    ends = ", ".join(f"{name} {own.metrics['val_nats']:.2f}" for name, own in kept.items())
    with chart(charts, f"Train loss by step. Validation at the end: {ends} nats.") as axes:
        lines(axes, steps.tolist(), values)
        axes.set(xlabel="step", ylabel="nats per character")
        axes.set_title(f"Train loss (validation: {ends})")


def attention() -> Picture:
    """Sinusoids, and the weights that attention has by positions alone."""
    return picture(
        "Computed when this page was built, by the functions of NumPy on this page, of positions "
        "alone, without words and without training: "
        f"{LENGTH} positions of {WIDTH} channels, one head, queries and keys twice the waves.",
        _positions,
        lambda charts: _weights(charts, None),
        lambda charts: _weights(charts, causal_mask(LENGTH, np.float64)),
    )


def _positions(charts: list[str]) -> None:
    with chart(charts, f"Waves: {LENGTH} positions by {WIDTH} channels.") as axes:
        heatmap(axes, positions(LENGTH, WIDTH, np.dtype(np.float64)), vmin=-1, vmax=1)
        axes.set(xlabel="channel", ylabel="position")
        axes.set_title("Positions")


def _weights(charts: list[str], mask: Array | None) -> None:
    waves = 2 * positions(LENGTH, WIDTH, np.dtype(np.float64))[None, None]
    _, (weights, *_) = attend(waves, waves, waves, mask)
    weights = weights[0, 0]
    name = "All positions" if mask is None else "Causal mask"
    middle = weights[LENGTH // 2]
    said = (
        f"{name}: a position looks most at itself and its neighbours; position {LENGTH // 2} at "
        f"itself with {middle[LENGTH // 2]:.2f}, at the one before with "
        f"{middle[LENGTH // 2 - 1]:.2f}."
    )
    with chart(charts, said) as axes:
        heatmap(axes, weights)
        axes.set(xlabel="key", ylabel="query")
        axes.set_title(f"Weights: {name.lower()}")
