"""Omniglot: the archives' readers against archives made here, the stand-in, the real ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks import datasets
from tasks.datasets import omniglot
from tasks.task import RequestError
from tests.tasks.archives import ARCHIVE, ink, png, zipped


def background(characters: int = 2) -> dict[str, bytes]:
    """Character c's drawing d is the one with seed 100 c + d."""
    return {
        f"{ARCHIVE}/Latin/character{c:02}/{300 + c:04}_{d:02}.png": png(ink(100 * c + d))
        for c in range(1, characters + 1)
        for d in range(1, 21)
    }


def runs() -> dict[str, bytes]:
    """In run r, item i is of class (i + r) mod 20."""
    files = {}
    for r in range(1, 21):
        for i in range(1, 21):
            files[f"run{r:02}/training/class{i:02}.png"] = png(ink(1000 * r + i))
            files[f"run{r:02}/test/item{i:02}.png"] = png(ink(-1 - 1000 * r - i & 0xFFFF))
        lines = [
            f"run{r:02}/test/item{i:02}.png run{r:02}/training/class{(i + r) % 20 + 1:02}.png"
            for i in range(1, 21)
        ]
        files[f"run{r:02}/class_labels.txt"] = "\n".join(lines).encode()
    return files


def test_drawings_come_by_alphabet_character_and_drawing_inverted() -> None:
    others = {
        f"{ARCHIVE}/": b"",
        f"{ARCHIVE}/Latin/notes.txt": b"no drawing",
        "../Latin/character01/0301_01.png": b"elsewhere",
    }
    found = omniglot.decode_background(zipped({**others, **background()}), ARCHIVE)
    assert found.keys() == {"Latin"}
    assert found["Latin"].shape == (2, 20, 105, 105)
    np.testing.assert_array_equal(found["Latin"][1, 6], ink(207))


def test_runs_come_with_their_answers() -> None:
    shown, asked, answers = omniglot.decode_runs(zipped(runs()))
    assert shown.shape == asked.shape == (20, 20, 105, 105)
    np.testing.assert_array_equal(shown[2, 4], ink(3005))
    assert answers[2, 4] == (5 + 3) % 20
    assert (np.sort(answers, axis=1) == np.arange(20)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({f"{ARCHIVE}/Latin/character02/0302_20.png": None}, "39 others"),
        ({f"{ARCHIVE}/Latin/character02/0302_20.png": b"no picture"}, "not a whole PNG"),
        ({f"{ARCHIVE}/Latin/character02/0302_20.png": png(ink(1), "GIF")}, "not a whole PNG"),
        ({f"{ARCHIVE}/Latin/character02/0302_20.png": png(ink(1)[1:])}, r"\(105, 104\), not"),
        ({f"{ARCHIVE}/large": b"0" * (omniglot.MEMBER_LIMIT + 1)}, "10001 bytes"),
    ],
)
def test_what_no_archive_of_drawings_can_hold_is_refused(
    changed: dict[str, bytes | None], message: str
) -> None:
    files = {n: f for n, f in {**background(), **changed}.items() if f is not None}
    with pytest.raises(RequestError, match=message):
        omniglot.decode_background(zipped(files), ARCHIVE)


@pytest.mark.parametrize("cut", [0, 50, 150, 200])
def test_a_cut_picture_is_refused(cut: int) -> None:
    with pytest.raises(RequestError, match="not a whole PNG"):
        omniglot.decode_png(png(ink(1))[:cut])


def test_runs_without_the_class_of_an_item_are_refused() -> None:
    files = runs()
    files["run03/class_labels.txt"] = files["run03/class_labels.txt"].replace(b"item07", b"item08")
    with pytest.raises(RequestError, match="class of every item"):
        omniglot.decode_runs(zipped(files))


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(RequestError):
        omniglot.decode_runs(junk)


def test_the_files_lie_at_different_addresses() -> None:
    (address,) = omniglot.SOURCE.addresses
    assert omniglot.SOURCE.folders == {"all_runs.zip": "one-shot-classification/"}
    assert address.endswith("/python/")


@pytest.fixture(scope="module")
def stand_in() -> omniglot.Omniglot:
    return omniglot.generated()


def check_shapes(data: omniglot.Omniglot) -> None:
    assert {name: a.shape for name, a in data.alphabets.items()} == {
        name: (n, 20, 105, 105) for name, n in omniglot.CHARACTERS.items()
    }
    assert sum(map(len, data.alphabets.values())) == 242
    assert data.shown.shape == data.asked.shape == (20, 20, 105, 105)
    assert data.shown.dtype == data.asked.dtype == bool
    assert (np.sort(data.answers, axis=1) == np.arange(20)).all()
    for drawings in (*data.alphabets.values(), data.shown, data.asked):
        assert 0.01 < drawings.mean() < 0.15  # ink, not paper
        assert drawings.any(axis=(-2, -1)).all()


def test_the_stand_in_has_the_shapes_of_the_real_data(stand_in: omniglot.Omniglot) -> None:
    check_shapes(stand_in)


def test_the_stand_in_is_deterministic(stand_in: omniglot.Omniglot) -> None:
    again, other = omniglot.generated(), omniglot.generated(seed=1)
    np.testing.assert_array_equal(stand_in.asked, again.asked)
    assert not np.array_equal(stand_in.asked, other.asked)


def test_the_stand_in_asks_for_other_drawings_of_what_it_shows(
    stand_in: omniglot.Omniglot,
) -> None:
    shown, asked = (a.reshape(20, 20, -1).astype(int) for a in (stand_in.shown, stand_in.asked))
    common = asked @ shown.transpose(0, 2, 1)  # inked pixels that two drawings share
    right = (common.argmax(axis=2) == stand_in.answers).mean()
    assert 0.5 < right < 1


def test_the_real_drawings() -> None:
    if datasets.missing(omniglot.SOURCE):
        pytest.skip(f"no Omniglot in {datasets.data_directory()}")
    check_shapes(omniglot.load("real"))
