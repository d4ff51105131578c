"""Multi30k: words and numbers, broken files, the stand-in, the real files if there."""

from __future__ import annotations

import gzip
import hashlib
import unicodedata
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks import datasets
from tasks.datasets import multi30k
from tasks.datasets.multi30k import PAD, PAIRS, SPECIAL, UNKNOWN, WORDS, decode, encode, tokens
from tasks.task import RequestError


def test_words_are_letters_together_and_marks_alone() -> None:
    assert tokens("Ein Mann, der's weiß: T-Shirt!") == (
        ["ein", "mann", ",", "der", "'", "s", "weiß", ":", "t", "-", "shirt", "!"]
    )


SENTENCES = ("Ein Mann läuft schön über die weiße Brücke.", "A fiancée à la Ångström, façade!")


def test_composed_and_decomposed_letters_are_the_same() -> None:
    for sentence in SENTENCES:
        composed, decomposed = (unicodedata.normalize(f, sentence) for f in ("NFC", "NFD"))
        assert composed != decomposed
        assert tokens(decomposed) == tokens(composed)
    assert "läuft" in tokens(unicodedata.normalize("NFD", SENTENCES[0]))


def test_files_of_either_form_are_the_same_data() -> None:
    def files(form: Literal["NFC", "NFD"]) -> dict[str, bytes]:
        german, english = (unicodedata.normalize(form, f"{s}\n{s}\n") for s in SENTENCES)
        texts = {"de": gzip.compress(german.encode()), "en": gzip.compress(english.encode())}
        return {f: texts[f.split(".")[-2]] for f in multi30k.SOURCE.files}

    composed, decomposed = (multi30k.arrays(files(form)) for form in ("NFC", "NFD"))
    for name, array in composed.items():
        np.testing.assert_array_equal(array, decomposed[name], name)
    assert decomposed["references"].tobytes().decode().split("\n")[0] == SENTENCES[1]


def test_the_vocabulary_is_what_was_seen_twice_by_count_then_alphabet() -> None:
    sentences = [["b", "a", "c"], ["a", "b", "d"], ["d", "d", "e"]]
    assert multi30k.vocabulary(sentences) == (*SPECIAL, "d", "a", "b")


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=5), min_size=1))
def test_sentences_are_numbered_and_padded(sentences: list[list[str]]) -> None:
    words = (*SPECIAL, "a", "b", "c")
    encoded = encode(sentences, words)
    assert encoded.dtype == np.int32
    for row, sentence in zip(encoded, sentences, strict=True):
        expected = [UNKNOWN if word == "d" else words.index(word) for word in sentence]
        assert row[: len(sentence)].tolist() == expected
        assert not row[len(sentence) :].any()


def test_lines_end_at_line_breaks_alone() -> None:
    assert decode(gzip.compress("ä\u2028b\nc\n".encode())) == ["ä\u2028b", "c"]


def test_what_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gzip.compress(b"a sentence\n" * 100)
    for content in (b"", b"plain", whole[:-20], gzip.compress(b"\xff\xfe")):
        with pytest.raises(RequestError, match="fetch it anew"):
            decode(content)
    monkeypatch.setattr(multi30k, "LONGEST", 1_000)
    with pytest.raises(RequestError, match="absurdly long"):
        decode(whole)


def test_the_stand_in_has_the_real_sizes_and_can_be_translated() -> None:
    data = multi30k.generated()
    assert tuple(map(len, data.vocabularies)) == WORDS
    for split, n in PAIRS.items():
        german, english = data.german[split], data.english[split]
        assert len(german) == len(english) == n
        assert german.dtype == english.dtype == np.int32
        for sentences, words in ((german, WORDS[0]), (english, WORDS[1])):
            assert sentences[sentences != PAD].min() > UNKNOWN
            assert sentences.max() < words
        assert 10 < (german != PAD).sum(axis=1).mean() < 15
    # the first word says the first, the last says the second
    for place, other in ((0, 0), (-1, 1)):
        meaning: dict[int, int] = {}
        for row, translated in zip(data.german["train"], data.english["train"], strict=True):
            words = row[row != PAD]
            found = translated[other if translated[1] != 4 else other * 2]
            assert meaning.setdefault(int(words[place]), int(found)) == found


def test_the_stand_in_is_deterministic() -> None:
    one, again = multi30k.generated(), multi30k.generated()
    assert one.provenance == again.provenance
    assert one.provenance.source == "generated"
    assert multi30k.generated(seed=1).provenance.digest != one.provenance.digest


def test_the_real_files_are_read() -> None:
    if datasets.missing(multi30k.SOURCE):
        pytest.skip(f"no Multi30k in {datasets.data_directory()}")
    data = multi30k.load("real")
    assert tuple(map(len, data.vocabularies)) == WORDS
    assert {split: len(a) for split, a in data.english.items()} == PAIRS
    german, english = data.vocabularies
    first = [german[number] for number in data.german["train"][0] if number]
    assert first[:4] == ["zwei", "junge", "weiße", "männer"]
    assert english[4:7] == ("a", ".", "in")
    assert data.references[0] == "A man in an orange hat starring at something."
    assert data.provenance.source == "real"
    digest = hashlib.sha256()
    for split in PAIRS:
        digest.update(data.german[split].tobytes() + data.english[split].tobytes())
    digest.update("\n".join((*german, *english, *data.references)).encode())
    assert digest.hexdigest() == (
        "db591ade1bf703d1cf6dd80cfcff91542cb3693ae0155c8ce9f65488433ad565"
    )
