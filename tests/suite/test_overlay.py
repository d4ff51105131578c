"""Environments with other packages in front: what pip is asked, what a worker there imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from suite.system import overlay
from suite.system.index import Index, Wheel, between, requirement
from suite.system.overlay import ABSENT, Environments, Overlay
from suite.system.revisions import Side
from tasks.task import RequestError
from tests.wheels import write_wheel

VALUE = "VALUE = {!r}\nimport numpy\n"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index of a folder alone."""
    folder = tmp_path_factory.mktemp("wheels")
    for version in ("1.0", "1.9", "1.10", "2.0rc1"):
        write_wheel(folder, "planted", version, VALUE.format(version))
    write_wheel(folder, "needing", "1.0", requires=("planted<1.10", "numpy>=1"))
    return Index(("--no-index", "--find-links", str(folder)))


def test_an_environment_of_other_versions(index: Index, tmp_path: Path) -> None:
    """The named one is the newest there is; what it needs is there, what is here stays."""
    named: set[str] = set()
    old = Overlay((Wheel("planted", "1.0", "", ""),))
    new = overlay.asked(["Needing"], index, named)
    assert named == {"needing"}
    assert new.changed(old) == {"needing": (ABSENT, "1.0"), "planted": ("1.0", "1.9")}
    environments = Environments(tmp_path, index)
    python = environments.python(new)
    code = "import planted, numpy, needing, tetragrad; print(planted.VALUE, numpy.__file__)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.9", str(sys.modules["numpy"].__file__)]
    versions = Side("it", python=python).packages
    assert (versions["planted"], versions["needing"]) == ("1.9", "1.0")
    assert {**Side("ours").packages, "planted": "1.9", "needing": "1.0"} == versions
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    assert environments.python(new) == python
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}


def test_versions_between_two() -> None:
    known = ["1.0", "1.9", "1.10", "2.0rc1"]
    assert between(known, "1.0", "3") == ["1.9", "1.10"]
    assert between(known, "3", "1.0") == ["1.10", "1.9"]
    assert between(known, "1.9", "2.0") == ["1.10"]
    assert between(known, "1.10", "2.0rc2") == ["2.0rc1"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("planted==7", "planted==7 (from versions: 1.0, 1.9, "),
        ("planted=1", "'planted=1' is no requirement"),
    ],
)
def test_what_the_index_has_not_is_refused_in_one_line(
    index: Index, wanted: str, words: str
) -> None:
    with pytest.raises(RequestError) as raised:
        overlay.asked([wanted], index)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_other_versions_break_is_named() -> None:
    scipy = Wheel("scipy", "99", "", "", ("numpy>=99", "nobody-has-this", "absent; extra == 'x'"))
    numpy = overlay.installed()["numpy"]
    conflicts = Overlay((scipy,)).conflicts()
    assert f"scipy 99 requires numpy>=99, and numpy is {numpy}" in conflicts
    assert "scipy 99 requires nobody-has-this, and nobody-has-this is none" in conflicts
    assert not any("absent" in line for line in conflicts)
    assert Overlay().conflicts() == []


def test_a_file_of_constraints_names_what_is_here_in_another_version(tmp_path: Path) -> None:
    ours = overlay.installed()["numpy"]
    file = tmp_path / "constraints.txt"
    file.write_text(f"# pins\nnumpy=={ours}\nscipy==0.1  # old\nnobody-has-this==1\n\n")
    assert overlay.requirements(str(file)) == ["scipy==0.1"]


def test_the_versions_of_another_python(index: Index, tmp_path: Path) -> None:
    python = Environments(tmp_path, index).python(Overlay())
    assert overlay.requirements(python) == []
    assert overlay.requirements(sys.executable) == []


def test_packages_are_taken_over_one_by_one() -> None:
    old, new = (Overlay((Wheel("planted", v, "", ""),)) for v in ("1.0", "1.9"))
    assert old.taking(["planted"], new) == new
    assert new.taking(["planted"], Overlay()) == Overlay()
    assert old.taking([], new) == old


def test_a_requirement_is_read() -> None:
    assert requirement("optax<0.2.6").name == "optax"
