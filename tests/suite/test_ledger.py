"""The ledger: what workers read, what cannot be read, and what counts as a difference."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backends.jax
import backends.numpy
from suite.records.differences import Difference, differences, readings
from suite.records.events import Described, Event
from suite.records.record import Record
from suite.session.process import WORKER, launch
from suite.worker import probes, rates
from tasks.task import Array, Precision, State
from tests.suite.examples import CELL, example_record
from tests.suite.machine import write

AS_USUAL = {
    "threads": {"blas:openblas": 1},
    "products": "all digits",
    "denormals": "kept",
    "affinity": [0, 1],
    "cpu_quota": "none",
}


def record(backend: str, worker: dict[str, Any], threads: int = 1) -> Record:
    cell = replace(CELL, backend=backend, threads=threads)
    return replace(example_record(), cell=cell, worker=worker)


def described(before: str = "") -> Record:
    """The record of a real worker of NumPy that does ``before`` first."""
    events: list[Event] = []
    program = f"import os, sys\n{before}\nos.execv(sys.executable, {list(WORKER)} + sys.argv[1:])"
    ending = launch(CELL, "describe", events.append, command=(sys.executable, "-c", program))
    assert ending.outcome == "ok", ending.stderr
    assert isinstance(events[0], Described)
    return record("numpy", events[0].worker)


@pytest.fixture(scope="module")
def usual() -> Record:
    return described()


class TestRealWorkers:
    def test_equal_settings_are_no_difference(self, usual: Record) -> None:
        torch: list[Event] = []
        cell = replace(CELL, backend="torch")
        if launch(cell, "describe", torch.append).outcome == "skipped":
            pytest.skip("PyTorch is not installed")
        assert isinstance(torch[0], Described)
        worker = torch[0].worker
        assert "intra_op" in worker["threads"]  # a pool that only one has
        assert differences([usual, described(), replace(usual, cell=cell, worker=worker)]) == ()

    def test_more_threads_are_found_in_the_pool_itself(self, usual: Record) -> None:
        more = described("os.environ['OPENBLAS_NUM_THREADS'] = '2'")
        pool = "blas:openblas"
        if pool not in usual.worker["threads"]:
            pytest.skip("NumPy has another BLAS here")
        assert (usual.worker["threads"][pool], more.worker["threads"][pool]) == (1, 2)
        other = replace(more, cell=replace(CELL, mode="other"))
        (found,) = differences([usual, other])
        assert found.values == {"numpy:eager": "1", "numpy:other": f"{pool} 2"}
        assert found.parts("numpy:eager", "numpy:other")
        assert str(found) == f"threads: 1 (numpy:eager); {pool} 2 (numpy:other)"

    def test_what_a_worker_was_let_have_of_its_callers_variables(self, usual: Record) -> None:
        own = described("os.environ |= {'LD_BIND_NOW': '1', 'PYTHONOPTIMIZE': '1'}")
        assert own.worker["environment"] == usual.worker["environment"] | {"LD_BIND_NOW": "1"}
        assert "optimize=1" in own.worker["interpreter"]["flags"]
        other = replace(own, cell=replace(CELL, mode="other"))
        facts = [difference.fact for difference in differences([usual, other])]
        assert facts == ["environment variables", "interpreter"]

    @pytest.mark.skipif(
        not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
        reason="there is no second processor to do without",
    )
    def test_another_affinity_and_allocator_are_found(self, usual: Record) -> None:
        one = min(os.sched_getaffinity(0))
        pinned = described(
            f"os.sched_setaffinity(0, {{{one}}}); os.environ.pop('MALLOC_TRIM_THRESHOLD_')"
        )
        assert pinned.worker["affinity"] == [one]
        found = differences([usual, replace(pinned, cell=replace(CELL, mode="other"))])
        assert {d.fact for d in found} == {"CPU affinity", "allocator"}


class TestProbes:
    @pytest.mark.parametrize("precision", ["float32", "float64"])
    def test_flushing_and_rounding_are_found_by_computing(self, precision: Precision) -> None:
        tiny = np.finfo(precision).tiny

        def flushing(a: Array, b: Array) -> Array:
            found: Array = a @ b
            found[np.abs(found) < tiny] = 0
            return found

        def rounding(a: Array, b: Array) -> Array:
            found: Array = a.astype("float16") @ b.astype("float16")
            return found.astype(precision)

        assert probes._denormals(np.matmul, precision) == "kept"
        assert probes._denormals(flushing, precision) == "flushed to zero"
        half = probes._denormals(lambda a, b: np.triu(a @ b), precision)
        assert half == "partly flushed to zero"
        assert probes._products(np.matmul, precision) == "all digits"
        assert probes._products(flushing, precision) == "all digits"
        assert probes._products(rounding, precision) == "rounded to 11 bits"

    def test_pools_that_cannot_be_read_cost_nothing_and_are_no_difference(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("threadpoolctl.threadpool_info", unreadable)
        threads = probes._pools()
        assert threads == {"pools": "not readable"}
        assert differences([record("numpy", {"threads": threads}), record("jax", AS_USUAL)]) == ()

    def test_a_trace_function_is_seen(self) -> None:
        before = sys.gettrace()
        assert probes._interpreter()["build"].startswith(platform.python_version())
        sys.settrace(lambda *event: None)
        try:
            watched = probes._interpreter()["watched by"]
        finally:
            sys.settrace(before)
        assert "a trace function" in watched

    def test_a_library_that_is_there_twice_is_read_twice(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pool = {"user_api": "blas", "internal_api": "openblas"}
        info = [{**pool, "num_threads": count} for count in (1, 2)]
        monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: info)
        assert probes._pools() == {"blas:openblas": 1, "blas:openblas#2": 2}

    def test_denormals_that_training_leaves_are_found(self) -> None:
        info = np.finfo(np.float32)
        values = [0, -0.0, 1, info.tiny, info.tiny / 2, -info.smallest_subnormal, np.inf, np.nan]
        leaf = np.array(values, np.float32)
        state = State({"a": leaf, "b": leaf[::2]}, {"v": {"a": leaf}})
        found = probes.after_training(state, processor_seconds=3.0, seconds=2.0)
        assert found["denormals_left"] == 5 / 20  # both, the one in every other, both
        assert found["cores_used"] == 1.5
        assert probes.after_training(state, 0, 0)["cores_used"] is None


CPU = "sys/devices/system/cpu"


class TestSystem:
    def test_what_cannot_be_read_is_said_to_be_so(self, tmp_path: Path) -> None:
        found = probes.system(tmp_path)
        del found["affinity"]
        assert found.pop("preloaded") == "none"  # most systems have no such file
        assert set(found.values()) == {"not readable"}

    def test_what_is_written_otherwise_is_not_readable_and_costs_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = {f"{CPU}/cpufreq/boost": "<unknown>", f"{CPU}/intel_pstate/no_turbo": "?"}
        texts["proc/self/cgroup"] = "0\n0:cpu\n\n5:cpu:/a:b\n0::/../c"
        texts["sys/kernel/mm/transparent_hugepage/enabled"] = "always"
        for cpu in os.sched_getaffinity(0):
            texts[f"{CPU}/cpu{cpu}/cpufreq/scaling_cur_freq"] = "<unknown>"
            (tmp_path / f"{CPU}/cpu{cpu}/cpufreq/scaling_governor").mkdir(parents=True)
        for text in ("100000", "a b", "100000 0", "100000 period 1"):
            texts["sys/fs/cgroup/cpu.max"] = text
            texts["sys/fs/cgroup/cpu.stat"] = text
            found = probes.system(write(tmp_path, texts))
            assert isinstance(found.pop("affinity"), list)
            assert set(found.values()) == {"none", "not readable"}, text  # none is preloaded
        monkeypatch.setattr(os, "sched_getaffinity", unreadable)
        assert probes.system(tmp_path)["affinity"] == "not readable"

    def test_a_library_that_the_system_loads_into_every_process(self, tmp_path: Path) -> None:
        root = write(tmp_path, {"etc/ld.so.preload": "/lib/libjemalloc.so"})
        assert probes.system(root)["preloaded"] == "/lib/libjemalloc.so"

    def test_a_thread_that_ends_while_it_is_read_is_left_out(self, tmp_path: Path) -> None:
        tasks = tmp_path / "proc/self/task"
        write(tmp_path, {f"proc/self/task/{n}/comm": "worker" for n in (1, 2)})
        (tasks / "3").mkdir()  # it was listed, and its files are gone
        (tasks / "4").mkdir()
        (tasks / "4/comm").write_bytes("Übermäß".encode()[:-1])  # cut after 15 bytes
        assert probes._running_threads(tmp_path) == {"worker": 2, "Übermä\ufffd": 1}
        assert probes._running_threads(tmp_path / "nothing") == "not readable"
        for folder in (1, 2):
            (tasks / f"{folder}/comm").write_text("tf_XLAEigen\n")
        assert backends.jax._eigen_pool(tasks) == 2
        assert backends.jax._eigen_pool(tmp_path / "nothing") == "not readable"

    def test_governor_boost_frequency_and_huge_pages(self, tmp_path: Path) -> None:
        texts = {"sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never"}
        texts[f"{CPU}/cpufreq/boost"] = "0"
        for cpu in os.sched_getaffinity(0):
            texts[f"{CPU}/cpu{cpu}/cpufreq/scaling_governor"] = "powersave"
            texts[f"{CPU}/cpu{cpu}/cpufreq/scaling_cur_freq"] = "2600000"
        found = probes.system(write(tmp_path, texts))
        assert (found["governor"], found["boost"]) == ("powersave", "off")
        assert found["huge_pages"] == "madvise"
        assert set(found["frequency_khz"]) == {2_600_000}

    @pytest.mark.parametrize(
        ("name", "text", "expected"),
        [
            ("cpufreq/boost", "1", "on"),
            ("intel_pstate/no_turbo", "1", "off"),
            ("intel_pstate/no_turbo", "0", "on"),
        ],
    )
    def test_boost_by_either_driver(
        self, tmp_path: Path, name: str, text: str, expected: str
    ) -> None:
        assert probes.system(write(tmp_path, {f"{CPU}/{name}": text}))["boost"] == expected

    @pytest.mark.parametrize(
        ("texts", "expected"),
        [
            ({"a/cpu.max": "max 100000", "a/b/cpu.max": "max 100000"}, "none"),
            ({"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1.5),
            ({"a/cpu.max": "150000 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
            ({"a/cpu.max": "50000 100000", "a/b/cpu.max": "150000 100000"}, 0.5),
            ({}, "not readable"),
        ],
    )
    def test_the_quota_is_the_smallest_on_the_way_up(
        self, tmp_path: Path, texts: dict[str, str], expected: float | str
    ) -> None:
        files = {f"sys/fs/cgroup/{name}": text for name, text in texts.items()}
        root = write(tmp_path, {"proc/self/cgroup": "0::/a/b", **files})
        assert probes.system(root)["cpu_quota"] == expected

    def test_the_quota_of_the_first_version(self, tmp_path: Path) -> None:
        groups = "5:memory:/x\n4:cpu,cpuacct:/x"
        folder = "sys/fs/cgroup/cpu,cpuacct/x"
        texts = {"proc/self/cgroup": groups, f"{folder}/cpu.cfs_quota_us": "250000"}
        texts[f"{folder}/cpu.cfs_period_us"] = "100000"
        assert probes.system(write(tmp_path, texts))["cpu_quota"] == 2.5
        write(tmp_path, {f"{folder}/cpu.cfs_quota_us": "-1"})
        assert probes.system(tmp_path)["cpu_quota"] == "none"


class TestDifferences:
    @pytest.mark.parametrize(
        ("changed", "fact"),
        [
            ({"threads": {"eigen_pool": 2}}, "threads"),
            ({"products": "rounded"}, "factors of products"),
            ({"affinity": [0]}, "CPU affinity"),
            ({"cpu_quota": 1.5}, "CPU quota"),
            ({"cores_used": 1.9}, "cores used"),
        ],
    )
    def test_what_matters_for_speed_is_told(self, changed: dict[str, Any], fact: str) -> None:
        one, other = {**AS_USUAL, "cores_used": 0.9}, {**AS_USUAL, "cores_used": 1.0, **changed}
        (found,) = differences([record("numpy", one), record("jax", other)])
        assert found.fact == fact
        assert set(found.values) == {"numpy:eager", "jax:eager"}

    def test_what_a_worker_did_not_say_is_no_difference(self) -> None:
        workers: list[dict[str, Any]] = [AS_USUAL, {}, {"threads": {"own": 1}}]
        assert differences([record(f"b{n}", worker) for n, worker in enumerate(workers)]) == ()
        assert not Difference("a", {"x": "1"}).parts("x", "y")

    def test_denormals_matter_once_there_are_some(self) -> None:
        flushed = record("jax", {**AS_USUAL, "denormals": "flushed to zero", "denormals_left": 0})
        none = record("numpy", {**AS_USUAL, "denormals_left": 0})
        few = record("numpy", {**AS_USUAL, "denormals_left": 1e-4})
        some = record("torch", {**AS_USUAL, "denormals_left": 0.01})
        assert differences([flushed, none, few]) == ()
        (found,) = differences([flushed, none, some])
        assert found.fact == "denormals"
        assert found.parts("jax:eager", "torch:eager")
        assert not found.parts("jax:eager", "numpy:eager")
        assert readings(some.worker)["denormals"] == "kept, and met in training"

    def test_it_is_told_who_parts_from_whom(self) -> None:
        found = [record("numpy", AS_USUAL), record("torch", AS_USUAL)]
        (pinned,) = differences([*found, record("jax", {**AS_USUAL, "affinity": [0]})])
        assert pinned.parts("numpy:eager", "jax:eager")
        assert not pinned.parts("numpy:eager", "torch:eager")

    def test_seeds_of_one_backend_may_differ_too(self) -> None:
        (found,) = differences(
            [record("numpy", AS_USUAL), record("numpy", {**AS_USUAL, "affinity": [1]})]
        )
        assert found.values == {"numpy:eager": "0, 1 / 1"}


def unreadable(*given: Any) -> Any:
    raise OSError(22, "Invalid argument")


def test_rates_are_work_over_median_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []

    def half_a_second(work: Any) -> float:
        done.append(work())
        return 0.5

    monkeypatch.setattr(rates, "_median_seconds", half_a_second)
    assert rates.matmul_rate(backends.numpy.multiplier, (3, 7, 5), "float32") == 4 * 7**3
    assert [(a.shape, a.dtype) for a in done] == [((n, n), np.float32) for n in (3, 7, 5)]
    monkeypatch.setattr(rates, "COPIED", 1 << 20)
    monkeypatch.setattr(os, "sysconf", unreadable)
    assert rates.copy_rate(threads=3) == 4 * 2**20


def test_the_median_is_over_enough_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lengths = [0.0], iter([9.0, 0.1, 0.1, 0.3, 0.2, 0.2, 5.0])

    def work() -> None:
        now[0] += next(lengths)

    monkeypatch.setattr("suite.worker.rates.time.perf_counter", lambda: now[0])
    assert rates._median_seconds(work) == pytest.approx(0.2)
    assert next(lengths) == 5.0  # five runs were enough; the first one is not counted
    lengths = iter([4.0, 4.0, 4.0])
    assert rates._median_seconds(work) == pytest.approx(4.0)
    assert next(lengths) == 4.0  # of a slow one, a single run is
