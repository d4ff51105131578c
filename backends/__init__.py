"""How it is computed: one folder, one framework, one process."""

from __future__ import annotations

import importlib
from typing import cast

from suite.contract import Backend, RequestError

NAMES = ("numpy", "torch", "tensorflow", "jax")


def load(name: str) -> Backend:
    """The backend ``name``, without its framework. RequestError if there is none of that name."""
    if name not in NAMES:
        raise RequestError(f"there is no backend {name!r}; the backends are: {', '.join(NAMES)}")
    return cast(Backend, importlib.import_module(f"backends.{name}"))
