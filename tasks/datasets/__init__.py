"""Data sets: where they come from, where they lie, how they are fetched and checked.

A data set lies in ``data_directory() / <name> / <file>`` under its official file names. Whatever is
read is checked against its SHA-256 first.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tasks import paths
from tasks.datasets.cache import user_cache_directory
from tasks.datasets.downloads import download
from tasks.datasets.sources import SOURCES, File, Source
from tasks.paths import because
from tasks.task import DataSource, RequestError, nearest

NAMES = tuple(SOURCES)
DIRECTORY = "TETRAGRAD_DATA"
"""The variable that names the folder where data sets lie."""


def source(name: str) -> Source:
    """The source of data set ``name``; RequestError if there is none of that name."""
    if name not in NAMES:
        there = f"{nearest(name, NAMES)}; the data sets are: {', '.join(NAMES)}"
        raise RequestError(f"there is no data set {name!r}{there}")
    return SOURCES[name]


def data_directory() -> Path:
    """The folder that the user names, or the platform's cache directory."""
    return named_directory() or user_cache_directory()


def named_directory() -> Path | None:
    """The folder that the user names, None if there is none; RequestError if it is a file."""
    named = paths.from_variable(DIRECTORY)
    if named and named.exists() and not named.is_dir():
        raise RequestError(
            f"{DIRECTORY}={named} is no folder; name the one that holds the data sets' folders"
        )
    return named


def path(source: Source, file: str) -> Path:
    """Where ``file`` of a data set lies, or would."""
    return data_directory() / source.name / file


def serving(source: Source, file: str) -> tuple[Path, File]:
    """The path to read for ``file``, and its size and digest: a substitute if that alone exists."""
    for name, known in source.substitutes.get(file, {}).items():
        if path(source, name).is_file() and not path(source, file).is_file():
            return path(source, name), known
    return path(source, file), source.files[file]


def missing(source: Source) -> list[Path]:
    """The files of a data set that are not there."""
    return [p for p in (serving(source, file)[0] for file in source.files) if not p.is_file()]


def read(source: Source, file: str) -> bytes:
    """A file's bytes. RequestError if it is missing, unreadable or not the official one."""
    where, expected = serving(source, file)
    remedy = f"run `tetragrad data fetch {source.name}` or pass --data generated"
    try:
        content = where.read_bytes()
    except FileNotFoundError:
        raise RequestError(f"{where} is missing; {remedy}") from None
    except OSError as error:
        raise RequestError(f"{where} cannot be read {because(error)}; or {remedy}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected.sha256:
        raise RequestError(
            f"{where} is damaged: it has {len(content)} bytes and the SHA-256 {found}, the "
            f"official file has {expected.size} and {expected.sha256}; "
            f"run `tetragrad data fetch {source.name}`, which replaces it"
        )
    return content


def verify(source: Source) -> None:
    """Reads every file. RequestError names the first that is missing or damaged."""
    for file in source.files:
        read(source, file)


def fetch(source: Source, timeout: float = 10) -> None:
    """Downloads what is missing or damaged: official address, then mirrors.

    Files appear whole and checked, or not at all. ``timeout`` [s] bounds connecting and each wait
    for data. RequestError when no address serves a file, or the folder cannot be written.
    """
    named = f", as {DIRECTORY} says" if named_directory() else ""
    for file, known in source.files.items():
        if _substituted(source, file):
            continue
        failures: list[str] = []
        for address in source.addresses:
            url = address + source.folders.get(file, "") + file
            failure = download(url, known, path(source, file), timeout)
            if failure is None:
                break
            failures.append(failure)
        else:
            raise RequestError(
                f"{file} of {source.name} could not be downloaded; {'; '.join(failures)}; check "
                f"the network or proxy, or put the file into {path(source, file).parent}{named}"
            )


def _substituted(source: Source, file: str) -> bool:
    """Tells if a substitute is there in place of ``file``, and undamaged."""
    if serving(source, file)[0] == path(source, file):
        return False
    try:
        read(source, file)
    except RequestError:
        return False
    return True


def resolve(name: str, wanted: str) -> tuple[DataSource, str | None]:
    """Which data a run uses, and a notice for the user when it is not what might be expected.

    ``wanted``: "real" (fetched if need be, else RequestError), "generated", or "auto": real if
    present or downloadable, else generated. A damaged file is an error in every case but
    "generated": it never turns silently into other data. Data that a formula makes are always real.
    """
    chosen = source(name)
    if wanted == "generated" and chosen.files:
        return "generated", None
    try:
        if missing(chosen):
            fetch(chosen)
    except RequestError as error:
        if wanted == "real":
            raise RequestError(f"{error}; or pass --data generated") from None
        return "generated", f"{name}: using GENERATED data, not the real one: {error}"
    verify(chosen)
    return "real", None
