"""Files of the user's own that a worker has imported: a port may be built on a library of theirs.

A verdict that is kept rests on them, like on the sources of the task's folder.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from pathlib import Path

import numpy as np

from suite.system.git import ROOT
from tasks.task import Array, Tree

IMPORTED = "imported/"
"""In a trace, before a file's path: its digest."""


def noted() -> dict[str, Array]:
    """The digests of all imported files outside this program and what is installed, by name."""
    known = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib")]
    known += [ROOT / name for name in ("suite", "backends", "tasks")]
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    own = sorted(file for file in files if file and not _installed(Path(file), known))
    return {f"{IMPORTED}{file}": np.array(digest_of(Path(file))) for file in own}


def read(trace: Tree) -> dict[str, str]:
    """The digests in a trace, by the files' paths."""
    return {n.removeprefix(IMPORTED): str(a) for n, a in trace.items() if n.startswith(IMPORTED)}


def digest_of(file: Path) -> str:
    """The SHA-256 of a file; empty if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _installed(file: Path, known: list[Path]) -> bool:
    installed = {"site-packages", "dist-packages"} & {*file.parts}
    return bool(installed) or any(file.is_relative_to(folder) for folder in known)
