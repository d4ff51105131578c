"""Findings as people, CI and shells get them."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from suite.records.findings import Finding, Findings

SAME = Finding("a numpy: loss", "same", "0.5 in [0.4, 0.6]")
ABOVE = Finding("a | jax: <accuracy>", "above its band", "0.9 > 0.8\nby a lot \x00", False)
SKIPPED = Finding("a torch", "skipped", "not installed", None)


@pytest.mark.parametrize(
    ("found", "code"),
    [((SAME,), 0), ((SAME, SKIPPED), 0), ((SAME, ABOVE), 1), ((SKIPPED,), 1), ((), 1)],
)
def test_nothing_found_is_no_success(found: tuple[Finding, ...], code: int) -> None:
    assert Findings("check", found).exit_code == code


def test_a_reader_of_markdown_sees_failures_first() -> None:
    lines = Findings("check", (SAME, ABOVE, SKIPPED)).markdown().splitlines()
    assert lines[:3] == ["# check", "", "3 checked, 1 failed, 1 without a verdict."]
    assert lines[4] == "- **a \\| jax: \\<accuracy>**: 0.9 > 0.8 by a lot \x00"
    assert len(lines) == 11
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines[6:])


def test_junit_has_every_finding_and_can_be_parsed() -> None:
    root = ElementTree.fromstring(Findings("check", (SAME, ABOVE, SKIPPED)).junit())
    (suite,) = root
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["skipped"]) == tuple(
        "311"
    )
    same, above, skipped = suite
    assert (same.attrib["name"], same.findtext("system-out")) == (
        "a numpy: loss",
        "same: 0.5 in [0.4, 0.6]",
    )
    failure = above.find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("above its band: 0.9 > 0.8")
    assert skipped.find("skipped") is not None
