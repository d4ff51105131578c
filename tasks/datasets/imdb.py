"""The Large Movie Review Dataset: 25,000 + 25,000 film reviews, half of them favourable.

A review becomes the ranks of its words in the training vocabulary: ``<br />`` is dropped, letters
are composed (NFC) and lower-cased, words are ``[a-z0-9']+``; rank 0 is the most frequent word in
training, equally frequent words are in alphabetical order.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tasks import datasets, exact
from tasks.datasets.cache import cached
from tasks.datasets.sources import SOURCES
from tasks.datasets.unpacking import UNPACKING_ERRORS, BoundedGzip
from tasks.task import Array, DataSource, Provenance, RequestError

ARCHIVE = "aclImdb_v1.tar.gz"
SOURCE = SOURCES["imdb"]
SPLITS = ("train", "test")
REVIEWS = {"train": 25_000, "test": 25_000}
UNKNOWN = -1
"""The rank of a word of the test reviews that no training review has."""
DECODING = "2"
"""Changes whenever ``decode`` gives other arrays: what was cached before is then not used."""
GENERATION = "1"
"""Changes whenever ``generate`` gives other arrays."""
MEMBER = re.compile(r"aclImdb/(train|test)/(pos|neg)/\d+_\d+\.txt")
LARGEST = 1 << 20
"""Bytes of a review; the longest one has 14 kB."""
UNPACKED = 1 << 30
"""Bytes of an unpacked archive; the official one has about half of it."""
WORD = re.compile(r"[a-z0-9']+")


@dataclass(frozen=True)
class IMDB:
    """By split: ``words`` (tokens,) int32, all reviews one after another; review i has the words
    ``offsets[i]:offsets[i + 1]``, ``offsets`` (n + 1,) int64; ``labels`` (n,) uint8, 1 favourable.

    Reviews are in the order of their paths in the archive: all unfavourable ones come first.
    ``vocabulary`` has the words themselves by rank; generated data have none.
    """

    words: Mapping[str, Array]
    offsets: Mapping[str, Array]
    labels: Mapping[str, Array]
    provenance: Provenance
    vocabulary: tuple[str, ...] = ()


def load(source: DataSource) -> IMDB:
    """The real data (RequestError if missing or damaged) or the generated stand-in."""
    return _real() if source == "real" else generated()


def _real() -> IMDB:
    content = datasets.read(SOURCE, ARCHIVE)
    _, archive = datasets.serving(SOURCE, ARCHIVE)
    return _from_arrays(
        cached(SOURCE.name, f"{archive.sha256} {DECODING}", lambda: decode(content)), "real"
    )


def _from_arrays(arrays: Mapping[str, Array], source: DataSource) -> IMDB:
    def of(part: str) -> dict[str, Array]:
        return {split: arrays[f"{split}_{part}"] for split in SPLITS}

    provenance = Provenance(SOURCE.name, source, arrays["digest"].tobytes().hex())
    words = arrays["vocabulary"].tobytes().decode().split() if source == "real" else ()
    return IMDB(of("words"), of("offsets"), of("labels"), provenance, tuple(words))


def decode(content: bytes) -> dict[str, Array]:
    """``<split>_words``, ``_offsets`` and ``_labels`` of an archive, and ``digest``, their SHA-256.

    Beside them ``vocabulary`` has the words by rank, in ASCII, with a space between them.
    The digest is the same whichever archive the reviews came from. RequestError if the content is
    no gzipped tar archive, holds no labelled reviews for both splits, or more than there are.
    """
    provisional: dict[str, int] = {}
    reviews: dict[str, dict[str, array[int]]] = {split: {} for split in SPLITS}
    for path, text in _members(content):
        own = reviews[path.split("/")[1]]
        composed = unicodedata.normalize("NFC", text)  # else the e of é would be part of a word
        found = WORD.findall(composed.replace("<br />", " ").lower())
        ids = array("i", (provisional.setdefault(word, len(provisional)) for word in found))
        own[path] = ids
        if len(own) > max(REVIEWS.values()):
            raise RequestError(f"the archive has more than {len(own) - 1} reviews of a split")
    arrays: dict[str, Array] = {}
    for split in SPLITS:
        if not reviews[split]:
            raise RequestError(f"the archive has no labelled reviews in aclImdb/{split}")
        paths = sorted(reviews[split])
        arrays[f"{split}_words"], arrays[f"{split}_offsets"] = _joined(
            [reviews[split].pop(path) for path in paths]
        )
        arrays[f"{split}_labels"] = np.array(["/pos/" in path for path in paths], np.uint8)
    words = list(provisional)
    rank = ranks(words, arrays["train_words"])
    for split in SPLITS:
        arrays[f"{split}_words"] = rank[arrays[f"{split}_words"]]
    ranked = sorted((r, word) for r, word in zip(rank.tolist(), words, strict=True) if r >= 0)
    vocabulary = " ".join(word for _, word in ranked).encode("ascii")
    return {
        **arrays,
        "digest": np.frombuffer(_digest(arrays.values()), np.uint8),
        "vocabulary": np.frombuffer(vocabulary, np.uint8),
    }


def _members(content: bytes) -> Iterator[tuple[str, str]]:
    """Path and text of every labelled review of an archive, which is never unpacked to disk."""
    try:
        unpacked = BoundedGzip(content, UNPACKED)
        with tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps them all
                if not member.isfile() or not MEMBER.fullmatch(member.name):
                    continue
                if member.size > LARGEST:
                    raise RequestError(f"{member.name} has {member.size} bytes: not a review")
                file = archive.extractfile(member)
                assert file
                yield member.name, file.read().decode()
    except (tarfile.TarError, *UNPACKING_ERRORS, ValueError) as error:  # not UTF-8, or a bad header
        raise RequestError(f"not the archive of reviews ({error}); fetch it anew") from None


def _joined(reviews: list[array[int]]) -> tuple[Array, Array]:
    """The reviews one after another, int32, and where each begins and ends."""
    offsets = np.zeros(len(reviews) + 1, np.int64)
    np.cumsum([len(ids) for ids in reviews], out=offsets[1:])
    joined = np.empty(offsets[-1], np.int32)
    for ids, start, end in zip(reviews, offsets[:-1], offsets[1:], strict=True):
        joined[start:end] = ids
    return joined, offsets


def ranks(words: list[str], training: Array) -> Array:
    """The rank of every word, by falling count in ``training`` (tokens,), then alphabetically.

    ``training`` holds indices into ``words``; a word that it lacks is UNKNOWN.
    """
    counts = np.bincount(training, minlength=len(words))
    order = sorted(np.flatnonzero(counts).tolist(), key=lambda i: (-counts[i], words[i]))
    rank = np.full(len(words), UNKNOWN, np.int32)
    rank[order] = np.arange(len(order))
    return rank


def _digest(arrays: Iterable[Array]) -> bytes:
    digest = hashlib.sha256()
    for array_ in arrays:
        digest.update(np.ascontiguousarray(array_).data)
    return digest.digest()


WORDS = 60_000
"""Words of the stand-in."""


def generated(seed: int = 0) -> IMDB:
    """A stand-in of the same sizes that a small model learns well, but not perfectly.

    Word r is drawn with probability about 1 / (r + 1) (Zipf's law), by r + 1 = WORDS^u for uniform
    u. One word pair in eight says something: which of the two a review uses depends on its label,
    more in some reviews than in others. Lengths are about log-normal, their median 190. The same
    ``seed`` gives the same bits everywhere.
    """
    key = f"generated {seed} {GENERATION}"
    return _from_arrays(cached(SOURCE.name, key, lambda: generate(seed)), "generated")


def generate(seed: int) -> dict[str, Array]:
    """The stand-in's arrays, as ``decode`` names them."""
    rng = np.random.default_rng(seed)
    words, offsets, labels = {}, {}, {}
    for split, n in REVIEWS.items():
        lengths = (5 * exact.powers(1_300, exact.bell(rng, (n,)))).astype(np.int64) + 10
        offsets[split] = np.concatenate([[0], np.cumsum(lengths)])
        labels[split] = np.repeat(np.array([0, 1], np.uint8), [n - n // 2, n // 2])
        lean = exact.uniform(rng, 0, 0.6, (n,))
        tone = 0.5 + (labels[split] - 0.5) * lean  # P(the favourable word)
        drawn = rng.random(offsets[split][-1], dtype=np.float32)
        ids = exact.powers(WORDS, drawn).astype(np.int32) - 1
        telling = np.flatnonzero(ids % 16 >= 14)
        reviews = np.searchsorted(offsets[split], telling, side="right") - 1
        favourable = rng.random(len(telling)) < tone[reviews]
        ids[telling] = ids[telling] // 2 * 2 + favourable
        words[split] = ids
    parts = {"words": words, "offsets": offsets, "labels": labels}
    arrays = {f"{s}_{part}": by[s] for part, by in parts.items() for s in SPLITS}
    return {**arrays, "digest": np.frombuffer(_digest(arrays.values()), np.uint8)}
