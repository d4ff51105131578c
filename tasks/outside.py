"""Tasks outside the house: in a folder of their user's, or in an installed package.

Such a folder holds ``task.py`` and a file for each backend, ``torch.py``, ``jax.py``, ... The suite
knows a folder by its absolute path, and asks for it wherever it asks for a task's name; a package
that announces a folder (entry points of ``tetragrad.tasks``) gives it a name.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from tasks import paths
from tasks.task import RequestError, nearest

GROUP = "tetragrad.tasks"
FILE = "task.py"
NOT_SOURCES = ("__pycache__", "tests", "results")
"""Folders in that of a task whose files no model is made of; so are hidden ones."""


@functools.cache
def announced() -> Mapping[str, EntryPoint]:
    """The tasks of installed packages, by name. RequestError if two packages have the same."""
    return by_name(GROUP)


def by_name(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group. RequestError if two packages announce the same name."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise RequestError(
                f"{origin(other)} and {origin(entry)} both announce {entry.name!r} as one of "
                f"{group}; uninstall one of the two packages"
            )
    return found


def origin(entry: EntryPoint) -> str:
    """The distribution that announces an entry point, with its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def is_path(task: str) -> bool:
    """Tells a folder, by the way it is written, from the name of a task."""
    return os.sep in task or task in (os.curdir, os.pardir)


def is_folder(wanted: str) -> bool:
    """Tells if a folder is asked for: by a path, or as one here that holds ``task.py``."""
    return is_path(wanted) or (Path(wanted) / FILE).is_file()


def address(wanted: str) -> str | None:
    """The absolute path of the folder that ``wanted`` asks for; None if that is a name.

    A path has a separator, or is that of a folder with ``task.py``. RequestError if it has none.
    """
    if not is_folder(wanted):
        return None
    path = paths.given(wanted)
    assert path is not None
    folder = path.resolve()
    require(folder)
    return str(folder)


def require(folder: Path) -> None:
    """RequestError unless it is a folder with ``task.py``."""
    if not folder.is_dir():
        like = nearest(folder.name, [p.name for p in _siblings(folder)])
        raise RequestError(
            f"there is no folder {folder}{like}; name that of a task, or write one: `tetragrad new`"
        )
    if not (folder / FILE).is_file():
        raise RequestError(
            f"{folder} is no task's folder: it has no {FILE}; `tetragrad new` writes one"
        )


def _siblings(folder: Path) -> Iterator[Path]:
    """The tasks' folders beside it."""
    if folder.parent.is_dir():
        yield from (p.parent for p in folder.parent.glob(f"*/{FILE}"))


def shown(task: str) -> str:
    """How a task is asked for from the present folder: ``./port`` for a folder in it."""
    if not is_path(task):
        return task
    path, here = Path(task), Path.cwd()
    return f".{os.sep}{path.relative_to(here)}" if here in path.parents else task


def plain(task: str) -> str:
    """A name for files: a folder's own with a few digits for the path, so that no two clash."""
    if not is_path(task):
        return task
    return f"{Path(task).name}.{hashlib.sha256(task.encode()).hexdigest()[:6]}".replace(" ", "_")


def folder(task: str) -> Path:
    """Where the files of a task outside the house lie. RequestError if that is gone."""
    if is_path(task):
        require(Path(task))
        return Path(task)
    name = _announced(task)
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        said = origin(announced()[task])
        raise RequestError(f"{said} announces {task!r}, but has no package {name}; uninstall it")
    return Path(next(iter(spec.submodule_search_locations)))


def package(task: str) -> str:
    """The package that the files of a task outside the house are modules of.

    Those of a folder are found by its path, under a package name of its own: ``torch.py`` there
    hides no framework, ``from . import layers`` works, and folders of one name do not clash.
    RequestError if the folder is gone.
    """
    if not is_path(task):
        return _announced(task)
    name = f"tetragrad_task_{hashlib.sha256(task.encode()).hexdigest()[:16]}"
    root = str(folder(task))
    if name not in sys.modules:
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [root]
        sys.modules[name] = importlib.util.module_from_spec(spec)
    return name


def _announced(task: str) -> str:
    if task not in announced():
        raise RequestError(f"there is no task {task!r} any more: no installed package announces it")
    return announced()[task].value


def module(task: str, name: str) -> ModuleType:
    """Imports a file of a task outside the house. RequestError names its line that fails."""
    own = f"{package(task)}.{name}"
    try:
        return importlib.import_module(own)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(explained(error, task)) from error


def explained(error: BaseException, task: str) -> str:
    """The first line of an error, and where in the folder of a task it arose, if it did."""
    text = (str(error).splitlines() or [""])[0]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    root = folder(task)
    if isinstance(error, SyntaxError) and error.filename:
        place = Path(error.filename), error.lineno
    else:
        frames = [
            (Path(frame.filename), frame.lineno)
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        place = next((at for at in reversed(frames) if root in at[0].parents), (root, None))
    file, line = place
    if root not in file.parents:
        return said
    return f"{root.name}/{file.relative_to(root)}, line {line}: {said}; mend it there"


def digest(task: str) -> str:
    """SHA-256 over the Python files of a task's folder. What they import is not in it."""
    return digest_of(folder(task))


def digest_of(root: Path) -> str:
    """SHA-256 over the Python files of a folder, by their paths in it."""
    found = hashlib.sha256()
    for file in sorted(_sources(root)):
        found.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in NOT_SOURCES
            and not (Path(where) / name / "pyvenv.cfg").exists()
        ]
        yield from (Path(where) / name for name in files if name.endswith(".py"))
