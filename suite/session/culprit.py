"""Culprits: the package, and its version, that brings a symptom from one environment to another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from packaging.utils import canonicalize_name

from suite.records.record import write_json
from suite.session.bisect import Answer, first_showing, smallest
from suite.system.index import Index, Wheel, between
from suite.system.overlay import ABSENT, Overlay, meets
from tasks.task import RequestError


class Symptom(StrEnum):
    """The kind of symptom that an environment is searched for."""

    SLOWER = "slower"
    DIFFERS = "differs"
    FAILS = "fails"


@dataclass(frozen=True)
class Probe:
    """The result in one environment: ``shows`` the symptom, does not, or None, and in words."""

    shows: Answer
    words: str
    ratio: float | None = None
    """How many times as fast as the old one it is, where it was timed."""


class Probing(Protocol):
    """Looks for one symptom in one cell."""

    def facts(self) -> Mapping[str, Any]:
        """All that an answer depends on, beside the environment."""

    def __call__(self, overlay: Overlay) -> Probe:
        """Looks for it in an environment. RequestError if that cannot be made."""


class LimitReached(Exception):
    """No more environments may be probed now."""


class Probes:
    """Probes that are kept in ``folder``, at most ``limit`` new ones: each is made once."""

    def __init__(self, probing: Probing, folder: Path, limit: int, say: Callable[[str], None]):
        self._probing, self._folder, self._limit, self.say = probing, folder, limit, say
        self.made, self.kept = 0, 0
        """How many were made now, and taken from an earlier time."""
        self._known: dict[str, Probe] = {}

    def __call__(self, overlay: Overlay, words: str) -> Probe:
        """The probe of an environment, which ``words`` describe. LimitReached."""
        key = self._key(overlay)
        if key not in self._known:
            path = self._folder / f"{key}.json"
            found = _read(path)
            self.kept += found is not None
            if found is None:
                if self.made >= self._limit:
                    raise LimitReached
                self.made += 1
                try:
                    found = self._probing(overlay)
                except RequestError as error:
                    found = Probe(None, str(error))
                if found.shows is not None:  # a quieter hour may tell
                    write_json(path, asdict(found))
            answer = {True: "yes", False: "no", None: "cannot be told"}[found.shows]
            self.say(f"  {words}: {answer} ({found.words})")
            self._known[key] = found
        return self._known[key]

    def _key(self, overlay: Overlay) -> str:
        facts = [dict(self._probing.facts()), overlay.key, dict(overlay.versions)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _read(path: Path) -> Probe | None:
    with suppress(OSError, ValueError, TypeError):  # it only saves time
        return Probe(**json.loads(path.read_text(encoding="utf-8")))
    return None


@dataclass(frozen=True)
class Group:
    """Packages that change together, since none of their versions goes with another's other."""

    names: tuple[str, ...]
    needed: tuple[str, ...] = ()
    """Those that must change with them, but could without them."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every package that changes."""
        return (*self.names, *self.needed)


@dataclass(frozen=True)
class Turn:
    """Where a symptom begins in the versions of one package."""

    name: str
    before: str
    """The last version that does not show it."""
    after: str
    """The first that does."""
    untold: tuple[str, ...]
    """Versions between the two of which it cannot be told."""
    needed: tuple[str, ...]
    """Packages that have to change with it."""

    def __str__(self) -> str:
        said = f"{self.name} {self.before} → {self.after}"
        said += f" (with {', '.join(self.needed)}, which must change with it)" * bool(self.needed)
        untold = f" ({', '.join(self.untold)} between them cannot be told)" * bool(self.untold)
        return said + untold


class Search:
    """The search for the culprit between two environments that differ in some packages."""

    def __init__(self, old: Overlay, new: Overlay, index: Index, probes: Probes):
        self._old, self._new, self._index, self._probes = old, new, index, probes
        self._say = probes.say
        self.changed = new.changed(old)

    def answer(self) -> str:
        """The culprit in words, with the symptom. LimitReached."""
        groups = self.packages()
        turns = [str(self.turn(groups, group)) for group in groups]
        together = f"{' and '.join(turns)} {'together' if len(turns) > 1 else 'alone'}"
        return f"{together}: {self._as_in_the_new(groups).words}"

    def _as_in_the_new(self, groups: Collection[Group]) -> Probe:
        """The probe of the old environment with some packages of the new one."""
        names = {name for group in groups for name in group.all}
        overlay = self._old.taking(names, self._new)
        return self._probes(overlay, f"{', '.join(sorted(names))} as in the new one")

    def packages(self) -> list[Group]:
        """The smallest set of packages that brings the symptom. LimitReached."""
        return smallest(self.groups(), lambda groups: self._as_in_the_new(groups).shows)

    def groups(self) -> list[Group]:
        """All that changed, dependencies kept together."""
        together = {name: self._closure(name) for name in self.changed}
        found = {}
        for own in together.values():
            same = tuple(n for n in sorted(own) if together[n] == own)
            found[own] = Group(same, tuple(sorted(own - set(same))))
        # the smallest first: what is no longer there can only change with what no longer needs it
        return sorted(dict.fromkeys(found.values()), key=lambda group: len(group.all))

    def turn(self, groups: Sequence[Group], group: Group) -> Turn:
        """Where it begins in the first package of a group, the others of ``groups`` being new.

        LimitReached.
        """
        name = self.leader(group)
        before, after = self.changed[name]
        names = {n for one in groups if one is not group for n in one.all}
        base = self._old.taking(names, self._new)
        known = [] if ABSENT in (before, after) else self._index.versions(name)
        row = [before, *between(known, before, after), after]

        def test(at: int) -> Answer:
            try:
                wheels = self._resolved(name, row[at + 1], base, group)
            except RequestError as error:  # it needs other versions of what is not in the group
                self._say(f"  {name} {row[at + 1]}: cannot be told ({error})")
                return None
            return self._probes(base.with_wheels(wheels), f"{name} {row[at + 1]}").shows

        good, bad, untold = first_showing(len(row) - 2, test)
        others = tuple(n for n in group.all if n != name)
        return Turn(name, row[good + 1], row[bad + 1], tuple(row[n + 1] for n in untold), others)

    def _resolved(self, name: str, version: str, base: Overlay, group: Group) -> list[Wheel]:
        """The wheels of one version, which may change nothing outside its group."""
        fixed = [f"{n}=={v}" for n, v in base.versions.items() if n not in group.all and _plain(v)]
        return self._index.resolved([f"{name}=={version}"], fixed)

    def leader(self, group: Group) -> str:
        """The package of a group that requires most of the others: ``jax`` of jax and jaxlib."""
        return max(group.names, key=lambda n: len(_needed(self._new, n) & set(group.names)))

    def _closure(self, name: str) -> frozenset[str]:
        """The package and all that must change with it, so that every requirement is met."""
        own, fresh = set[str](), {name}
        while fresh:
            own |= fresh
            fresh = {n for one in own for n in self._with(one, own)} - own
        return frozenset(own)

    def _with(self, name: str, own: Collection[str]) -> Iterator[str]:
        """The changed packages that do not go with the new version of ``name`` as they were."""
        for other in self.changed.keys() - set(own):
            forth = _conflict(self._new, name, self._old, other)
            back = _conflict(self._old, other, self._new, name)
            both = _conflict(self._new, name, self._new, other)
            both = both or _conflict(self._new, other, self._new, name)
            if (forth or back) and not both:
                yield other


def _conflict(one: Overlay, name: str, other: Overlay, required: str) -> bool:
    """Tells if a package as in one environment cannot stand beside another as in the other."""
    if one.version(name) == ABSENT:
        return False
    needs = (need for need in one.needs(name) if canonicalize_name(need.name) == required)
    return any(not meets(need, other.version(required)) for need in needs)


def _needed(overlay: Overlay, name: str) -> set[str]:
    return {canonicalize_name(need.name) for need in overlay.needs(name)}


def _plain(version: str) -> bool:
    """Tells if it is a version: of what is imported from elsewhere, none is known."""
    return " " not in version
