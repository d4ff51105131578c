"""The film reviews: the archive's reader against archives made here, the stand-in, the real one."""

from __future__ import annotations

import unicodedata
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks import datasets
from tasks.datasets import imdb
from tasks.task import RequestError
from tests.tasks.archives import TEXTS, encoded, tar

OTHERS = {
    "aclImdb/train/unsup/5_0.txt": "unseen unseen unseen",
    "aclImdb/imdb.vocab": "words",
    "aclImdb/train/pos/../../../etc/7_7.txt": "escaped",
    "aclImdb/train/pos/note.txt": "no review",
}


def test_words_become_ranks_by_frequency_then_alphabet() -> None:
    # train: a, film, good twice; 10 twice too; bad, caf, it's once; digits come before letters
    order = ["10", "a", "film", "good", "bad", "caf", "it's"]
    found = imdb.decode(tar(encoded(TEXTS, OTHERS)))
    words = {
        s: " ".join(order[r] if r >= 0 else "?" for r in found[f"{s}_words"]) for s in imdb.SPLITS
    }
    assert words["train"] == "a bad film caf a good good film it's 10 10"
    assert words["test"] == "film good ?"
    assert found["train_offsets"].tolist() == [0, 4, 11]
    assert found["test_offsets"].tolist() == [0, 1, 3]
    assert found["train_labels"].tolist() == found["test_labels"].tolist() == [0, 1]


def test_archives_of_the_same_reviews_give_the_same_arrays() -> None:
    one = imdb.decode(tar(encoded(TEXTS)))
    other = imdb.decode(tar(dict(reversed(encoded(OTHERS, TEXTS).items()))))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_composed_and_decomposed_letters_are_the_same() -> None:
    def form(name: Literal["NFC", "NFD"]) -> dict[str, bytes]:
        texts = {**TEXTS, "aclImdb/train/pos/3_9.txt": "cafe cafe cafe"}  # another word
        return {path: unicodedata.normalize(name, t).encode() for path, t in texts.items()}

    assert form("NFC") != form("NFD")
    composed, decomposed = (imdb.decode(tar(form(name))) for name in ("NFC", "NFD"))
    np.testing.assert_array_equal(composed["digest"], decomposed["digest"])


def test_another_review_gives_another_digest() -> None:
    changed = {**TEXTS, "aclImdb/test/neg/2_2.txt": "good"}
    one, other = (imdb.decode(tar(encoded(t)))["digest"] for t in (TEXTS, changed))
    assert not np.array_equal(one, other)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(RequestError):
        imdb.decode(junk)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_cut_archive_is_refused(kept: float) -> None:
    noise = np.random.default_rng(0).integers(97, 123, 20_000, dtype=np.uint8).tobytes()
    whole = tar({**encoded(TEXTS), "aclImdb/test/pos/11_8.txt": noise})
    with pytest.raises(RequestError):
        imdb.decode(whole[: int(kept * len(whole))])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({**encoded(TEXTS), "aclImdb/test/pos/3_8.txt": b"caf\xe9"}, "not the archive"),
        ({**encoded(TEXTS), "aclImdb/test/pos/3_8.txt": b"a" * (imdb.LARGEST + 1)}, "bytes"),
        (encoded({n: t for n, t in TEXTS.items() if "test" not in n}), "no labelled.*test"),
        (encoded(OTHERS), "no labelled.*train"),
    ],
)
def test_what_no_review_can_be_is_refused(texts: dict[str, bytes], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        imdb.decode(tar(texts))


def test_the_stand_in_has_the_real_sizes_and_can_be_learned() -> None:
    data = imdb.generated()
    for split, n in imdb.REVIEWS.items():
        assert len(data.labels[split]) == len(data.offsets[split]) - 1 == n
        assert data.offsets[split][-1] == len(data.words[split])
        assert data.words[split].dtype == np.int32
        assert data.words[split].min() == 0
        assert data.words[split].max() < imdb.WORDS
        assert data.labels[split].mean() == 0.5
    counts = np.bincount(data.words["train"])
    assert counts[:14].tolist() == sorted(counts[:14], reverse=True)
    # how many favourable words of telling pairs, the simplest of models
    words, offsets, labels = (a["test"] for a in (data.words, data.offsets, data.labels))
    tones = np.where(words % 16 >= 14, 2 * (words % 2) - 1, 0)
    sums = np.add.reduceat(tones, offsets[:-1])
    assert 0.75 < ((sums > 0) == labels).mean() < 0.95


def test_the_stand_in_is_deterministic() -> None:
    one, again = imdb.generated(), imdb.generated()
    assert one.provenance == again.provenance
    assert imdb.generated(seed=1).provenance.digest != one.provenance.digest


def test_the_real_reviews_are_decoded_once_and_known_by_their_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if datasets.missing(imdb.SOURCE):
        pytest.skip(f"no film reviews in {datasets.data_directory()}")
    counts = {}
    imdb.load("real")
    monkeypatch.delattr(imdb, "decode")
    data = imdb.load("real")
    for split, n in imdb.REVIEWS.items():
        np.testing.assert_array_equal(np.bincount(data.labels[split]), [n // 2, n // 2])
        counts[split] = len(data.words[split])
    assert counts == {"train": 5_841_401, "test": 5_709_019}
    assert data.provenance.digest == (
        "3b619048ce52f9b7368bbf75d553486cb61bb8d51c7ff1a6efc46c7fc386579e"
    )
