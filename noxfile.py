"""Sessions: bench, tests, lint, docs, verify, mutants, browse, regress, upgrade, card, asv (three).

``pip install nox``, then ``nox -s bench``.

They share one environment, made on first use and again when the pins change: the three frameworks
are 3.6 GB. It is made with pip, whose constraint on torch takes the CPU build where one is offered.
`card` alone makes none: it takes the Python and the packages that a machine with a card has.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))
from suite.system.git import forget_hook  # noqa: E402

forget_hook()  # a session may be started by a hook of another repository: asv and tests call git

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]

ENVIRONMENT = ROOT / ".nox" / "tetragrad"
PINS = ("constraints.txt", "pyproject.toml")


def environment(session: nox.Session) -> Path:
    """The folder of the environment's programs, made or renewed if need be."""
    programs = ENVIRONMENT / "bin"
    stamp = ENVIRONMENT / "installed.sha256"
    pins = b"".join((ROOT / name).read_bytes() for name in PINS) + sys.version.encode()
    digest = hashlib.sha256(pins).hexdigest()
    if not stamp.is_file() or stamp.read_text() != digest:
        session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT))
        pip = (str(programs / "python"), "-m", "pip", "install", "--quiet")
        constraint = ("--constraint", str(ROOT / "constraints.txt"))
        session.run(*pip, *constraint, "--editable", f"{ROOT}[all,dev,docs]")
        stamp.write_text(digest)
    return programs


@nox.session
def bench(session: nox.Session) -> None:
    """Verify, train and time every task in every backend, and report it; arguments go to `run`."""
    session.run(str(environment(session) / "tetragrad"), "run", "--report", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, a file on each processor at a time; arguments go to pytest."""
    # files in their order, the light ones last: sorted by number, the longest tests would be that
    files = ("--dist", "loadfile", "--no-loadscope-reorder")
    parallel = ("--numprocesses", "logical", "--maxprocesses", "4", *files)
    slowest = "--durations=20"
    session.run(str(environment(session) / "pytest"), *parallel, slowest, *session.posargs)


@nox.session
def regress(session: nox.Session) -> None:
    """Has anything become slower, worse or different? Arguments go to `tetragrad regress`."""
    session.run(str(environment(session) / "tetragrad"), "regress", *session.posargs)


@nox.session
def upgrade(session: nox.Session) -> None:
    """Try other versions: slower, worse or different? Arguments go to `tetragrad upgrade`."""
    session.run(str(environment(session) / "tetragrad"), "upgrade", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, the import contracts, and the sentences of texts for users."""
    programs = environment(session)
    session.run(str(programs / "ruff"), "check", ".")
    session.run(str(programs / "ruff"), "format", "--check", ".")
    session.run(str(programs / "mypy"))
    session.run(str(programs / "lint-imports"))
    texts = (
        "tests/test_sentences.py",
        "tests/test_structure.py::test_docstrings_begin_with_a_verb_or_a_noun",
    )
    session.run(str(programs / "pytest"), "--quiet", *texts)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/, links and anchors checked; arguments go to mkdocs."""
    session.chdir(ROOT)
    session.run(str(environment(session) / "mkdocs"), "build", "--strict", *session.posargs)


@nox.session
def verify(session: nox.Session) -> None:
    """Prove the backends equal; arguments go to `tetragrad verify`."""
    session.run(str(environment(session) / "tetragrad"), "verify", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Plant mistakes, see which of them `verify` finds; takes hours. Arguments: see --help."""
    session.chdir(ROOT)
    session.run(str(environment(session) / "python"), "-m", "tests.mutants", *session.posargs)


@nox.session
def browse(session: nox.Session) -> None:
    """Open the results in MLflow; arguments go to `tetragrad browse`."""
    session.run(str(environment(session) / "tetragrad"), "browse", *session.posargs)


@nox.session
def card(session: nox.Session) -> None:
    """Measure what needs a graphics card, in 12 minutes; arguments go to `python -m tests.card`.

    It takes the Python that nox runs in, or `--python PROGRAM` if that comes first.
    """
    python, words = sys.executable, list(session.posargs)
    if words[:1] == ["--python"]:
        _, python, *words = words
    session.chdir(ROOT)
    session.run(python, "-m", "tests.card", *words, external=True)


@nox.session
def asv(session: nox.Session) -> None:
    """Measure the current commit with asv, in this environment; arguments go to `asv run`."""
    programs = environment(session)
    git = ("git", "-C", str(ROOT))
    if session.run(*git, "status", "--porcelain", external=True, silent=True):
        session.error("the results would stand under a commit that they are not of; commit first")
    commit = str(session.run(*git, "rev-parse", "HEAD", external=True, silent=True)).strip()
    session.run(str(programs / "asv"), "machine", "--yes", silent=True)
    own = ("--python", "same", "--set-commit-hash", commit)
    session.run(str(programs / "asv"), "run", *own, *session.posargs)


@nox.session(name="asv-compare")
def asv_compare(session: nox.Session) -> None:
    """Compare what asv measured of two commits, by default the last two: [BASE HEAD]."""
    revisions = session.posargs or ("HEAD~1", "HEAD")
    session.run(str(environment(session) / "asv"), "compare", *revisions)


@nox.session(name="asv-publish")
def asv_publish(session: nox.Session) -> None:
    """Make pages of all that asv measured, regressions listed; `asv preview` shows them."""
    session.run(str(environment(session) / "asv"), "publish", *session.posargs)
