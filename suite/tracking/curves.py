"""Pictures of a cell's training curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.records.record import Record
from suite.records.statistics import axis_ends

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_curves(record: Record, path: Path) -> None:
    """The loss and the test metrics against steps, as a PNG."""
    figure_of(record).savefig(path, dpi=110)


def figure_of(record: Record) -> Figure:
    """The same as a figure of matplotlib's."""
    from matplotlib.figure import Figure  # slow to import; Figure alone needs no display

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = np.concatenate([chunk["losses"] for chunk in record.chunks])
    ends = np.cumsum([len(chunk["losses"]) for chunk in record.chunks])
    steps = np.arange(1, len(losses) + 1)
    left.plot(steps, losses, color="0.8", linewidth=0.8, label="train, every step")
    means = [np.mean(chunk["losses"]) for chunk in record.chunks]
    left.plot(ends, means, color="C0", label="train, mean of a chunk")
    epoch_ends = [
        ends[i]
        for i, chunk in enumerate(record.chunks)
        if i + 1 == len(record.chunks) or record.chunks[i + 1]["epoch"] != chunk["epoch"]
    ]
    for name in (name for name in record.metrics if not name.endswith("_ci95")):
        values = [epoch["metrics"][name] for epoch in record.epochs]
        axis = left if name.endswith("loss") else right
        axis.plot(epoch_ends[: len(values)], values, marker="o", label=f"{name}, by epoch")
    for axis in (left, right):
        drawn = [float(y) for line in axis.lines for y in np.asarray(line.get_ydata())]
        if drawn and (limits := axis_ends(drawn)):
            axis.set_ylim(limits)
        if record.stopped:
            axis.axvline(
                epoch_ends[record.stopped["best"] - 1],
                color="0.6",
                linestyle="--",
                label="best epoch",
            )
        axis.set_xlabel("training step")
        if axis.has_data():  # a cell that broke off may have no epoch yet
            axis.legend()
    left.set_ylabel("loss [nats]")
    cell = record.cell
    verified = "verified" if record.verified else "NOT VERIFIED"
    data = "" if cell.data == "real" else ", GENERATED DATA"
    figure.suptitle(f"{cell.task_label}, {cell.backend_label}, seed {cell.seed}, {verified}{data}")
    return figure
