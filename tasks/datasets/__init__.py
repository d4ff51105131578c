"""Data sets: where they come from, where they lie, how they are fetched and checked.

A data set lies in ``data_directory() / <name> / <file>`` under its official file names. Whatever is
read is checked against its SHA-256 first.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from suite.contract import DataSource, RequestError

NAMES = ("fashion_mnist", "imdb", "omniglot", "tiny_shakespeare", "multi30k")


@dataclass(frozen=True)
class Source:
    """A data set's files (name to SHA-256), the addresses that serve them, licence and citation."""

    name: str
    files: Mapping[str, str]
    addresses: tuple[str, ...]
    """Official address first, then mirrors; a file's name follows the address."""
    licence: str
    citation: str
    substitutes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By file, others (name to SHA-256) that serve in its place: they hold all that is read of it.
    They are used where they are already, never fetched."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """By file, what stands between address and name, such as ``folder/``."""

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all files."""
        lines = "".join(f"{digest}  {file}\n" for file, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def source(name: str) -> Source:
    """The source of data set ``name``; RequestError if there is none of that name."""
    if name not in NAMES:
        raise RequestError(f"there is no data set {name!r}; the data sets are: {', '.join(NAMES)}")
    found: Source = importlib.import_module(f"tasks.datasets.{name}").SOURCE
    return found


def data_directory() -> Path:
    """``$TETRAGRAD_DATA``, or the platform's cache directory."""
    return Path(os.environ.get("TETRAGRAD_DATA") or platformdirs.user_cache_dir("tetragrad"))


def path(source: Source, file: str) -> Path:
    """Where ``file`` of a data set lies, or would."""
    return data_directory() / source.name / file


def serving(source: Source, file: str) -> tuple[Path, str]:
    """What is read for ``file``, and its SHA-256: a substitute if only that is there."""
    for name, digest in source.substitutes.get(file, {}).items():
        if path(source, name).is_file() and not path(source, file).is_file():
            return path(source, name), digest
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
        raise RequestError(f"{where} cannot be read ({error.strerror}); {remedy}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise RequestError(
            f"{where} is damaged: its SHA-256 is {found}, the official file's is {expected}; "
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
    for file, digest in source.files.items():
        if _substituted(source, file):
            continue
        failures: list[str] = []
        for address in source.addresses:
            url = address + source.folders.get(file, "") + file
            failure = _download(url, digest, path(source, file), timeout)
            if failure is None:
                break
            failures.append(failure)
        else:
            raise RequestError(
                f"{file} of {source.name} could not be downloaded; {'; '.join(failures)}; check "
                f"the network or proxy, or put the file into {path(source, file).parent}"
            )


def _substituted(source: Source, file: str) -> bool:
    """Whether a substitute is there in place of ``file``, and undamaged."""
    if serving(source, file)[0] == path(source, file):
        return False
    try:
        read(source, file)
    except RequestError:
        return False
    return True


def _download(url: str, digest: str, target: Path, timeout: float) -> str | None:
    """Brings one file, if it is not there yet; returns why it could not be."""
    import pooch  # slow to import, rarely needed
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=timeout)
    try:
        pooch.retrieve(
            url, f"sha256:{digest}", fname=target.name, path=target.parent, downloader=downloader
        )
    except requests.RequestException as error:
        return f"{url}: {type(error).__name__}"
    except ValueError:  # the digest differs: pooch has already deleted what came
        return f"{url}: what it serves is not the official file (SHA-256 differs)"
    except OSError as error:
        raise RequestError(
            f"{target} cannot be written ({error.strerror}); "
            "point TETRAGRAD_DATA to a folder that can"
        ) from None
    return None


def resolve(name: str, wanted: str) -> tuple[DataSource, str | None]:
    """Which data a run uses, and a notice for the user when it is not what might be expected.

    ``wanted``: "real" (fetched if need be, else RequestError), "generated", or "auto": real if
    present or downloadable, else generated. A damaged file is an error in every case but
    "generated": it never turns silently into other data.
    """
    if wanted == "generated":
        return "generated", None
    chosen = source(name)
    if missing(chosen):
        try:
            fetch(chosen)
        except RequestError as error:
            if wanted == "real":
                raise
            return "generated", f"{name}: using GENERATED data, not the real one: {error}"
    verify(chosen)
    return "real", None
