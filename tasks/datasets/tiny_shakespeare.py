"""Tiny Shakespeare: 40,000 lines of Shakespeare's plays, 1,115,394 characters of 65 kinds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from tasks import datasets
from tasks.datasets.cache import cached
from tasks.datasets.sources import SOURCES
from tasks.task import Array, DataSource, Provenance, RequestError

FILE = "input.txt"
SOURCE = SOURCES["tiny_shakespeare"]
ALPHABET = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The 65 characters of the text, sorted: a character's number is its place here."""
CHARACTERS = 1_115_394
DECODING = "1"
"""Changes whenever ``parse`` gives other numbers: what was cached before is then not used."""
CHAINS, SHARES = 1_017, (0.6, 0.25, 0.1, 0.05)


@dataclass(frozen=True)
class TinyShakespeare:
    """``text`` (n,) int32, characters by their number in ``ALPHABET``."""

    text: Array
    provenance: Provenance


def load(source: DataSource) -> TinyShakespeare:
    """The real data (RequestError if missing or damaged) or the generated stand-in."""
    return _real() if source == "real" else generated()


def _real() -> TinyShakespeare:
    content = datasets.read(SOURCE, FILE)
    arrays = cached(SOURCE.name, f"{SOURCE.digest} {DECODING}", lambda: {"text": parse(content)})
    # a copy: frameworks want arrays that could be written to
    return TinyShakespeare(arrays["text"].copy(), Provenance(SOURCE.name, "real", SOURCE.digest))


def parse(content: bytes) -> Array:
    """The numbers (n,) of the file's characters; RequestError for any not in ``ALPHABET``."""
    try:
        return encode(content.decode("ascii"))
    except UnicodeDecodeError as error:
        raise RequestError(f"not the text of the plays ({error}); fetch it anew") from None
    except KeyError as error:
        raise RequestError(f"the plays have no character {error}; fetch them anew") from None


def encode(text: str) -> Array:
    """The numbers of the characters of ``text``, (n,) int32. KeyError for one of another kind."""
    numbers = {character: number for number, character in enumerate(ALPHABET)}
    return np.array([numbers[character] for character in text], np.int32)


def decode(numbers: Array) -> str:
    """The text that ``encode`` made numbers (n,) of."""
    return "".join(ALPHABET[number] for number in numbers)


def generated(seed: int = 0) -> TinyShakespeare:
    """A stand-in of the same length and alphabet, a random Markov chain of second order.

    A character has four successors, which the character before it puts in the order of their
    probabilities: their entropy is 1.02 nats, or 1.27 without looking at the character before.
    Many chains run side by side and are joined, since one would have to be made step by step. The
    same ``seed`` gives the same bits everywhere.
    """
    rng = np.random.default_rng(seed)
    size, choices = len(ALPHABET), len(SHARES)
    # permutations, so that every character succeeds some other
    successors = np.stack([rng.permutation(size) for _ in SHARES], axis=1)  # (65, 4)
    orders = rng.permuted(np.tile(np.arange(choices), (size, size, 1)), axis=2)  # (65, 65, 4)
    length = -(-CHARACTERS // CHAINS)
    ranks = rng.choice(choices, (length, CHAINS), p=SHARES)
    text = np.empty((length, CHAINS), np.int32)
    before, last = rng.integers(0, size, (2, CHAINS))
    for place in range(length):
        before, last = last, successors[last, orders[before, last, ranks[place]]]
        text[place] = last
    joined = text.T.reshape(-1)[:CHARACTERS].copy()  # (CHAINS * length,)
    digest = hashlib.sha256(joined.tobytes()).hexdigest()
    return TinyShakespeare(joined, Provenance(SOURCE.name, "generated", digest))
