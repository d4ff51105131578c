"""The reference of metrics: what each task is judged by, and what its baselines came to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import tasks
from docs.handbook.markdown import code, table
from tasks.task import Target

BASELINES = Path(__file__).parents[2] / "results" / "baselines"
MEANINGS = {
    "train_loss": "mean loss over the steps of an epoch",
    "test_loss": "mean loss over the test set",
    "test_accuracy": "share of the test set whose class is right",
    "val_loss": "mean loss over training data that are held out",
    "val_accuracy": "share of held-out data whose class is right",
    "dead_units": "share of hidden units that are 0 for every test image",
    "mistakes": "mistakes made in training by the perceptron rule",
    "mse": "mean squared error of the reconstruction",
    "nmi": "normalised mutual information of clusters and classes",
    "ari": "adjusted Rand index of clusters and classes",
    "acc": "accuracy of the best assignment of clusters to classes",
    "run_error": "error in the 20 official one-shot runs of Omniglot",
    "query_loss": "cross-entropy of the pictures that episodes ask about, in nats",
    "acc_before": "accuracy in episodes by the means of the known pictures, before fine-tuning",
    "acc_after": "the same after it",
    "acc_5way_1shot": "accuracy over 600 episodes; others are called alike",
    "val_nats": "cross-entropy of the validation text, in nats",
    "val_bits": "the same in bits per character",
    "bleu": "BLEU by sacrebleu, in percent; the record has its signature",
}
HEAD = """# Metrics and targets

Metrics are computed from each backend's outputs by one piece of NumPy code, outside the timed part.
A name that ends in `_ci95` is half the width of a 95% interval.

A target is the band that a metric must end in, on real data and the full profile.
The margin is the difference between two backends that does not matter.
The learning curve is read by the validation metric, and early stopping uses it.
"""
CAME_TO = """## What the baselines came to

The mean and the standard deviation over all seeds and backends, from the baselines in the source.
"""


def page() -> str:
    """The page. It loads every task on a small generated data set, for seconds."""
    parts = [HEAD, table(("Metric", "Meaning"), ([code(n), m] for n, m in MEANINGS.items()))]
    head = ("Task", "Rate", "Target", "Margin", "Validation")
    parts += ["## Targets", table(head, _targets()), CAME_TO]
    parts.append(table(("Task", "Profile", "Quantity", "Mean", "Spread", "Runs"), _baselines()))
    return "\n\n".join(parts) + "\n"


def _targets() -> Iterator[list[str]]:
    for name, variant in tasks.choices(tasks.ALL):
        task = tasks.load(name, "smoke", "generated", variant=variant)
        bands = ", ".join(map(_band, task.targets)) or "none"
        yield [code(task.label), task.unit, bands, f"{task.margin:g}", code(task.validation)]


def _band(target: Target) -> str:
    if math.isinf(target.low):
        return f"{target.metric} ≤ {target.high:g}"
    if math.isinf(target.high):
        return f"{target.metric} ≥ {target.low:g}"
    return f"{target.metric} in [{target.low:g}, {target.high:g}]"


def _baselines() -> Iterator[list[str]]:
    for path in sorted(BASELINES.glob("*-real.json")):
        baseline = json.loads(path.read_text(encoding="utf-8"))
        stated = baseline.get("conditions", baseline)
        if stated["profile"] == "smoke":
            continue
        label = ":".join(filter(None, (stated["task"], stated["variant"])))
        for name, told in baseline["summary"].items():
            mean, spread = (f"{told[key]:.4g}" for key in ("mean", "spread"))
            yield [code(label), stated["profile"], name, mean, spread, str(told["runs"])]
