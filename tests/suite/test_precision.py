"""Precision as an axis: what is set, what is found by computing, and who has none of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest

import backends
import tasks
from backends.program import Unavailable
from suite.records import record as records
from suite.worker import probes
from tasks.task import Precision
from tests.suite import attained
from tests.suite.command import in_process
from tests.tasks.tiny import tiny

SMOKE = (
    *("--task", "fashion_mlp", "--profile", "smoke", "--data", "generated"),
    *("--timing-limit", "0"),
)


@pytest.mark.parametrize("choice", tasks.choices(tasks.ALL), ids=str)
def test_every_task_has_an_envelope_in_each(choice: tasks.Choice) -> None:
    envelopes = tiny(choice).envelopes
    assert set(envelopes) == set(get_args(Precision))
    for envelope in envelopes.values():
        assert len(envelope.loss_tolerances()) == envelope.steps
        assert 0 < envelope.gradient < 2  # what a wrong sign differs by
    first = {precision: e.loss_tolerances()[0] for precision, e in envelopes.items()}
    assert first["float64"] < first["float32"] < first["tf32"]
    for at in (first, {precision: e.gradient for precision, e in envelopes.items()}):
        assert 8 * at["tf32"] == at["bfloat16"]


@pytest.mark.parametrize("backend", backends.NAMES)
def test_there_is_no_tf32_on_the_cpu(backend: str) -> None:
    with pytest.raises(Unavailable, match=r"tf32|TF32 .* --device cuda"):
        backends.load(backend).configure("cpu", 1, "tf32")


def test_a_setting_without_effect_is_found() -> None:
    exact: Any = SimpleNamespace(product=np.matmul)
    with pytest.raises(Unavailable, match="not of bfloat16 here: all digits"):
        probes.require_products(exact, "bfloat16")
    probes.require_products(exact, "float32")


class TestBfloat16:
    @pytest.fixture(scope="class")
    @staticmethod
    def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
        folder = tmp_path_factory.mktemp("bfloat16")
        # whose are the highest is for test_preparation; emulated, they take it half a minute
        attained.plant("tensorflow", "bfloat16", matmul=1.0)
        asked = (*SMOKE, "--precision", "bfloat16", "--tracking", "none", "--json")
        return folder, in_process(folder, "run", *asked)

    def test_who_has_it_is_verified_and_learns(self, run: tuple[Path, Any]) -> None:
        folder, done = run
        assert done.returncode == 0, done.stderr
        cells = {cell["backend"]: cell for cell in json.loads(done.stdout)["cells"]}
        there = ["torch", "tensorflow"]
        if "as computing shows" in (cells["tensorflow"]["reason"] or ""):
            there.remove("tensorflow")  # which rewrites graphs where the processor has bfloat16
        for name in there:
            cell = cells[name]
            assert (cell["outcome"], cell["precision"], cell["verified"]) == (
                "ok",
                "bfloat16",
                True,
            )
            assert cell["metrics"]["test_accuracy"] > 0.3  # ten classes: chance is 0.1
        found = [records.read(path) for path in records.all_paths(folder / "results")]
        own = {r.cell.backend: r for r in found if r.cell.backend in there}
        torch = own["torch"]
        assert torch.attainable["matmul"] > 1.0
        for record in own.values():
            assert record.attainable == torch.attainable
            assert record.worker["products"] == "rounded to 8 bits"
        assert torch.worker["precision"]["autocast"] == "bfloat16"
        if "tensorflow" in own:
            rewriting = "auto_mixed_precision_onednn_bfloat16"
            assert own["tensorflow"].worker["precision"][rewriting]

    def test_who_has_not_is_skipped_and_says_why(self, run: tuple[Path, Any]) -> None:
        cells = {cell["backend"]: cell for cell in json.loads(run[1].stdout)["cells"]}
        assert {cells[name]["outcome"] for name in ("numpy", "jax")} == {"skipped"}
        assert "NumPy's products are not of bfloat16" in cells["numpy"]["reason"]
        assert "all digits, as computing shows" in cells["jax"]["reason"]
