"""The search for a culprit: sets of packages, versions, what changes together, probes kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from suite.records.findings import Finding
from suite.session.bisect import Answer, first_showing, smallest
from suite.session.culprit import LimitReached, Probe, Probes, Search
from suite.session.first_slower import first_slower
from suite.system import revisions
from suite.system.index import Index, Wheel
from suite.system.overlay import Overlay
from suite.system.revisions import Side
from tasks.task import RequestError

NAMES = tuple(f"planted-{letter}" for letter in "abcdefgh")
VERSIONS = tuple(f"1.{n}" for n in range(6))


class TestSmallest:
    @given(st.integers(1, 12), st.data())
    def test_a_set_that_shows_it_and_without_any_one_does_not(
        self, number: int, data: st.DataObject
    ) -> None:
        culprits = data.draw(st.sets(st.integers(0, number - 1), min_size=1))
        asked: list[frozenset[int]] = []

        def test(changes: Collection[int]) -> bool:
            asked.append(frozenset(changes))
            return culprits <= set(changes)

        assert set(smallest(range(number), test)) == culprits
        assert len(set(asked)) <= number * number + 3 * number  # figure 2's bound

    def test_what_cannot_be_told_is_no_answer(self) -> None:
        """Alone, the second cannot be tried; the first of three is what does it."""

        def test(changes: Collection[str]) -> bool | None:
            return None if changes == ["b"] else "a" in changes

        assert smallest(["a", "b", "c"], test) == ["a"]


class TestFirst:
    @given(st.integers(0, 20), st.data())
    def test_the_last_without_and_the_first_with_it(self, number: int, data: st.DataObject) -> None:
        begins = data.draw(st.integers(0, number))
        untold = data.draw(st.sets(st.integers(0, max(number - 1, 0))))
        asked = []

        def test(at: int) -> bool | None:
            asked.append(at)
            return None if at in untold else at >= begins

        good, bad, between = first_showing(number, test)
        assert good < begins <= bad
        assert set(between) == set(range(good + 1, bad)) <= untold
        assert len(asked) <= 5 + len(untold)


class Shelf(Index):
    """An index in memory. Of ``requires``, packages by name and version have requirements."""

    requires: Mapping[tuple[str, str], tuple[str, ...]] = {}

    def wheel(self, name: str, version: str) -> Wheel:
        return Wheel(name, version, "", version, self.requires.get((name, version), ()))

    def resolved(self, requirements: Sequence[str], fixed: Iterable[str] = ()) -> list[Wheel]:
        fixed = set(fixed)
        (name, _, version) = requirements[0].partition("==")
        others = [need.partition("==") for need in self.requires.get((name, version), ())]
        if clash := [o for o, _, v in others if f"{o}=={v}" not in fixed and _has(fixed, o)]:
            raise RequestError(f"conflict with {clash[0]}")
        return [self.wheel(name, version), *(self.wheel(o, v) for o, _, v in others)]

    def versions(self, name: str) -> list[str]:
        return list(VERSIONS)


def _has(fixed: Collection[str], name: str) -> bool:
    return any(line.startswith(f"{name}==") for line in fixed)


class Fake:
    """A probing: the symptom shows from a version of each of the culprits on."""

    def __init__(self, **culprits: str):
        self.culprits = {name.replace("_", "-"): version for name, version in culprits.items()}
        self.calls = 0

    def facts(self) -> Mapping[str, Any]:
        return {"culprits": self.culprits}

    def __call__(self, overlay: Overlay) -> Probe:
        self.calls += 1
        shows = all(overlay.version(n) >= v for n, v in self.culprits.items())
        return Probe(shows, "losses differ from step 3" if shows else "the same")


def two(shelf: Shelf, names: Sequence[str] = NAMES) -> tuple[Overlay, Overlay]:
    """Environments with the first and with the last version of all."""
    old, new = (Overlay().with_wheels(shelf.wheel(n, v) for n in names) for v in ("1.0", "1.5"))
    return old, new


def search(folder: Path, fake: Fake, shelf: Shelf, most: int = 100) -> Search:
    return Search(*two(shelf), shelf, Probes(fake, folder, most, lambda _: None))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at", range(1, 6))
def test_the_package_and_version_among_eight_and_six(tmp_path: Path, name: str, at: int) -> None:
    fake = Fake(**{name: VERSIONS[at]})
    said = search(tmp_path, fake, Shelf()).answer()
    assert said == (f"{name} {VERSIONS[at - 1]} → {VERSIONS[at]} alone: losses differ from step 3")
    assert fake.calls <= 10


def test_two_that_show_it_only_together(tmp_path: Path) -> None:
    said = search(tmp_path, Fake(planted_b="1.2", planted_g="1.4"), Shelf()).answer()
    assert said.startswith("planted-b 1.1 → 1.2 and planted-g 1.3 → 1.4 together: ")


def pinned() -> Shelf:
    """An index whose a and b are of one version always, while c needs a new d."""
    shelf = Shelf()
    own = {("planted-a", v): (f"planted-b=={v}",) for v in VERSIONS}
    shelf.requires = {**own, ("planted-c", "1.5"): ("planted-d==1.5",)}
    return shelf


def test_what_requires_each_other_changes_together(tmp_path: Path) -> None:
    groups = {g.names: g.needed for g in search(tmp_path, Fake(), pinned()).groups()}
    assert groups["planted-a", "planted-b"] == ()
    assert groups["planted-c",] == ("planted-d",)
    assert groups["planted-d",] == ()
    assert sum(map(len, groups)) == len(NAMES)


def test_the_one_of_a_group_that_requires_the_others_is_named(tmp_path: Path) -> None:
    said = search(tmp_path, Fake(planted_b="1.3"), pinned()).answer()
    assert said.startswith(
        "planted-a 1.2 → 1.3 (with planted-b, which must change with it) alone: "
    )


def test_what_is_no_longer_needed_is_not_blamed_for_what_no_longer_needs_it(
    tmp_path: Path,
) -> None:
    shelf = Shelf()
    shelf.requires = {("planted-g", v): ("planted-a==1.0",) for v in VERSIONS[:5]}
    old, new = two(shelf)
    new = new.taking(["planted-a"], Overlay())
    assert new.changed(old)["planted-a"] == ("1.0", "none")
    probes = Probes(Fake(planted_g="1.5"), tmp_path, 100, lambda _: None)
    said = Search(old, new, shelf, probes).answer()
    assert said.startswith("planted-g 1.4 → 1.5 alone: ")


def test_a_version_that_goes_with_nothing_is_left_out_and_told(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.requires = {("planted-e", "1.3"): ("planted-h==1.9",)}
    said = search(tmp_path, Fake(planted_e="1.3"), shelf).answer()
    assert said.startswith("planted-e 1.2 → 1.4 (1.3 between them cannot be told) alone: ")


def test_a_search_that_was_stopped_goes_on(tmp_path: Path) -> None:
    whole = Fake(planted_f="1.4")
    said = search(tmp_path / "whole", whole, Shelf()).answer()
    calls = []
    for _ in range(whole.calls):
        fake = Fake(planted_f="1.4")
        try:
            assert search(tmp_path / "parts", fake, Shelf(), 2).answer() == said
        except LimitReached:
            assert fake.calls == 2
        calls.append(fake.calls)
    assert sum(calls) == whole.calls, "no probe is made twice"


def test_what_could_not_be_told_is_asked_again(tmp_path: Path) -> None:
    asked: list[Answer] = [None, True, False]

    class Noisy(Fake):
        def __call__(self, overlay: Overlay) -> Probe:
            return Probe(asked.pop(0), "noise")

    answers = [
        Probes(Noisy(), tmp_path, 9, lambda _: None)(Overlay(), "it").shows for _ in range(3)
    ]
    assert answers == [None, True, True]


class TestRevisions:
    def commits(self, begins: int) -> tuple[list[str], list[str]]:
        """Words and findings on seven commits, of which the one that ``begins`` is slower."""
        asked: list[str] = []

        def compared(side: Side, name: str) -> Finding:
            asked.append(side.name)
            slow = int(side.name) >= begins
            return Finding(name, "slower" if slow else "same", "", not slow)

        last = [Finding("b in c", "same", ""), Finding("t in numpy:eager", "slower", "0.8", False)]
        said = first_slower([str(n) for n in range(7)], last, compared, asked.append)
        return [finding.reason for finding in said], asked

    @pytest.fixture(autouse=True)
    def history(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(revisions, "checked_out", lambda commit: nullcontext(Path(commit)))
        monkeypatch.setattr(revisions, "titled", lambda commit: f"{commit} its message")
        monkeypatch.setattr(revisions, "short", str)

    def test_the_commit_that_made_it_slower(self) -> None:
        reasons, asked = self.commits(begins=3)
        assert reasons == ["", "since 3 its message, 3 commits timed: 0.8"]
        assert asked[::2] == ["3", "1", "2"]
        assert self.commits(begins=7)[0][1].startswith("since the last revision, ")

    def test_nothing_is_searched_for_where_nothing_is_slower(self) -> None:
        same = [Finding("b in c", "same", "")]

        def compared(side: Side, name: str) -> Finding:
            raise AssertionError(side, name)

        assert first_slower(["1"], same, compared, pytest.fail) == same
