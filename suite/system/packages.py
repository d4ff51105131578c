"""The versions of installed distributions: of several copies, that of the one that is imported."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from suite.system.readings import readable


@dataclass(frozen=True)
class _Copy:
    """One installed copy of a distribution."""

    name: str
    version: str
    files: metadata.Distribution


def versions(path: Sequence[str], certain: Collection[str] = ()) -> dict[str, str]:
    """The version of every distribution on a search ``path``, by name, in alphabetical order.

    A folder without readable metadata, such as an interrupted ``pip`` leaves, is none. For the
    distributions that ``certain`` names, the version is unknown if their modules are imported from
    elsewhere, such as a source tree without metadata.
    """
    copies: dict[str, list[_Copy]] = {}
    for found in metadata.distributions(path=list(path)):
        if copy := readable(partial(_read, found)):
            copies.setdefault(re.sub(r"[-_.]+", "-", copy.name).lower(), []).append(copy)
    chosen = [_imported(own, path) for own in copies.values()]
    found_versions = {
        copy.name: (copy.name in certain and _hidden_by(copy, path)) or copy.version
        for copy in chosen
    }
    return dict(sorted(found_versions.items(), key=lambda item: item[0].lower()))


def _read(found: metadata.Distribution) -> _Copy | None:
    """A copy; None without a name or a version. Raises whatever reading raises."""
    name, version = ((found.metadata.get_all(n) or [""])[0] for n in ("Name", "Version"))
    return _Copy(name, version, found) if name and version else None


def _imported(copies: Sequence[_Copy], path: Sequence[str]) -> _Copy:
    """The copy whose modules are imported; the first on the path if none can be told apart.

    Of two in one folder, as an update that was interrupted leaves them, that whose files are there.
    """
    if len(copies) == 1:
        return copies[0]
    return max(copies, key=lambda copy: (bool(_folders(copy, path)[0]), _intact(copy)))


def _hidden_by(copy: _Copy, path: Sequence[str]) -> str | None:
    """Where its modules are imported from if not from this copy, in place of a version."""
    own, others = _folders(copy, path)
    direct = readable(lambda: copy.files.read_text("direct_url.json")) or ""
    if own or not others or re.search(r'"editable":\s*true', direct):
        return None
    return f"unknown: imported from {others[0]}"


def _folders(copy: _Copy, path: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """The folders from which its modules are imported: those of this copy, and others."""
    home = Path(str(copy.files.locate_file(""))).resolve()
    names = readable(lambda: _modules(copy)) or []
    found = [folder for name in names for folder in readable(partial(_place, name, path)) or []]
    return [f for f in found if f == home], [f for f in found if f != home]


def _modules(copy: _Copy) -> list[str]:
    """The names under which it is imported."""
    if listed := copy.files.read_text("top_level.txt"):
        return listed.split()
    files = (file for file in copy.files.files or () if file.suffix in (".py", ".so"))
    names = dict.fromkeys(file.parts[0].partition(".")[0] for file in files)
    return [name for name in names if name.isidentifier()]


def _place(module: str, path: Sequence[str]) -> list[Path]:
    """The folders, on the search path, from which a module is imported."""
    spec = PathFinder.find_spec(module, list(path))
    if spec is None:
        return []
    found = spec.submodule_search_locations or filter(None, [spec.origin])
    return [Path(place).resolve().parent for place in found]


def _intact(copy: _Copy) -> float:
    """The share of its files that are there, of the size that it lists."""
    listed = readable(lambda: copy.files.files) or []
    there = [
        readable(partial(_size, file)) == file.size for file in listed if file.size is not None
    ]
    return sum(there) / len(there) if there else 0.0


def _size(file: metadata.PackagePath) -> int:
    return Path(str(file.locate())).stat().st_size
