"""A stand-in for CuPy without a GPU: NumPy's arithmetic on arrays that lie on a "device".

What CuPy refuses, it refuses: a device array is not converted to one of the host unasked, nor
computed with one of the host. It counts every transfer, and does not let an assignment by index
hit a place twice, where CuPy does not say which one holds. A product returns before it is done:
the device has ``PRODUCT`` seconds of work more, which whoever waits for it sits out.
"""

from __future__ import annotations

import operator
import time
import types
from collections import Counter
from typing import Any

import numpy as np

transfers: Counter[str] = Counter()
"""How often arrays were moved, ``to device`` and ``to host``, and the device ``waited`` for."""


PRODUCT = 1e-3
_done = [0.0]
"""When the device has done all that was begun, by the wall clock."""


def begin_work(seconds: float) -> None:
    """More for the device to do."""
    _done[0] = max(_done[0], time.perf_counter()) + seconds


def wait() -> None:
    """Until it is done."""
    time.sleep(max(0.0, _done[0] - time.perf_counter()))


class Event:
    """When the device comes to where it was recorded."""

    def record(self) -> None:
        self.at = max(_done[0], time.perf_counter())

    def synchronize(self) -> None:
        wait()


class DeviceArray:
    """An array on the device."""

    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]
    device = types.SimpleNamespace(id=0)

    def __init__(self, host: Any):
        self._host = host

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # __array_interface__, say
            raise AttributeError(name)
        return wrapped(getattr(self._host, name))

    def __getitem__(self, key: Any) -> Any:
        return wrapped(self._host[bare(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, DeviceArray) and key.dtype.kind != "b":
            assert len(np.unique(key._host)) == key.size, "one place is assigned twice"
        self._host[bare(key)] = bare(value)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __index__(self) -> int:
        return operator.index(self._host)


def _operator(name: str) -> Any:
    def apply(self: DeviceArray, *others: Any) -> Any:
        found = getattr(self._host, name)(*(bare(other) for other in others))
        if "matmul" in name:
            begin_work(PRODUCT)
        return self if found is self._host else wrapped(found)

    return apply


for _name in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
]:
    for _form in ("", "r", "i"):
        setattr(DeviceArray, f"__{_form}{_name}__", _operator(f"__{_form}{_name}__"))
for _name in ["neg", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"]:
    setattr(DeviceArray, f"__{_name}__", _operator(f"__{_name}__"))


def bare(value: Any) -> Any:
    """The value that NumPy computes with; TypeError for an array of the host's."""
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, (tuple, list)):
        return type(value)(bare(one) for one in value)
    return value._host if isinstance(value, DeviceArray) else value


def wrapped(found: Any) -> Any:
    """The same on the device; a scalar is an array there."""
    if isinstance(found, (np.ndarray, np.generic)):
        return DeviceArray(np.asarray(found))
    if isinstance(found, (tuple, list)):
        return type(found)(wrapped(one) for one in found)
    return _Function(found) if callable(found) and not isinstance(found, type) else found


class _Function:
    """A function or method of NumPy's, of and on the device."""

    def __init__(self, own: Any):
        self._own = own

    def __call__(self, *given: Any, **named: Any) -> Any:
        bare_named = {name: bare(value) for name, value in named.items()}
        found = self._own(*map(bare, given), **bare_named)
        return named["out"] if named.get("out") is not None else wrapped(found)

    def __getattr__(self, name: str) -> Any:
        return _Function(getattr(self._own, name))


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return wrapped(getattr(np, name))

    def asarray(self, a: Any) -> DeviceArray:
        if isinstance(a, DeviceArray):
            return a
        transfers["to device"] += 1
        return DeviceArray(np.array(a))

    def asnumpy(self, a: DeviceArray) -> Any:
        transfers["to host"] += 1
        wait()
        return np.array(a._host)


class _Generator:
    def __init__(self, seed: int):
        self._own = np.random.default_rng(seed)

    def random(self, shape: tuple[int, ...], dtype: Any) -> DeviceArray:
        return DeviceArray(self._own.random(shape, dtype=dtype))


def cupy(cards: int = 1) -> types.ModuleType:
    """The module, on a machine with so many cards."""
    module = _Module("cupy")

    def synchronize() -> None:
        transfers["waited"] += 1
        wait()

    stream = types.SimpleNamespace(synchronize=synchronize)

    def zeros(*given: Any, **named: Any) -> Any:
        if not cards:
            raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected\nmore")
        return wrapped(np.zeros(*given, **named))

    own: dict[str, Any] = {
        "zeros": zeros,
        "cuda": types.SimpleNamespace(
            get_current_stream=lambda: stream,
            Event=Event,
            get_elapsed_time=lambda begin, end: 1e3 * (end.at - begin.at),
            runtime=types.SimpleNamespace(getDeviceCount=lambda: cards),
        ),
        "random": types.SimpleNamespace(Generator=_Generator, Philox4x3210=int),
        "lib": types.SimpleNamespace(
            stride_tricks=types.SimpleNamespace(
                as_strided=_Function(np.lib.stride_tricks.as_strided)
            )
        ),
    }
    vars(module).update(own)
    return module
