"""A task by its parameters, optimiser and batches: what it gets without saying so, and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import safetensors.numpy

import tasks
from suite.records.specification import about
from suite.worker.trace import steps_between
from tasks import weights
from tasks.own import default_envelopes
from tasks.task import Leaf, Precision, RequestError, Task
from tests.folders import TASK, written

LEAVES = {"hidden.kernel": Leaf((3, 2), None), "hidden.bias": Leaf((2,), None)}  # type: ignore[arg-type]
KERNEL = np.arange(6, dtype=np.float32).reshape(3, 2) / 8  # exact in bfloat16 too
BIAS = np.array([0.5, -2.0], np.float32)


def loaded(folder: Path, **changes: str) -> Task:
    lines = "".join(f"    {name} = {value}\n" for name, value in changes.items())
    address = str(written(folder, TASK.replace("    def batch", f"{lines}\n    def batch")))
    return tasks.load(address, "full", "real")


def test_what_a_task_has_without_saying_so(tmp_path: Path) -> None:
    task = loaded(tmp_path / "port")
    assert (task.unit, task.targets, task.validation) == ("samples/s", (), "train_loss")
    assert {*task.envelopes} == {*get_args(Precision)}
    chunks = list(task.chunks("train", 0, 1))
    assert [len(chunk["labels"]) for chunk in chunks] == [4, 2]
    assert sorted(len(chunk["labels"]) for chunk in task.shapes(0)) == [2, 4]
    assert [task.samples(chunk) for chunk in chunks] == [32, 16]
    assert task.operations(chunks[0]) == 0
    assert task.config.batch == 8
    assert about(task)["provenance"]["dataset"] == "port"
    assert [kind for kind, _ in task.evaluation_kinds()] == ["scoring"]
    (test,) = task.chunks("test")
    assert not any(np.array_equal(test["images"][0], chunk["images"][0]) for chunk in chunks)


def test_an_epoch_may_be_shorter_than_the_proof(tmp_path: Path) -> None:
    task = loaded(tmp_path / "port")
    steps = max(envelope.steps for envelope in task.envelopes.values())
    assert steps > task.config.steps
    assert sum(len(c["labels"]) for c in steps_between(task, 0, 0, steps)) == steps


def test_the_proof_may_be_of_more_steps_or_fewer() -> None:
    for steps in (3, 200):
        envelopes = default_envelopes(steps)
        assert envelopes["float64"].steps == steps
        assert {e.steps for p, e in envelopes.items() if p != "float64"} == {min(steps, 10)}
        for envelope in envelopes.values():
            assert len(envelope.loss_tolerances()) == envelope.steps


def test_other_data_have_another_digest(tmp_path: Path) -> None:
    first = loaded(tmp_path / "a" / "port").provenance
    other = TASK.replace("rng.random(", "-rng.random(")
    address = str(written(tmp_path / "b" / "port", other))
    assert tasks.load(address, "full", "real").provenance.digest != first.digest
    assert loaded(tmp_path / "c" / "port").provenance == first


class TestWeights:
    @pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
    def test_are_what_training_starts_from(self, tmp_path: Path, suffix: str) -> None:
        rng = np.random.default_rng(0)
        kernel, bias = rng.random((6, 16), np.float32), rng.random(6, np.float32)
        tree = {"fc1.weight": kernel, "hidden.bias": bias}
        _save(tmp_path / f"first{suffix}", tree)
        names = "{'hidden.kernel': 'fc1.weight.T', 'output.kernel': None, 'output.bias': None}"
        path = f"'../first{suffix}'"
        task = loaded(tmp_path / "port", weights=path, weight_names=names)
        state = task.initial(0)
        np.testing.assert_array_equal(state.params["hidden.kernel"], kernel.T)
        np.testing.assert_array_equal(state.params["hidden.bias"], bias)
        drawn = loaded(tmp_path / "drawn")
        np.testing.assert_array_equal(
            state.params["output.kernel"], drawn.initial(0).params["output.kernel"]
        )
        assert task.provenance.digest != drawn.provenance.digest

    def test_of_16_bits_are_read(self, tmp_path: Path) -> None:
        halves = (KERNEL.view(np.uint32) >> 16).astype(np.uint16)
        spec: Any = safetensors.TensorSpec(
            dtype="bfloat16",
            shape=[3, 2],
            data_ptr=halves.ctypes.data,
            data_len=halves.nbytes,
        )
        (tmp_path / "w.safetensors").write_bytes(safetensors.serialize({"k": spec}, None))
        np.testing.assert_array_equal(weights.read(tmp_path / "w.safetensors")["k"], KERNEL)

    def test_of_a_convolution_turn_as_in_pytorch(self, tmp_path: Path) -> None:
        kernel = np.random.default_rng(0).random((4, 3, 5, 6), np.float32)  # out, in, height, width
        np.savez(tmp_path / "w.npz", conv=kernel)
        leaf = {"c.kernel": Leaf((5, 6, 3, 4), np.ones)}  # type: ignore[arg-type]
        found = weights.chosen(tmp_path / "w.npz", leaf, {"c.kernel": "conv.T"})
        assert found["c.kernel"][1, 2, 0, 3] == kernel[3, 0, 1, 2]

    @pytest.mark.parametrize(
        ("names", "said"),
        [
            ({}, r"has no 'hidden.bias'.*say in weight_names.*: b, hidden.kernel"),
            ({"hidden.bias": "bb"}, r"has no 'bb'; did you mean 'b'"),
            (
                {"hiden.bias": "b"},
                r"'hiden.bias', which is no parameter; did you mean 'hidden.bias'",
            ),
            ({"hidden.bias": "hidden.kernel"}, r"is \(3, 2\), and hidden.bias is \(2,\)"),
        ],
    )
    def test_that_do_not_fit_are_named(
        self, tmp_path: Path, names: dict[str, str | None], said: str
    ) -> None:
        _save(tmp_path / "w.npz", {"hidden.kernel": KERNEL, "b": BIAS})
        with pytest.raises(RequestError, match=said):
            weights.chosen(tmp_path / "w.npz", LEAVES, names)

    def test_in_pytorch_s_layout_are_recognised(self, tmp_path: Path) -> None:
        _save(tmp_path / "w.npz", {"hidden.kernel": KERNEL.T, "hidden.bias": BIAS})
        with pytest.raises(RequestError, match=r"PyTorch's layout write 'hidden\.kernel\.T'"):
            weights.chosen(tmp_path / "w.npz", LEAVES, {})

    def test_that_cannot_be_read_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "w.npz").write_text("no weights")
        (tmp_path / "w.safetensors").write_text("no weights")
        for name, said in (
            ("w.npz", "cannot be read"),
            ("w.safetensors", "cannot be read"),
            ("w.pt", "give one of .npz or .safetensors"),
            ("x.npz", "there is no file of weights"),
        ):
            with pytest.raises(RequestError, match=said):
                weights.read(tmp_path / name)


def _save(path: Path, tree: Any) -> None:
    if path.suffix == ".npz":
        np.savez(path, **tree)
    else:
        safetensors.numpy.save_file({n: np.ascontiguousarray(a) for n, a in tree.items()}, path)
