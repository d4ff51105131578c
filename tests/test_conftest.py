"""What the tests' own settings do: who shares a process, and what is told of what was skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import conftest

pytest_plugins = ["pytester"]


def test_what_was_not_tested_is_told_once_for_each_reason(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(conftest.__file__).read_text())
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.skipif(True, reason="no Chromium on the path")
        @pytest.mark.parametrize("n", range(2))
        def test_page(n): pass
        def test_data(): pytest.skip("no film reviews")
        def test_all_is_well(): pass
        """
    )
    done = pytester.runpytest_inprocess("-p", "no:xdist")
    done.stdout.fnmatch_lines(
        ["*= not tested =*", "2 tests: no Chromium on the path", "1 test: no film reviews"]
    )
    done = pytester.runpytest_inprocess("-p", "no:xdist", "-k", "well")
    done.stdout.no_fnmatch_line("*not tested*")


def test_all_that_asks_for_frameworks_is_in_one_group(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(Path(conftest.__file__).read_text())
    names = ("backends/test_a", "backends/test_b", "suite/test_c", "suite/test_d")
    for name in names:
        file = pytester.path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("def test_one(): pass\ndef test_other(): pass\n")
    done = pytester.runpytest_inprocess("-n", "2", "--dist", "loadgroup", "-v")
    done.assert_outcomes(passed=8)
    groups = {line.split("@")[1].strip() for line in done.outlines if "PASSED" in line}
    assert groups == {"tests/backends/", "tests/suite/test_c.py", "tests/suite/test_d.py"}
