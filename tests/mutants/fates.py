"""Fates of mutants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tests.mutants.mutant import Mutant

RUN = "run"
"""Stands for the precision of a verdict that ``tetragrad run`` gave."""
Fate = Literal["caught", "missed", "not tested", "broken"]
"""``broken``: the mutant crashes, or the source without it is not verified; nothing follows."""


@dataclass(frozen=True)
class Judgement:
    """Fate of a mutant in one precision."""

    fate: Fate
    by: tuple[str, ...] = ()
    """The quantities out of tolerance."""
    message: str = ""
    named: bool = False
    """True if the message names the place."""
    seconds: float = 0.0
    """Processor seconds that it took in warm processes."""


@dataclass(frozen=True)
class Result:
    """Fate of a mutant, by precision or ``RUN``."""

    mutant: Mutant
    judgements: Mapping[str, Judgement]

    @property
    def fate(self) -> Fate:
        """Caught if any precision caught it."""
        fates = [judgement.fate for judgement in self.judgements.values()]
        order: tuple[Fate, ...] = ("caught", "missed", "broken", "not tested")
        return next(fate for fate in order if fate in fates)

    @property
    def named(self) -> bool:
        """Tells if a message that caught it names the place."""
        return any(j.fate == "caught" and j.named for j in self.judgements.values())
