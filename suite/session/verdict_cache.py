"""The cache of verdicts: what a verdict rests on, and whether that is still what it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from suite.records.record import write_json
from suite.records.verdict import Verdict, verdict_from
from suite.worker.imported import digest_of

JUDGING = (
    "backends/__init__.py",
    "backends/program.py",
    "suite/records/anchors.py",
    "suite/records/verdict.py",
    "suite/session/equivalence.py",
    "suite/session/jobs.py",
    "suite/session/verdict_cache.py",
    "suite/session/verifier.py",
)
"""Files outside the folders of models, tasks and workers that a verdict rests on."""


def sources_digest(root: Path, backend: str, oracle: str) -> str:
    """SHA-256 over every source file below ``root`` that a verdict on ``backend`` rests on.

    Of the suite, they are the worker, what judges, and the anchors; a chart of the report is not
    among them.
    """
    folders = ("suite/worker", "tasks", f"backends/{oracle}", f"backends/{backend}")
    files = {file for folder in folders for file in (root / folder).rglob("*.py")}
    files |= {*(root / "results/anchors").glob("*.json"), *(root / name for name in JUDGING)}
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file()):
        digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def read(path: Path) -> Verdict | None:
    """The verdict in a file; None if there is none that can be read, or if a file that its workers
    had imported has changed since."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # it only saves time
        document = json.loads(path.read_text(encoding="utf-8"))
        imported = document.pop("imported", {})
        document.pop("seconds", None)
        if all(digest_of(Path(file)) == known for file, known in imported.items()):
            return verdict_from(document)
    return None


def write(path: Path, verdict: Verdict, imported: Mapping[str, str], seconds: float) -> None:
    """Keeps a verdict, with the digests of further files that its workers had ``imported``, and the
    ``seconds`` that it took to find it and those that were asked for with it."""
    document = {**asdict(verdict), "imported": dict(imported), "seconds": round(seconds, 2)}
    with suppress(OSError):  # it only saves time
        write_json(path, document)


def seconds(folder: Path) -> dict[str, float]:
    """How long it took last to verify each task, by its label, whether verdicts still hold or not;
    nothing of those kept before this was."""
    found = []
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(path.read_text(encoding="utf-8"))
            found.append((path.stat().st_mtime, document["task"], float(document["seconds"])))
    return {task: seconds for _, task, seconds in sorted(found)}
