"""Plants mistakes and says which of them the proof finds: ``python -m tests.mutants --help``.

Exit code 0 if all were caught, 1 if not, 2 if nothing is chosen.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path

import backends
from suite.records.verdict import PRECISIONS
from tests.mutants import telling
from tests.mutants.judging import judge_all
from tests.mutants.kept import FILE, Kept
from tests.mutants.mutant import Mutant
from tests.mutants.table import TABLE, spread


def main() -> int:
    """Judges what the command line chooses; the exit code."""
    asked = _arguments()
    mutants = [mutant for mutant in TABLE if _chosen(mutant, asked)]
    if not mutants:
        print("no mutant is chosen; --list without anything else shows all")
        return 2
    if asked.list:
        print("\n".join(mutant.label for mutant in mutants))
        return 0
    results = []
    kept, seconds = Kept(asked.results), 60 * asked.limit
    precisions = asked.precision or PRECISIONS
    for result in judge_all(spread(mutants), precisions, kept, seconds, asked.jobs):
        results.append(result)
        print(telling.line(result), flush=True)
    print("\n".join([*telling.table(results), *telling.score(results)]))
    if asked.markdown:
        asked.markdown.write_text(telling.markdown(results))
    if asked.json:
        asked.json.write_text(json.dumps(telling.document(results), indent=1))
    if len(results) < len(mutants):
        print(f"{len(mutants) - len(results)} of {len(mutants)} not judged yet")
    tested = [result.fate for result in results if result.fate != "not tested"]
    return 0 if tested and all(fate == "caught" for fate in tested) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    add = parser.add_argument
    add("--task", action="append", help="task or task:variant; repeatable")
    add("--backend", action="append", choices=backends.NAMES, help="repeatable")
    add("--name", type=re.compile, help="a regular expression of the mistake's name")
    add("--precision", action="append", choices=PRECISIONS, help="repeatable; default: both")
    add("--only", type=re.compile, help="a regular expression of the whole label, see --list")
    add("--limit", type=float, default=math.inf, metavar="MINUTES", help="begin none after these")
    add("--jobs", type=int, default=1, metavar="N", help="judge those of N backends at once")
    told = (
        "judgements are kept there, and not made again for the same sources; default: %(default)s"
    )
    add("--results", type=Path, metavar="FILE", default=FILE, help=told)
    add("--list", action="store_true", help="show what is chosen, and plant nothing")
    add("--markdown", type=Path, metavar="FILE", help="write the table there")
    add("--json", type=Path, metavar="FILE", help="write all results there")
    return parser.parse_args()


def _chosen(mutant: Mutant, asked: argparse.Namespace) -> bool:
    labels = (mutant.task, mutant.task.partition(":")[0])
    return (
        (not asked.task or any(label in asked.task for label in labels))
        and (not asked.backend or mutant.backend in asked.backend)
        and (not asked.name or asked.name.search(mutant.name) is not None)
        and (not asked.only or asked.only.search(mutant.label) is not None)
    )


if __name__ == "__main__":
    raise SystemExit(main())
