"""The tests' own settings: what is told of what was skipped."""

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
