"""TensorFlow: Keras layers, one ``tf.function`` per chunk, of the runtime's kernels or of XLA's."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from backends.program import Unavailable
from tasks.task import Array, Precision, dtype_of

TITLE = "TensorFlow"
FRAMEWORK = "tensorflow"
PACKAGES = ("tensorflow", "tensorflow_cpu", "keras")
DEVICES = ("cpu", "cuda")
ONLY_ON: Mapping[str, str] = {}
MODES = ("graph", "xla")
REWRITING = "auto_mixed_precision_onednn_bfloat16"
"""TensorFlow's name for what PyTorch calls autocast."""
mode = MODES[0]
"""How programs are run, set by ``configure``."""
rewritten = False
"""True if products are of bfloat16; set by ``configure``."""
NEEDLESS = ("PIL", "matplotlib", "pandas", "scipy", "sklearn", "torch")
"""Packages that TensorFlow and Keras import with themselves where they are installed: with JAX they
took half of the time of the import and 270 of its 750 MB, and no program of ours needs them."""


@contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    """Packages of these names are as if not installed, but for those imported before."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # an ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def available(mode: str = MODES[0]) -> str | None:
    if importlib.util.find_spec(FRAMEWORK) is None:
        return "TensorFlow is not installed: pip install 'tetragrad[tensorflow]'"
    return None


def environment(device: str, threads: int) -> Mapping[str, str]:
    return {
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": os.devnull,  # no settings of the user's own, from keras.json
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def configure(device: str, threads: int, precision: Precision, mode: str = MODES[0]) -> None:
    if precision == "bfloat16" and device == "cuda":
        raise Unavailable("TensorFlow rewrites graphs for bfloat16 on the CPU alone: --device cpu")
    if precision == "tf32" and device == "cpu":
        raise Unavailable("TF32 is a format of NVIDIA's tensor cores: --device cuda")
    sys.modules.setdefault("jax", None)  # type: ignore[arg-type]  # no second framework ever
    with _hidden(NEEDLESS):
        import tensorflow as tf

    globals().update(mode=mode, rewritten=precision == "bfloat16")
    if rewritten or tf.config.optimizer.get_experimental_options().get(REWRITING):
        # products become those of bfloat16, what must be exact remains of float32
        tf.config.optimizer.set_experimental_options({REWRITING: rewritten})
    tf.keras.config.set_floatx(dtype_of(precision))
    tf.keras.config.set_dtype_policy(dtype_of(precision))  # or that of an earlier call stays
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    kind = {"cpu": "CPU", "cuda": "GPU"}[device]
    if not tf.config.list_physical_devices(kind):
        raise Unavailable(f"TensorFlow has no device {device!r} here: it lists no {kind}")


def describe() -> dict[str, Any]:
    import tensorflow as tf

    threads = {
        "intra_op": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter_op": tf.config.threading.get_inter_op_parallelism_threads(),
    }
    precision = {
        "tensor_float_32_execution": tf.config.experimental.tensor_float_32_execution_enabled(),
        REWRITING: tf.config.optimizer.get_experimental_options().get(REWRITING, False),
    }
    devices = [d.name for d in tf.config.list_logical_devices()]
    return {"devices": devices, "threads": threads, "precision": precision}


def repeatable(device: str, threads: int) -> str | None:
    return None if device == "cpu" else "some kernels on a GPU add in an order that varies"


def product(a: Array, b: Array) -> Array:
    import tensorflow as tf

    # in a graph, as programs are: its threads are other ones than the caller's
    matmul = tf.function(tf.linalg.matmul, jit_compile=mode == "xla" or None)
    found: Array = matmul(tf.constant(a), tf.constant(b)).numpy()
    return found


def multiplier(a: Array, b: Array) -> Callable[[], object]:
    import tensorflow as tf

    x, y = (tf.cast(factor, tf.bfloat16 if rewritten else factor.dtype) for factor in (a, b))
    matmul = tf.function(tf.linalg.matmul, jit_compile=mode == "xla" or None)

    def multiply() -> object:
        found: object = matmul(x, y)
        tf.test.experimental.sync_devices()
        return found

    return multiply


def start_device_clock() -> Callable[[], float] | None:
    return None
