"""The comparison that decides whether a speed counts: it passes the same model and no other."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import backends
import tasks
from backends.numpy import fashion_mlp
from suite.records.events import Outcome
from suite.records.verdict import Deviation, Verdict
from suite.session.equivalence import compare
from suite.tracking import tracker as tracking
from suite.worker.trace import trace
from tasks import datasets
from tasks.task import Array, Envelope
from tests.suite.command import tetragrad
from tests.tiny import tiny_task

ROOT = Path(backends.__file__).parent.parent
ENVELOPE = Envelope(steps=10, loss=1e-12, gradient=1e-12, state=1e-12)


@pytest.fixture
def oracle() -> dict[str, Array]:
    task = tiny_task()
    program = fashion_mlp.build(task, task.initial(0).astype("float64"), None)
    return trace(task, program, seed=0, ends=(10,))


def verdict(findings: tuple[Deviation, ...]) -> Verdict:
    return Verdict("fashion_mlp", "torch", "float64", 10, findings)


def test_a_trace_holds_exactly_the_steps_that_were_asked_for(oracle: dict[str, Array]) -> None:
    assert oracle["loss"].shape == (10,)  # two and a half chunks
    assert oracle["loss"][0] == oracle["initial loss"][0]
    assert sum(name.startswith("gradient/") for name in oracle) == 4
    assert sum(name.startswith("state@10/") for name in oracle) == 8


def test_the_loss_may_be_allowed_more_from_stage_to_stage(oracle: dict[str, Array]) -> None:
    staged = replace(ENVELOPE, loss=((4, 1e-12), (10, 1e-6)))
    np.testing.assert_array_equal(staged.loss_tolerances(), [1e-12] * 4 + [1e-6] * 6)
    late, early = ({**oracle, "loss": oracle["loss"].copy()} for _ in range(2))
    late["loss"][4] *= 1 + 1e-7
    assert verdict(compare(late, oracle, staged)).verified
    assert not verdict(compare(late, oracle, ENVELOPE)).verified
    early["loss"][3] *= 1 + 1e-7
    assert str(verdict(compare(early, oracle, staged)).explanation).endswith(
        "loss differs first at step 4: error 1.0e-07, allowed 1e-12"
    )


@pytest.mark.parametrize("stages", [((4, 1e-12),), ((10, 1e-12), (4, 1e-6), (10, 1e-6))])
def test_stages_that_do_not_rise_to_the_last_step_are_an_error(
    stages: tuple[tuple[int, float], ...],
) -> None:
    with pytest.raises(ValueError, match="do not rise to 10 steps"):
        replace(ENVELOPE, loss=stages).loss_tolerances()


def test_the_same_model_passes(oracle: dict[str, Array]) -> None:
    near = {name: a * (1 + 1e-15) for name, a in oracle.items()}
    assert verdict(compare(near, oracle, ENVELOPE)).verified


@pytest.mark.parametrize(
    ("name", "entry", "named"),
    [
        ("initial loss", 0, "initial loss differs first at step 1"),
        ("gradient/hidden.bias", 0, "gradient differs most at hidden.bias"),
        ("loss", 6, "loss differs first at step 7"),
        ("state@10/output.kernel", 3, "state differs most at output.kernel"),
        ("state@10/v/output.bias", 3, "state differs most at v/output.bias"),
    ],
)
def test_the_first_leaf_or_step_that_parts_is_named(
    oracle: dict[str, Array], name: str, entry: int, named: str
) -> None:
    wrong = {key: a.copy() for key, a in oracle.items()}
    wrong[name].flat[entry] += 1e-9
    found = verdict(compare(wrong, oracle, ENVELOPE))
    assert not found.verified
    assert str(found.explanation).startswith(named)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "name", ["initial loss", "loss", "gradient/hidden.bias", "state@10/v/hidden.bias"]
)
def test_what_is_not_finite_never_passes(oracle: dict[str, Array], name: str, value: float) -> None:
    wrong = {**oracle, name: np.full_like(oracle[name], value)}
    found = verdict(compare(wrong, oracle, ENVELOPE))
    assert not found.verified
    assert "not finite" in str(found.explanation)


def test_a_leaf_that_is_missing_or_of_another_shape_never_passes(oracle: dict[str, Array]) -> None:
    missing = {name: a for name, a in oracle.items() if name != "gradient/output.bias"}
    assert "output.bias is missing" in str(verdict(compare(missing, oracle, ENVELOPE)).explanation)
    turned = {**oracle, "state@10/hidden.kernel": oracle["state@10/hidden.kernel"].T}
    assert "hidden.kernel is (6, 16), not (16, 6)" in str(
        verdict(compare(turned, oracle, ENVELOPE)).explanation
    )
    short = {**oracle, "loss": oracle["loss"][:-1]}
    assert "9 values, not 10" in str(verdict(compare(short, oracle, ENVELOPE)).explanation)


def test_a_loss_of_zero_equals_zero_and_nothing_else(oracle: dict[str, Array]) -> None:
    zero = {**oracle, "loss": np.zeros_like(oracle["loss"])}
    assert verdict(compare(zero, zero, ENVELOPE)).verified
    assert not verdict(compare({**zero, "loss": zero["loss"] + 1e-300}, zero, ENVELOPE)).verified


def test_a_worker_that_failed_verifies_nothing() -> None:
    failed = replace(verdict(()), outcome=Outcome.CRASHED, reason="killed by SIGKILL")
    assert not failed.verified
    assert failed.explanation == "crashed: killed by SIGKILL"


def test_an_envelope_longer_than_an_epoch_is_an_error_not_a_shorter_check() -> None:
    task = tiny_task()
    program = fashion_mlp.build(task, task.initial(0), None)
    with pytest.raises(ValueError, match="too short"):
        trace(task, program, seed=0, ends=(13,))


@pytest.mark.parametrize(
    ("file", "right", "wrong", "backend", "named"),
    [
        (
            "numpy/layers.py",
            "return x.T @ dy, xp.ones(len(dy), dy.dtype) @ dy",
            "return x.T @ dy, -xp.ones(len(dy), dy.dtype) @ dy",
            "numpy",
            "central differences differs most at hidden.bias",
        ),
        (
            "numpy/layers.py",
            "dz *= dloss / n",
            "dz *= dloss / (n + 1)",
            "numpy",
            "central differences differs most at hidden.kernel",
        ),
        (
            "torch/optimizers.py",
            "scale = torch._foreach_add(v, epsilon)\n                torch._foreach_rsqrt_(scale)",
            "scale = torch._foreach_sqrt(v)\n                torch._foreach_add_(scale, epsilon)"
            "\n                torch._foreach_reciprocal_(scale)",
            "torch",
            "loss differs first at step 2",
        ),
        (
            "jax/fashion_mlp.py",
            "jax.nn.relu(",
            "jax.numpy.abs(",
            "jax",
            "initial loss differs first at step 1",
        ),
        (
            "numpy/scatter.py",
            "values.reshape(-1)[places // channels]",
            "values.reshape(-1)[places // channels - 1]",
            "numpy",
            "central differences differs most at embedding.kernel",
        ),
        (
            "tensorflow/text.py",
            "tf.stack([winners, channels], axis=-1)",
            "tf.stack([tf.maximum(winners - 1, 0), channels], axis=-1)",
            "tensorflow",
            r"gradient differs most at embedding\.kernel.*; loss differs first at step 2",
        ),
    ],
    ids=[
        "wrong sign of a gradient",
        "wrong gradient of the loss",
        "epsilon outside the root",
        "another activation",
        "one wrong index in max pooling's backward",
        "one wrong index in max pooling's backward, not in NumPy",
    ],
)
def test_a_planted_error_is_caught_and_named(
    tmp_path: Path, file: str, right: str, wrong: str, backend: str, named: str
) -> None:
    plant(tmp_path, file, right, wrong)
    label = "imdb_text:embedding" if file.endswith(("text.py", "scatter.py")) else "fashion_mlp"
    options = ("--backend", backend, "--precision", "float64", "--data", "generated")
    done = tetragrad(tmp_path, "verify", "--task", label, *options, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done
    assert "FAILED" in done.stdout
    assert re.search(named, done.stdout)


def plant(folder: Path, file: str, right: str, wrong: str) -> None:
    """A copy of the program in ``folder`` with one error in it."""
    for package in ("suite", "tasks", "backends"):
        shutil.copytree(ROOT / package, folder / package)
    target = folder / "backends" / file
    source = target.read_text()
    assert source.count(right) == 1
    target.write_text(source.replace(right, wrong))


@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.parametrize(
    ("backend", "plant_of", "named"),
    [
        (
            "torch",
            ("torch/fashion_mlp.py", "relu=nn.ReLU()", "relu=nn.ELU()"),
            "initial loss differs first at step 1",
        ),
        (
            "numpy",
            ("numpy/layers.py", "return x.T @ dy, xp.ones", "return x.T @ dy, -xp.ones"),
            "central differences parts",  # it agrees with itself, which is not enough
        ),
    ],
)
def test_the_speed_of_another_model_is_marked_wherever_it_is_shown(
    tmp_path: Path, backend: str, plant_of: tuple[str, str, str], named: str
) -> None:
    plant(tmp_path, *plant_of)
    options = (
        "--task",
        "fashion_mlp",
        "--profile",
        "smoke",
        "--data",
        "generated",
        "--backend",
        backend,
    )
    done = tetragrad(tmp_path, "run", *options, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done
    assert re.search(rf"{backend}:eager .*k\? .* NO", done.stdout)
    assert f"{backend}:eager is NOT VERIFIED, its speed does not count: {named}" in done.stdout
    assert re.search(rf"{backend}-eager.*ok, [\d,]+ samples/s \(NOT VERIFIED\)", done.stderr)
    document = json.loads(
        tetragrad(tmp_path, "run", *options, "--json", PYTHONPATH=str(tmp_path)).stdout
    )
    (cell,) = document["cells"]
    assert (cell["outcome"], cell["verified"]) == ("ok", False)
    run = MlflowClient(tracking.default_uri(tmp_path / "results")).get_run(cell["mlflow_run"])
    assert run.info.run_name == f"{backend}:eager seed 0 (not verified)"
    assert run.data.tags["verified"] == "false"


# a model each; variants that are one of them without dropout, or in part, are left to `verify`
LABELS = (
    *("fashion_mlp", "imdb_text:bow", "imdb_text:bow_l2", "imdb_text:bow_batchnorm"),
    *("imdb_text:embedding", "autoencoder:joint", "fewshot:siamese", "fewshot:triplet"),
    *("lstm", "transformer"),
)


@pytest.mark.parametrize("label", LABELS)
def test_all_backends_compute_the_same_model(tmp_path: Path, label: str) -> None:
    dataset = datasets.source(tasks.DATASETS[label.partition(":")[0]])
    data = "generated" if datasets.missing(dataset) else "real"
    done = tetragrad(tmp_path, "verify", "--task", label, "--data", data)
    assert done.returncode == 0, done
    ran = sum(backends.load(b).available() is None for b in backends.NAMES)
    assert done.stdout.count(" same") == 2 * ran
