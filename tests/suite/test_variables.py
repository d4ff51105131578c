"""A worker gets nothing of its caller's environment that steers a library, or the ledger has it."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

import backends
from suite.system import environment, variables
from suite.system.environment import worker_environment

SWITCHES = (
    *("PYTHONMALLOC", "PYTHONTRACEMALLOC", "PYTHONDEVMODE", "PYTHONOPTIMIZE"),
    *("PYTHONPROFILEIMPORTTIME", "PYTHON_GIL", "PYTHON_JIT", "PYTHON_CPU_COUNT"),
    *("PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONUTF8", "PYTHONBREAKPOINT"),
    *("NPY_DISABLE_CPU_FEATURES", "NPY_PROMOTION_STATE", "NUMPY_MADVISE_HUGEPAGE"),
    *("SCIPY_ARRAY_API", "SKLEARN_ASSUME_FINITE", "LOKY_MAX_CPU_COUNT"),
    *("NUMEXPR_MAX_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_VERBOSE"),
    *("GOTO_NUM_THREADS", "FLEXIBLAS", "BLIS_NUM_THREADS", "VECLIB_X", "MKL_CBWR"),
    *("MKL_ENABLE_INSTRUCTIONS", "MKL_DYNAMIC", "OMP_PROC_BIND", "OMP_SCHEDULE"),
    *("KMP_AFFINITY", "KMP_BLOCKTIME", "GOMP_CPU_AFFINITY", "LIBGOMP_X", "MALLOC_CONF"),
    *("MALLOC_PERTURB_", "MIMALLOC_X", "TCMALLOC_X", "TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS"),
    *("TF_DETERMINISTIC_OPS", "TF2_BEHAVIOR", "KERAS_X", "AUTOGRAPH_VERBOSITY", "XLA_FLAGS"),
    *("JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION", "JAXLIB_X", "PJRT_X"),
    *("LIBTPU_INIT_ARGS", "TORCH_LOGS", "TORCHINDUCTOR_MAX_AUTOTUNE", "TORCHDYNAMO_DISABLE"),
    *("PYTORCH_CUDA_ALLOC_CONF", "ATEN_CPU_CAPABILITY", "LRU_CACHE_CAPACITY"),
    *("PRIMITIVE_CACHE_CAPACITY", "FBGEMM_ENABLE_INSTRUCTIONS", "USE_NNPACK", "IS_FBCODE"),
    *("DISABLE_ADDMM_CUDA_LT", "ENABLE_PERSISTENT_TMA_MATMUL", "TENSORIFY_PYTHON_SCALARS"),
    *("TRITON_F32_DEFAULT", "ONEDNN_MAX_CPU_ISA", "DNNL_DEFAULT_FPMATH_MODE"),
    *("CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_FORCE_PTX_JIT"),
    *("CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_X", "CUDNN_X", "NCCL_X", "NVIDIA_TF32_OVERRIDE"),
    *("CUPY_ACCELERATORS", "PYDEVD_X", "CI"),
    *("A_SWITCH_OF_NEXT_YEAR",),
)


@pytest.mark.parametrize("backend", backends.NAMES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_switch_reaches_a_worker(
    monkeypatch: pytest.MonkeyPatch, backend: str, device: str
) -> None:
    """A compiler is the user's to choose; its version is in the ledger."""
    before = worker_environment(backend, device, 1)
    for name in (*SWITCHES, *before.keys() - variables.passed(before).keys() - {"CXX"}):
        monkeypatch.setenv(name, "of the caller")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert worker_environment(backend, device, 1) == before


@pytest.mark.parametrize(
    "name",
    [
        *("PYTHONPATH", "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE"),
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_BIND_NOW", "DYLD_INSERT_LIBRARIES"),
        *("CC", "CPATH", "CUDA_HOME", "COVERAGE_PROCESS_START"),
    ],
)
def test_what_reaches_it_and_may_matter_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/there")
    own = worker_environment("numpy", "cpu", 1)
    assert own[name] == "/there"
    assert variables.told(own)[name] == "/there"


def test_whatever_reaches_it_is_told_set_here_or_says_who_and_where_the_user_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By construction, whatever the caller has."""
    secrets = {"MY_TOKEN": "s", "HOME": "/home/u", "LC_ALL": "C", "https_proxy": "http://u:p@x"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    own = worker_environment("numpy", "cpu", 1)
    monkeypatch.setattr(os, "environ", {})
    ours = worker_environment("numpy", "cpu", 1)
    rest = own.keys() - ours.keys() - variables.told(own).keys()
    assert "MY_TOKEN" not in own
    assert {"HOME", "LC_ALL", "https_proxy"} <= rest
    assert {name: own[name] for name in rest} == variables._named(own, variables.NEUTRAL)
    assert not set(secrets) & variables.told(own).keys()  # nothing private is in a record


@pytest.mark.parametrize("backend", backends.NAMES)
def test_what_is_told_is_the_same_for_all_backends(backend: str) -> None:
    """Else every comparison of two would have a difference."""
    own = worker_environment(backend, "cpu", 1)
    assert variables.told(own) == variables.told(os.environ)


def test_sets_have_one_order_and_users_have_no_settings_of_keras() -> None:
    assert worker_environment("jax", "cpu", 1)["PYTHONHASHSEED"] == "0"
    assert worker_environment("tensorflow", "cpu", 1)["KERAS_HOME"] == os.devnull


def test_a_worker_searches_where_its_parent_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -I`` has both flags."""
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.delenv("PYTHONNOUSERSITE", raising=False)
    flags = SimpleNamespace(ignore_environment=1, no_user_site=1)
    monkeypatch.setattr(environment, "sys", SimpleNamespace(flags=flags, path=sys.path))
    own = worker_environment("numpy", "cpu", 1)
    assert "PYTHONPATH" not in own
    assert (own["PYTHONNOUSERSITE"], own["PYTHONHASHSEED"]) == ("1", "0")
