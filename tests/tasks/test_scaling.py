"""Batches a number of times as large: every task that says it can be scaled has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tasks
from suite.records import timing as timings
from tasks.task import RequestError
from tests.suite.command import assert_refused, in_process

UNABLE = {  # whose batches are more than so many samples, and why
    ("fewshot", "siamese"): "compares the drawings of a batch",
    ("fewshot", "triplet"): "compares the drawings of a batch",
    ("fewshot", "finetune"): "a step is of all episodes",
    ("autoencoder", "spectral"): "all are needed",
    ("regression", None): "there are no more",
    ("fashion_mlp", "transfer"): "from 100 images alone",
    ("fashion_mlp", "scratch"): "from 100 images alone",
    ("imdb_text", "word2vec"): "from 1000 reviews alone",
    ("imdb_text", "word2vec_scratch"): "from 1000 reviews alone",
}
ABLE = [choice for choice in tasks.choices(tasks.ALL) if choice not in UNABLE]
ASKED = ("--profile", "smoke", "--data", "generated", "--limit", "0")


@pytest.mark.parametrize("choice", ABLE, ids=[":".join(filter(None, c)) for c in ABLE])
@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_the_constants_fit(choice: tasks.Choice, profile: str) -> None:
    name, variant = choice
    plain: Any = tasks.config(name, profile, variant)
    large: Any = tasks.config(name, profile, variant, {tasks.BATCH_SCALE: "2"})
    assert large != plain
    assert 1 <= large.chunk_steps <= plain.chunk_steps


@pytest.mark.parametrize(
    "choice",
    {name: (name, variant) for name, variant in ABLE[::-1]}.values(),
    ids=lambda choice: choice[0],
)
def test_every_step_has_so_many_samples_more(choice: tasks.Choice) -> None:
    name, variant = choice
    batches, counts = [], []
    for options in ({}, {tasks.BATCH_SCALE: "4"}):
        task = tasks.load(name, "smoke", "generated", variant, options)
        chunks = list(task.chunks("train"))
        batches.append(task.config.batch)
        counts.append(sum(map(task.samples, chunks)))
        for chunk in chunks:
            shapes = {a.shape[:2] for a in chunk.values()}
            assert (task.config.chunk_steps, task.config.batch) in shapes
    assert batches[1] == 4 * batches[0]
    assert 0.5 * counts[0] < counts[1] <= counts[0]
    assert np.isfinite(counts).all()


@pytest.mark.parametrize(
    ("choice", "factor", "words"),
    [
        *((choice, "2", reason) for choice, reason in UNABLE.items()),
        (("fashion_mlp", None), "1000", "no batch as large as that"),
        (("lstm", None), "0", "whole number from 1"),
    ],
)
def test_what_cannot_be_is_refused(choice: tasks.Choice, factor: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        tasks.config(choice[0], "full", choice[1], {tasks.BATCH_SCALE: factor})


def test_a_timing_says_that_it_is_of_throughput_alone(tmp_path: Path) -> None:
    one = (*ASKED, "--backend", "numpy", "--task", "fashion_mlp")
    done = in_process(tmp_path, "time", *one, "--batch-scale", "4", "--batch-scale", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("fashion_mlp · smoke") == 2
    assert done.stdout.count("batch x 4, throughput alone") == 1
    assert done.stderr.count("verifying fashion_mlp") == 1
    (folder,) = (tmp_path / "results" / "timings").iterdir()
    assert {path.name for path in folder.iterdir()} == {"fashion_mlp.json", "fashion_mlp-x4.json"}
    found = timings.of_session(tmp_path / "results", folder.name)
    assert [(t.conditions.batch_scale, t.batch, t.samples[0]) for t in found.values()] == [
        *((4, 512, 4 * 128 * 8), (1, 128, 128 * 8))
    ]
    able_and_not = ("--task", "fashion_mlp", "--task", "fewshot")
    scales = ("--batch-scale", "1", "--batch-scale", "2")
    refused = in_process(tmp_path, "time", *ASKED, *able_and_not, *scales)
    assert_refused(refused, "fewshot cannot have batches 2 times as large")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
