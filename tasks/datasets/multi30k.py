"""Multi30k: captions of pictures in German and English, 29,000 + 1,014 + 1,000 pairs.

A sentence becomes the numbers of its words: it is lower-cased, words are ``\\w+`` or a single mark,
and the vocabulary holds those seen at least twice in training, the most frequent first, equally
frequent ones in alphabetical order. Letters with marks are composed (NFC), however they come.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks import datasets, exact
from tasks.datasets.cache import cached
from tasks.datasets.sources import SOURCES
from tasks.datasets.unpacking import gunzip
from tasks.task import Array, DataSource, Provenance, RequestError

SPLITS = {"train": "train", "val": "val", "test": "test_2016_flickr"}
"""The splits, and what their files are called."""
SOURCE = SOURCES["multi30k"]
PAD, BOS, EOS, UNKNOWN = range(4)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
"""The words that the first numbers of both vocabularies stand for: padding, begin and end of a
sentence, any other word."""
WORD = re.compile(r"\w+|[^\w\s]")
SEEN = 2
"""How often training must have a word for the vocabulary to have it."""
LONGEST = 1 << 24
"""Bytes of an unpacked file; the longest one has 2 MB."""
DECODING = "1"
"""Changes whenever ``arrays`` gives others: what was cached before is then not used."""
GENERATION = "1"
"""Changes whenever ``generate`` gives other arrays."""


@dataclass(frozen=True)
class Multi30k:
    """By split, ``german`` and ``english`` (n, longest sentence) int32: every sentence's words by
    their number in ``vocabularies``, 0 after its end.

    ``vocabularies``: the German and the English words, those of ``SPECIAL`` first. ``references``:
    the English sentences of the test split as they were written.
    """

    german: Mapping[str, Array]
    english: Mapping[str, Array]
    vocabularies: tuple[tuple[str, ...], tuple[str, ...]]
    references: tuple[str, ...]
    provenance: Provenance


def load(source: DataSource) -> Multi30k:
    """The real data (RequestError if missing or damaged) or the generated stand-in."""
    return _real() if source == "real" else generated()


def _real() -> Multi30k:
    contents = {file: datasets.read(SOURCE, file) for file in SOURCE.files}
    found = cached(SOURCE.name, f"{SOURCE.digest} {DECODING}", lambda: arrays(contents))
    return _from_arrays(found, Provenance(SOURCE.name, "real", SOURCE.digest))


def _from_arrays(found: Mapping[str, Array], provenance: Provenance) -> Multi30k:
    german, english = ({s: found[f"{s}_{language}"] for s in SPLITS} for language in ("de", "en"))
    vocabularies = _lines(found["words_de"]), _lines(found["words_en"])
    return Multi30k(german, english, vocabularies, _lines(found["references"]), provenance)


def arrays(contents: Mapping[str, bytes]) -> dict[str, Array]:
    """``<split>_de``, ``<split>_en``, ``words_de``, ``words_en`` and ``references`` of the files.

    The first are those of ``Multi30k``, the last three texts as bytes of UTF-8, line by line.
    RequestError if the files are no texts of as many sentences.
    """
    made: dict[str, Array] = {}
    lines = {
        (split, language): decode(contents[f"{file}.{language}.gz"])
        for split, file in SPLITS.items()
        for language in ("de", "en")
    }
    for split in SPLITS:
        if len(lines[split, "de"]) != len(lines[split, "en"]):
            raise RequestError(f"the sentences of {split} do not come in pairs; fetch them anew")
    for language in ("de", "en"):
        words = {split: [tokens(line) for line in lines[split, language]] for split in SPLITS}
        known = vocabulary(words["train"])
        made[f"words_{language}"] = _text(known)
        made |= {f"{split}_{language}": encode(words[split], known) for split in SPLITS}
    return {**made, "references": _text(lines["test", "en"])}


def _text(lines: Sequence[str]) -> Array:
    """Lines as bytes of UTF-8."""
    return np.frombuffer("\n".join(lines).encode(), np.uint8)


def _lines(text: Array) -> tuple[str, ...]:
    return tuple(text.tobytes().decode().split("\n"))


def decode(content: bytes) -> list[str]:
    """The lines of a gzipped UTF-8 text, composed; RequestError if it is none, or absurdly long."""
    try:
        text = unicodedata.normalize("NFC", gunzip(content, LONGEST).decode())
    except UnicodeDecodeError as error:
        raise RequestError(f"not a text of sentences ({error}); fetch it anew") from None
    return text.removesuffix("\n").split("\n")


def tokens(sentence: str) -> list[str]:
    """The words and marks of a sentence, lower-cased and composed."""
    return WORD.findall(unicodedata.normalize("NFC", sentence).lower())


def vocabulary(sentences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """``SPECIAL`` and every word that ``sentences`` have twice, by falling count."""
    counts = Counter(word for sentence in sentences for word in sentence)
    kept = [word for word, count in counts.items() if count >= SEEN]
    return (*SPECIAL, *sorted(kept, key=lambda word: (-counts[word], word)))


def encode(sentences: Sequence[Sequence[str]], words: Sequence[str]) -> Array:
    """The numbers of the sentences' words, (n, longest) int32, 0 after the end of each."""
    numbers = {word: number for number, word in enumerate(words)}
    encoded = np.full((len(sentences), max(map(len, sentences))), PAD, np.int32)
    for row, sentence in zip(encoded, sentences, strict=True):
        row[: len(sentence)] = [numbers.get(word, UNKNOWN) for word in sentence]
    return encoded


PAIRS = {"train": 29_000, "val": 1_014, "test": 1_000}
WORDS = (7_882, 5_898)
"""German and English words, those of ``SPECIAL`` included."""


def generated(seed: int = 0) -> Multi30k:
    """A stand-in of the same sizes, a language that is translated word by word, with exceptions.

    German words are drawn by about 1 / (rank + 1) (Zipf's law); every one has its English word,
    which several share. The last German word comes second in English, as a verb does, and one
    word in eight is followed by a mark in English alone. Lengths are about log-normal, their median
    12. The same ``seed`` gives the same bits everywhere.
    """
    found = cached(SOURCE.name, f"generated {seed} {GENERATION}", lambda: generate(seed))
    digest = found["digest"].tobytes().hex()
    return _from_arrays(found, Provenance(SOURCE.name, "generated", digest))


def generate(seed: int) -> dict[str, Array]:
    """The stand-in's arrays, as ``arrays`` names them, and ``digest``, their sentences' SHA-256."""
    rng = np.random.default_rng(seed)
    first = len(SPECIAL)
    german_words, english_words = (count - first for count in WORDS)
    mark = first  # the most frequent English word
    meaning = first + 1 + rng.permutation(german_words) % (english_words - 1)
    marked = rng.random(german_words) < 1 / 8
    german, english = {}, {}
    for split, n in PAIRS.items():
        lengths = (1.6 * exact.powers(52.5, exact.bell(rng, (n,))) + 0.5).astype(np.intp)
        lengths = np.clip(lengths, 4, 30)
        longest = np.arange(lengths.max()) < lengths[:, None]
        ranks = exact.powers(german_words, rng.random(longest.shape)).astype(np.int32) - 1
        german[split] = np.where(longest, ranks + first, PAD).astype(np.int32)
        sentences = []
        for row, length in zip(ranks, lengths, strict=True):
            order = [0, length - 1, *range(1, length - 1)]
            both = [(meaning[word], mark) if marked[word] else (meaning[word],) for word in row]
            sentences.append([number for place in order for number in both[place]])
        english[split] = np.zeros((n, max(map(len, sentences))), np.int32)
        for target, sentence in zip(english[split], sentences, strict=True):
            target[: len(sentence)] = sentence
    words_de, words_en = (
        (*SPECIAL, *(f"{letter}{number}" for number in range(first, count)))
        for letter, count in zip("de", WORDS, strict=True)
    )
    references = [
        " ".join(words_en[number] for number in row if number != PAD) for row in english["test"]
    ]
    digest = hashlib.sha256()
    for split in PAIRS:
        digest.update(german[split].data)
        digest.update(english[split].data)
    return {
        **{f"{split}_de": a for split, a in german.items()},
        **{f"{split}_en": a for split, a in english.items()},
        **{"words_de": _text(words_de), "words_en": _text(words_en)},
        "references": _text(references),
        "digest": np.frombuffer(digest.digest(), np.uint8),
    }
