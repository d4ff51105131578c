"""Batches a number of times as large: every task that says it can be scaled has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tasks
from suite.records import timing as timings
from tasks.task import RequestError
from tests.suite.command import assert_refused, tetragrad

ABLE = [
    choice
    for choice in tasks.choices(tasks.ALL)
    if choice[0] != "fewshot" and choice[1] != "spectral"
]
ASKED = ("--profile", "smoke", "--data", "generated", "--limit", "0")


@pytest.mark.parametrize("choice", ABLE, ids=[":".join(filter(None, c)) for c in ABLE])
@pytest.mark.parametrize("profile", tasks.PROFILES)
def test_the_constants_fit(choice: tasks.Choice, profile: str) -> None:
    name, variant = choice
    plain = tasks.config(name, profile, variant)
    large = tasks.config(name, profile, variant, {tasks.BATCH_SCALE: "2"})
    assert large != plain
    assert 1 <= large.chunk_steps <= plain.chunk_steps


@pytest.mark.parametrize(
    "choice",
    [
        *(("fashion_mlp", None), ("imdb_text", "bow"), ("autoencoder", "joint"), ("lstm", None)),
        ("transformer", None),
    ],
    ids=lambda choice: choice[0],
)
def test_every_step_has_so_many_samples_more(choice: tasks.Choice) -> None:
    name, variant = choice
    rows, counts = [], []
    for options in ({}, {tasks.BATCH_SCALE: "4"}):
        task = tasks.load(name, "smoke", "generated", variant, options)
        chunks = list(task.chunks("train"))
        first = {"imdb_text": "labels", "transformer": "targets"}.get(name, "inputs")
        leading = chunks[0]["images" if name == "fashion_mlp" else first]
        rows.append(leading.shape[1])
        counts.append(sum(map(task.samples, chunks)))
        assert {len(next(iter(chunk.values()))) for chunk in chunks} == {task.config.chunk_steps}
    assert rows[1] == 4 * rows[0]
    assert 0.5 * counts[0] < counts[1] <= counts[0]
    assert np.isfinite(counts).all()


@pytest.mark.parametrize(
    ("choice", "factor", "words"),
    [
        (("fewshot", "siamese"), "2", "more than so many samples"),
        (("autoencoder", "spectral"), "2", "more than so many samples"),
        (("fashion_mlp", None), "1000", "no batch as large as that"),
        (("lstm", None), "0", "whole number from 1"),
    ],
)
def test_what_cannot_be_is_refused(choice: tasks.Choice, factor: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        tasks.config(choice[0], "full", choice[1], {tasks.BATCH_SCALE: factor})


def test_a_timing_says_that_it_is_of_throughput_alone(tmp_path: Path) -> None:
    one = (*ASKED, "--backend", "numpy", "--task", "fashion_mlp")
    done = tetragrad(tmp_path, "time", *one, "--batch-scale", "4", "--batch-scale", "1")
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
    refused = tetragrad(tmp_path, "time", *ASKED, *able_and_not, *scales)
    assert_refused(refused, "fewshot cannot have batches 2 times as large")
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
