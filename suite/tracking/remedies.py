"""Remedies for what MLflow's stores refuse: what to do, in words."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

LATER = "; then `tetragrad sync` sends what is missing"


def remedy(uri: str, said: str) -> str:
    """The remedy for an error of the store at ``uri``, which said so; empty if there is none."""
    if uri.startswith(("http:", "https:")):
        return _of_server(uri, said)
    if found := re.search(r"\(found version (\w+), but", said):
        return _of_schema(found[1])
    if re.search(r"revision identified by|_alembic_tmp|alembic_version|Online migration", said):
        return f"it was left half made: move it away{LATER}"
    if "already exists" in said and "table" in said:
        return f"it was left half made: move it away{LATER}"
    if "is not a database" in said:
        return f"it is no MLflow store: move it away, or name another with --tracking{LATER}"
    return ""


def _of_schema(revision: str) -> str:
    """A store of another version: an older one can be upgraded, a newer one not be read."""
    spec = importlib.util.find_spec("mlflow")
    package = Path(spec.origin).parent if spec and spec.origin else Path()
    if any((package / "store" / "db_migrations" / "versions").glob(f"{revision}_*.py")):
        return f"an older MLflow made it: do so, or name another store with --tracking{LATER}"
    return (
        f"a newer MLflow made it than {_own_version()}, so do not do that: install the newer one, "
        f"or name another store with --tracking{LATER}"
    )


def _of_server(uri: str, said: str) -> str:
    """A server that is not there, or of another version."""
    import requests  # slow to import

    if "Max retries exceeded" in said or "Connection" in said:
        return f"see that the server runs and can be reached{LATER}"
    try:
        answer = requests.get(f"{uri.rstrip('/')}/version", timeout=3)
        version = answer.text.strip() if answer.ok else ""
    except requests.RequestException:
        return ""
    if not re.fullmatch(r"\d[\w.+-]{0,40}", version):
        return f"is that the address of an MLflow server? It does not say its version{LATER}"
    if version.split(".")[:2] == _own_version().split(".")[:2]:
        return ""
    return (
        f"the server has MLflow {version}, this program {_own_version()}: install the same version "
        f"on both sides, or name another store with --tracking{LATER}"
    )


def _own_version() -> str:
    return importlib.metadata.version("mlflow")
