"""A folder of published records: each under the hash of its content, with who reproduced it.

``records/HASH.json`` and ``attestations/HASH.json`` hold nothing but the canonical text of their
document, so that ``sha256sum`` gives their name, and two folders are merged by copying. A file in
``refused/`` says of a record that was to be added why it was not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from suite.records.events import Outcome
from suite.records.findings import Finding, Findings
from suite.records.record import Record
from suite.records.soundness import (
    NOT_SOUND,
    canonical,
    digest,
    document_at,
    record_in,
    require_hash,
    require_types,
)
from suite.system.files import write_text
from tasks.paths import because
from tasks.task import RequestError

RECORDS, ATTESTATIONS, REFUSED = "records", "attestations", "refused"
SILENT = (Outcome.SKIPPED, Outcome.INTERRUPTED, Outcome.NOT_BEGUN)
"""Outcomes of records that are not added: they say nothing of what training comes to."""


@dataclass(frozen=True)
class Attestation:
    """The word of a machine on what came of a record's cell when it was trained again there."""

    record: str
    """The hash of the record's content."""
    created: str
    """When, UTC, ISO 8601."""
    findings: tuple[Finding, ...]
    differences: tuple[str, ...]
    """Facts of the environment that were not the record's, in words."""
    machine: dict[str, Any]
    packages: dict[str, str]
    git: dict[str, Any]
    schema_version: int = 1

    @property
    def reproduced(self) -> bool:
        """Tells if the results were the same."""
        return Findings("", self.findings).exit_code == 0


@dataclass(frozen=True)
class Refusal:
    """A record or an attestation that does not hold: its file's name, the reason, its bytes."""

    file: str
    reason: str
    sha256: str


@dataclass(frozen=True)
class Published:
    """A record, and the attestations of it, oldest first."""

    hash: str
    record: Record
    attestations: tuple[Attestation, ...]


@dataclass(frozen=True)
class Folder:
    """All that a folder of published records holds."""

    published: tuple[Published, ...]
    refused: tuple[Refusal, ...]
    noted: tuple[Refusal, ...]
    """Refusals of the times when records were added."""


@dataclass(frozen=True)
class Added:
    """Numbers of records that were added or were there, and what was refused."""

    new: int
    there: int
    refused: tuple[Refusal, ...]


def require_no_results(folder: Path) -> None:
    """RequestError for a file, or a results folder: its records lie by session."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder} is a file; name a folder for the pages")
    if any((folder / RECORDS).glob("*/*.json")):
        raise RequestError(f"{folder} is a folder of results; name another one for the pages")


def records_in(source: Path) -> list[tuple[Path, str | None]]:
    """The records of a results folder, of a session's folder of records or of a published folder.

    With each the hash that it is kept under, or None. RequestError if there are none.
    """
    kept: list[tuple[Path, str | None]] = [(p, p.stem) for p in _files(source, RECORDS)]
    others = sorted((source / RECORDS).glob("*/*.json"))
    others = others or ([] if kept else sorted(source.glob("*.json")))
    if not (kept or others):
        raise RequestError(
            f"there are no records in {source.resolve()}; give a results folder, a session's "
            "folder of its records, or a folder of `tetragrad publish`"
        )
    return [*kept, *((path, None) for path in others)]


def add(folder: Path, sources: Sequence[Path]) -> Added:
    """Adds the records and attestations of the sources, each by its hash.

    RequestError if a source has no records, or the folder cannot be written.
    """
    require_no_results(folder)
    listed = {source: records_in(source) for source in sources if not _same(source, folder)}
    new, there, refused = 0, 0, []
    for source, paths in listed.items():
        for path, name in [*paths, *((p, p.stem) for p in _files(source, ATTESTATIONS))]:
            try:
                if path.parent.name == ATTESTATIONS:
                    _attestation(path)
                    _write(folder / ATTESTATIONS / path.name, document_at(path))
                    continue
                hash_, record = record_in(path, name)
            except RequestError as error:
                refused.append(refusal := _refusal(path, error))
                _write(folder / REFUSED / f"{refusal.sha256}.json", asdict(refusal))
                continue
            if record.outcome not in SILENT:
                fresh = _write(folder / RECORDS / f"{hash_}.json", document_at(path))
                new, there = new + fresh, there + (not fresh)
    return Added(new, there, tuple(refused))


def read(folder: Path) -> Folder:
    """All that holds in a folder, and what does not. RequestError if there is nothing at all."""
    sound: dict[str, Record] = {}
    refused: list[Refusal] = []
    for path in _files(folder, RECORDS):
        try:
            _, sound[path.stem] = record_in(path, path.stem)
        except RequestError as error:
            refused.append(_refusal(path, error))
    attested: dict[str, list[Attestation]] = {}
    for path in _files(folder, ATTESTATIONS):
        try:
            attestation = _attestation(path)
            if attestation.record not in sound:
                raise RequestError(f"the record {attestation.record[:12]}… is not here")
        except RequestError as error:
            refused.append(_refusal(path, error))
        else:
            attested.setdefault(attestation.record, []).append(attestation)
    noted = tuple(_noted(folder))
    if not (sound or refused or noted):
        raise RequestError(f"there are no records in {folder.resolve()}; `tetragrad run` first")
    published = (
        Published(
            hash_, record, tuple(sorted(attested.get(hash_, ()), key=lambda one: one.created))
        )
        for hash_, record in sound.items()
    )
    return Folder(tuple(published), tuple(refused), noted)


def require_published(folder: Path, hash_: str) -> None:
    """RequestError if a record is not in the folder under its hash."""
    path = folder / RECORDS / f"{hash_}.json"
    if not path.is_file():
        raise RequestError(
            f"{folder} does not hold the record {hash_[:12]}…; `tetragrad publish` adds it"
        )
    try:
        record_in(path, hash_)
    except RequestError as error:
        raise RequestError(f"{path} is refused: {error}") from None


def attest(folder: Path, attestation: Attestation) -> Path:
    """Adds an attestation and returns its path."""
    document = asdict(attestation)
    path = folder / ATTESTATIONS / f"{digest(document)}.json"
    _write(path, document)
    return path


def _attestation(path: Path) -> Attestation:
    document = document_at(path)
    try:
        require_hash(digest(document), path.stem)
        findings = tuple(Finding(**one) for one in document["findings"])
        own = {"findings": findings, "differences": tuple(document["differences"])}
        found = Attestation(**{**document, **own})
    except NOT_SOUND as error:
        raise RequestError(f"its schema does not hold: {error!r}") from None
    require_types(found)
    if found.schema_version != 1:
        raise RequestError(f"its schema version is {found.schema_version}, this program reads 1")
    if "losses" not in {finding.name for finding in findings}:
        raise RequestError("its verdict does not hold: it compares no losses")
    return found


def _noted(folder: Path) -> Iterator[Refusal]:
    """Refusals of the times when records were added."""
    for path in _files(folder, REFUSED):
        try:
            found = Refusal(**document_at(path))
            require_types(found)
            require_hash(found.sha256, path.stem)
        except (*NOT_SOUND, RequestError) as error:
            yield _refusal(path, RequestError(f"it is no note of a refusal ({error})"))
        else:
            yield found


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / kind).glob("*.json"))


def _refusal(path: Path, error: RequestError) -> Refusal:
    try:
        content = path.read_bytes()
    except OSError:
        content = str(path).encode()
    return Refusal(path.name, str(error), hashlib.sha256(content).hexdigest())


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _write(path: Path, document: Any) -> bool:
    """Tells if the file did not hold the document yet. RequestError if it cannot be written."""
    text = canonical(document)
    try:
        if path.exists() and path.read_bytes() == text.encode():
            return False
        write_text(path, text)
    except OSError as error:
        raise RequestError(f"{path} cannot be written {because(error)}") from None
    return True
