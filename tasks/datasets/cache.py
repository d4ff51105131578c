"""Decoded and generated data, kept as memory-mapped arrays so that it is made once.

The cache only saves time: where it cannot be written, or is damaged, the data is made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tasks import paths
from tasks.task import Array, RequestError

MANIFEST = "sha256.json"
PATIENCE = 600.0
"""Seconds to wait for another process that makes the same entry; then both do."""


def user_cache_directory() -> Path:
    """The platform's cache directory; RequestError without platformdirs, which knows it."""
    try:
        import platformdirs
    except ImportError:
        raise RequestError(
            "there is no platformdirs to say where data is kept; pip install platformdirs, or name "
            "folders in TETRAGRAD_DATA and TETRAGRAD_CACHE"
        ) from None
    return Path(platformdirs.user_cache_dir("tetragrad"))


def cache_directory() -> Path:
    """``$TETRAGRAD_CACHE``, or ``decoded`` in the platform's cache directory."""
    return paths.from_variable("TETRAGRAD_CACHE") or user_cache_directory() / "decoded"


def cached(name: str, key: str, make: Callable[[], Mapping[str, Array]]) -> dict[str, Array]:
    """The arrays of ``make()``, read-only, from the cache if it holds them for this ``key``.

    ``name`` is the data set's; ``key`` says all that the arrays depend on: the digest of the files,
    a version of the decoding. Several processes may ask at once: one does the work, the others wait
    for it, and an entry appears whole or not at all.
    """
    try:
        folder = cache_directory() / name / hashlib.sha256(key.encode()).hexdigest()[:32]
    except RequestError:  # there is nowhere to keep it
        return dict(make())
    found = _read(folder)
    if found is not None:
        return found
    with _alone(folder):
        found = _read(folder)  # another process may have made it meanwhile
        if found is not None:
            return found
        made = make()
        _write(folder, made)
    found = _read(folder)
    return dict(made) if found is None else found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """A block that one process at a time enters for an entry, where the file system can lock."""
    try:
        from filelock import FileLock
    except ImportError:
        yield
        return
    locks = cache_directory() / "locks"
    lock = FileLock(locks / f"{folder.name}.lock", timeout=PATIENCE, fallback_to_soft=False)
    try:
        locks.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):  # it cannot lock, or the other one hangs
        pass
    try:
        yield
    finally:
        lock.release()


def _read(folder: Path) -> dict[str, Array] | None:
    """The entry, mapped into memory; None if there is none or it is damaged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for file, expected in manifest.items():
            with (folder / file).open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != expected:
                    return None
        return {
            file.removesuffix(".npy"): np.load(
                folder / file, mmap_mode="r", allow_pickle=False
            ).view(np.ndarray)
            for file in manifest
        }
    except (OSError, ValueError, AttributeError, TypeError):  # missing, or not what was written
        return None


def _write(folder: Path, arrays: Mapping[str, Array]) -> None:
    """Puts an entry in place of whatever lies there, if that can be done."""
    work = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
        fresh, manifest = work / "entry", {}
        fresh.mkdir()
        for name, array in arrays.items():
            file = fresh / f"{name}.npy"
            np.save(file, array, allow_pickle=False)
            with file.open("rb") as content:
                manifest[file.name] = hashlib.file_digest(content, "sha256").hexdigest()
        (fresh / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        if folder.exists():  # damaged, or another process was faster with the same arrays
            folder.rename(work / "old")
        fresh.rename(folder)
    except OSError:  # no room, no right, or another process came in between
        pass
    finally:
        if work:
            shutil.rmtree(work, ignore_errors=True)
