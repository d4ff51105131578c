"""The program's entry, apart from its packages: it says so when others of their names hide them.

Nothing but Python's own library is imported before that is known.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("suite", "backends", "tasks")


def main() -> None:
    """Runs the command line; exit code 2 and one line if it is not this program's."""
    for name in PACKAGES:
        if reason := hidden(name):
            print(f"error: {reason}", file=sys.stderr)
            sys.exit(2)
    from suite.cli import main as run

    run()


def hidden(name: str) -> str | None:
    """Where another package or module called ``name`` lies that Python finds first; None if none.

    A folder without ``__init__.py`` hides nothing.
    """
    own = Path(__file__).resolve().parent / name / "__init__.py"
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        return f"{own} is missing; install tetragrad anew"
    other = Path(found.origin).resolve()
    if other == own:
        return None
    place = other.parent if other.name == "__init__.py" else other
    return (
        f"{place} hides the package {name} of tetragrad, which lies in {own.parent}; rename it, or "
        f"take {place.parent} out of PYTHONPATH, or start in another folder"
    )


if __name__ == "__main__":
    main()
