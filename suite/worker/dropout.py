"""Statistics of a framework's own dropout, of what a real program draws when it trains.

A program of a seed is asked what its dropout layers multiply by (``Program.dropout``). That is held
against what the task says of them; that training really does it, against training by these masks
(which is compared with the oracle): the losses must be the same.

How often a fault is found where there is none: every count that is looked at is binomial if dropout
is right, and may part from its mean by as much as Bernstein's inequality allows with probability
``FALSE_ALARM``, divided by the number of counts. So a right framework with new random numbers fails
with probability ``FALSE_ALARM`` at most; and as the seed is fixed, one that passes always passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from backends.program import Program
from suite.records.verdict import Deviation
from tasks.task import MASK, Array, Chunk, Dropout, Precision, State, Task, Tree, dtype_of

FALSE_ALARM = 1e-6
"""Probability of a false alarm, for all counts of one program together."""
ENTRIES = 2**16
"""Entries of each layer that are looked at: they show a rate of .11 for .1, or of .52 for .5."""
FEWEST, MOST = 4, 32
"""Steps in which as many are looked for."""
QUANTITIES = ("place", "independence", "rate", "scale", "repetition", "silence", "training")
"""Quantities that are looked at, a cause before what follows from it."""
ROUNDING: Mapping[Precision, float] = {
    "float64": 1e-12,
    "float32": 1e-6,
    "tf32": 1e-6,
    "bfloat16": 2.0**-8,
}
"""Error that is allowed of the factor 1 / (1 - rate), relative."""
SILENT = 1e-4
"""Difference that is allowed in outputs, relative: rounding is not repeatable. Dropout changes
outputs by far more."""
Build = Callable[[State, int | None], Program]
"""``build(state, seed)``"""
Errors = dict[str, Array]
"""By ``quantity/where``: the error and what is allowed of it, (2,)."""


def dropout_statistics(task: Task, build: Build, precision: Precision, seed: int) -> Errors:
    """How far a framework's own dropout is from the task's; {} if the task has none.

    - ``place``: whether each layer drops where the task says it does, or others do too.
    - ``independence``: the fraction that two masks both drop, less what it is if they are
      independent: of any two layers and steps, of another seed, of neighbours in a mask.
    - ``rate``: the fraction that is dropped, less the rate.
    - ``scale``: what is kept is multiplied by 1 / (1 - rate), so that the mean is kept; relative.
    - ``repetition``: the fraction that another time differs for the same seed and step.
    - ``silence``: how far predictions differ at another step, and without dropout; relative.
    - ``training``: how far the losses, and the state, of training differ from those by the masks.

    ``build`` makes programs in ``precision``; ``seed`` chooses the chunks and the random numbers.
    """
    first = next(_steps(task, seed, 1))
    layers = task.dropouts(first)
    if not layers:
        return {}
    fewest = min(int(dropout.real.sum()) * dropout.channels for dropout in layers.values())
    wanted = min(max(-(-ENTRIES // fewest), FEWEST), MOST, task.envelopes[precision].steps)
    chunks = list(_steps(task, seed, wanted))
    initial = task.initial(seed).astype(dtype_of(precision))
    own, other, masked = (build(initial, s) for s in (seed, seed + 1, None))
    drawn = [_factors(task, own, initial, chunk, step) for step, chunk in enumerate(chunks)]
    errors = _places(task, chunks, drawn)
    if not errors:
        foreign = _factors(task, other, initial, chunks[0], 0)
        errors |= _independence(task, chunks, [*drawn, foreign])
        errors |= _rates(layers, drawn) | _scales(layers, drawn, ROUNDING[precision])
        again = _factors(task, own, initial, chunks[-1], len(chunks) - 1)
        errors |= _repetition(drawn[-1], again)
        errors |= _training(task, (own, masked), initial, chunks, drawn, precision)
    return errors | _silence(task, own, masked, initial)


def dropout_finding(errors: Mapping[str, Array]) -> Deviation:
    """The worst of ``dropout_statistics``, of the first quantity in which there is a fault."""

    def badness(key: str) -> tuple[bool, int, float]:
        error, allowed = map(float, errors[key])
        passed = error <= allowed
        rank = 0 if passed else -QUANTITIES.index(key.partition("/")[0])
        return not passed, rank, error / allowed if allowed else error

    worst = max(errors, key=badness)
    error, allowed = map(float, errors[worst])
    quantity, _, where = worst.partition("/")
    finite = error if np.isfinite(error) else None
    return Deviation("dropout", finite, allowed, f"{quantity} of {where}", error <= allowed)


def _steps(task: Task, seed: int, count: int) -> Iterator[Chunk]:
    """Chunks of one step each, of one shape: each further shape would be compiled."""
    shapes = None
    for chunk in task.verification_chunks(seed):
        for step in range(len(next(iter(chunk.values())))):
            batch = {name: a[step : step + 1] for name, a in chunk.items()}
            shapes = shapes or {name: a.shape for name, a in batch.items()}
            if shapes == {name: a.shape for name, a in batch.items()}:
                yield batch
                count -= 1
            if not count:
                return


def _factors(task: Task, program: Program, initial: State, chunk: Chunk, step: int) -> Tree:
    """By layer the rows (positions, channels) of the real positions: what they are multiplied by.

    A layer of which the program says nothing multiplies by 1. Factors that cannot be rows of real
    positions are left as they are.
    """
    program.restore(replace(initial, step=step))
    found = dict(program.dropout(program.place(chunk)))
    for layer, dropout in task.dropouts(chunk).items():
        (real,) = dropout.real
        factors = found.get(layer, np.ones((int(real.sum()), dropout.channels)))
        if factors.size == real.size * dropout.channels:
            factors = factors.reshape(*real.shape, dropout.channels)[real]
        found[layer] = factors
    return found


def _places(task: Task, chunks: list[Chunk], drawn: list[Tree]) -> Errors:
    """Only of layers that are not where they should be."""
    misplaced = set()
    for chunk, factors in zip(chunks, drawn, strict=True):
        expected = {
            layer: (int(dropout.real.sum()), dropout.channels)
            for layer, dropout in task.dropouts(chunk).items()
        }
        misplaced |= {layer for layer, a in factors.items() if a.shape != expected.get(layer)}
    return {f"place/{layer}": np.array([np.inf, 0]) for layer in sorted(misplaced)}


def _rates(layers: Mapping[str, Dropout], drawn: list[Tree]) -> Errors:
    errors, tests = {}, _tests(len(layers), len(drawn))
    for layer, dropout in layers.items():
        dropped = np.concatenate([factors[layer].ravel() == 0 for factors in drawn])
        error = abs(float(dropped.mean()) - dropout.rate)
        errors[f"rate/{layer}"] = np.array([error, _radius(dropped.size, dropout.rate, tests)])
    return errors


def _scales(layers: Mapping[str, Dropout], drawn: list[Tree], rounding: float) -> Errors:
    errors = {}
    for layer, dropout in layers.items():
        factors = np.concatenate([factors[layer].ravel() for factors in drawn])
        kept = factors[factors != 0].astype(np.float64)
        error = float(np.abs(kept * (1 - dropout.rate) - 1).max()) if kept.size else np.inf
        errors[f"scale/{layer}"] = np.array([error, rounding])
    return errors


def _tests(layers: int, steps: int) -> int:
    """How many counts are looked at: rates, any two masks in two alignments, neighbours."""
    masks = layers * (steps + 1)
    return layers + masks * (masks - 1) + 2 * layers


def _radius(n: Array | int, q: Array | float, tests: int) -> Array:
    """By how much the fraction of n trials of probability q may part from q.

    Bernstein's inequality: P(|k - n q| >= t) <= 2 exp(-t^2 / (2 n q (1 - q) + 2 t / 3)).
    """
    nats = np.log(2 * tests / FALSE_ALARM)
    t = nats / 3 + np.sqrt((nats / 3) ** 2 + 2 * nats * n * q * (1 - q))
    radius: Array = t / np.maximum(n, 1)
    return radius


def _independence(task: Task, chunks: list[Chunk], drawn: list[Tree]) -> Errors:
    """The last of ``drawn`` are of another seed, for the first of the chunks.

    Masks are laid over each other entry by entry in two ways, as programs draw them: for the real
    positions one after another, and for all of them.
    """
    last = len(drawn) - 1
    labels, rows, spread = [], [], []
    for step, factors in enumerate(drawn):
        when = f"step {step}" if step < last else "another seed"
        for layer, dropout in task.dropouts(chunks[step % last]).items():
            labels.append(f"{layer} in {when}")
            dropped = factors[layer] == 0
            rows.append((dropped, np.ones_like(dropped)))
            (real,) = dropout.real
            everywhere = np.zeros(dropout.shape[1:], bool)
            everywhere[real] = dropped
            spread.append((everywhere, np.broadcast_to(real[..., None], everywhere.shape)))
    layers = task.dropouts(chunks[0])
    tests = _tests(len(layers), last)
    errors: Errors = {}
    for aligned in (rows, spread):
        _merge(errors, _pairs(labels, aligned, tests))
    for layer in layers:
        _merge(errors, _neighbours(layer, [f[layer] == 0 for f in drawn[:last]], tests))
    return errors


def _pairs(labels: list[str], masks: list[tuple[Array, Array]], tests: int) -> Errors:
    """The worst pair of each mask, from what is dropped and where there is something to drop."""
    length = max(dropped.size for dropped, _ in masks)
    dropped, there = np.zeros((2, len(masks), length), np.float32)
    for number, pair in enumerate(masks):
        for all_of_them, a in zip((dropped, there), pair, strict=True):
            all_of_them[number, : a.size] = a.ravel()
    # in float32, but exact: no count reaches 2 ** 24
    both, n, mine = dropped @ dropped.T, there @ there.T, dropped @ there.T
    error, allowed = _joint(both, mine, mine.T, n, tests)
    ratio = error / allowed
    np.fill_diagonal(ratio, 0)
    errors: Errors = {}
    for one, other in enumerate(ratio.argmax(axis=1)):
        where = f"independence/{labels[one]} and {labels[other]}"
        _merge(errors, {where: np.array([error[one, other], allowed[one, other]])})
    return errors


def _joint(both: Array, a: Array, b: Array, n: Array, tests: int) -> tuple[Array, Array]:
    """How far the fraction that both of two masks drop is from what it is on the average, given how
    many of n entries each drops, and how far it may be.

    Whatever their rates are, it is hypergeometric if they are independent, for which the bounds of
    the binomial hold: Hoeffding 1963, theorem 4.
    """
    entries = np.maximum(n, 1).astype(np.float64)
    q = (a / entries) * (b / entries)
    return np.abs(both / entries - q), _radius(entries, q, tests)


def _merge(errors: Errors, more: Errors) -> None:
    """Keeps the worst by the first word of what they are of: the layer."""
    for key, pair in more.items():
        layer = key.partition(" ")[0]
        mine = next((k for k in errors if k.partition(" ")[0] == layer), None)
        if mine is None or pair[0] * errors[mine][1] > errors[mine][0] * pair[1]:
            errors.pop(mine or "", None)
            errors[key] = pair


def _neighbours(layer: str, masks: list[Array], tests: int) -> Errors:
    """Dependence of neighbours: pairs that share no entry, along rows and along columns."""
    errors = {}
    for axis, name in enumerate(("a position and the next", "a channel and the next")):
        first, second = (
            np.concatenate(
                [m.take(range(start, m.shape[axis] // 2 * 2, 2), axis).ravel() for m in masks]
            )
            for start in (0, 1)
        )
        both, a, b = (np.asarray(mask.sum()) for mask in (first & second, first, second))
        joint = _joint(both, a, b, np.asarray(first.size), tests)
        errors[f"independence/{layer} in {name}"] = np.array(joint)
    return errors


def _repetition(one: Tree, again: Tree) -> Errors:
    return {f"repetition/{n}": np.array([np.mean(one[n] != again[n]), 0.0]) for n in one}


def _training(
    task: Task,
    programs: tuple[Program, Program],
    initial: State,
    chunks: list[Chunk],
    drawn: list[Tree],
    precision: Precision,
) -> Errors:
    """Both within the envelope of the oracle: twice that between them."""
    allowed = task.envelopes[precision]
    whole = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0]}
    masks = {}
    for layer, dropout in task.dropouts(whole).items():
        kept = np.ones(dropout.shape, bool)
        kept[dropout.real] = np.concatenate([factors[layer] != 0 for factors in drawn])
        masks[f"{MASK}{layer}"] = kept
    found = []
    for program, chunk in zip(programs, (whole, {**whole, **masks}), strict=True):
        program.restore(initial)
        found.append((program.train(program.place(chunk)), program.state().params))
    (losses, params), (expected, by_masks) = found
    steps = np.abs(losses - expected) / np.abs(expected)
    tolerances = 2 * allowed.loss_tolerances()[: len(steps)]
    worst = int(np.argmax(steps / tolerances))
    errors = {f"training/the loss of step {worst}": np.array([steps[worst], tolerances[worst]])}
    for leaf, a in params.items():
        error = _relative(a, by_masks[leaf])
        errors[f"training/{leaf}"] = np.array([error, 2 * allowed.state])
    return errors


def _silence(task: Task, own: Program, masked: Program, initial: State) -> Errors:
    """``own`` has trained, or at least been asked for what it drops in training."""
    chunk = {name: a[:1] for name, a in next(task.chunks("test")).items()}
    outputs = []
    for program, step in ((own, 0), (own, 1), (masked, 0)):
        program.restore(replace(initial, step=step))
        outputs.append(program.predict(program.place(chunk)))
    here, later, without = outputs
    return {
        f"silence/{name} {why}": np.array([_relative(a, other[name]), SILENT])
        for name, a in here.items()
        for why, other in (("at another step", later), ("without dropout", without))
    }


def _relative(a: Array, b: Array) -> float:
    """The largest difference, relative to the largest entry of ``b``."""
    error = np.abs(a.astype(np.float64) - b).max() / (float(np.abs(b).max()) or 1.0)
    return float(error) if np.isfinite(error) else np.inf
