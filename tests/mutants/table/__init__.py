"""The table of planted mistakes: the classic differences between frameworks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.mutants.mutant import Mutant
from tests.mutants.table import (
    attention,
    autoencoder,
    clipping,
    dropout,
    engines,
    fashion_mlp,
    fewshot,
    frozen,
    imdb_text,
    lstm,
    points,
    transformer,
    translation,
    updates,
)

TABLE = (
    *fashion_mlp.MUTANTS,
    *imdb_text.MUTANTS,
    *dropout.MUTANTS,
    *autoencoder.MUTANTS,
    *lstm.MUTANTS,
    *transformer.MUTANTS,
    *attention.MUTANTS,
    *translation.MUTANTS,
    *fewshot.MUTANTS,
    *points.MUTANTS,
    *updates.MUTANTS,
    *clipping.MUTANTS,
    *engines.MUTANTS,
    *frozen.MUTANTS,
)


def spread(mutants: Sequence[Mutant]) -> list[Mutant]:
    """In another order: first one of every mistake, in turn of each backend, then the others.

    So that a run with a limit sees as much as it can. Those of one task follow one another.
    """
    by_mistake = defaultdict(list)
    for mutant in mutants:
        by_mistake[mutant.name].append(mutant)
    rounds: defaultdict[int, list[Mutant]] = defaultdict(list)
    begun: Counter[str] = Counter()
    for plants in by_mistake.values():
        plants.sort(key=lambda mutant: begun[mutant.backend])
        begun[plants[0].backend] += 1
        for number, mutant in enumerate(plants):
            rounds[number].append(mutant)
    return [mutant for number in sorted(rounds) for mutant in rounds[number]]
