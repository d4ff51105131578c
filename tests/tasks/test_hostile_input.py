"""Every parser against damaged and malicious input: it refuses with RequestError, or reads on.

What it must never do: raise anything else, unpack without bounds, write to disk.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tasks.datasets import fashion_mnist, imdb, multi30k, omniglot, tiny_shakespeare
from tasks.task import RequestError
from tests.tasks.archives import ARCHIVE, TEXTS, encoded, idx, ink, png, tar, zipped

IMAGES = idx(np.zeros((3, 28, 28), np.uint8))
LABELS = idx(np.arange(3, dtype=np.uint8))
DRAWINGS = {f"{ARCHIVE}/Latin/character01/0301_{d:02}.png": png(ink(d)) for d in range(1, 21)}
SENTENCES = gzip.compress(b"ein Mann\nzwei Frauen\n")


def fashion(images: bytes = IMAGES, labels: bytes = LABELS) -> dict[str, bytes]:
    kinds = {"images-idx3": images, "labels-idx1": labels}
    return {
        f"{split}-{kind}-ubyte.gz": content
        for split in ("train", "t10k")
        for kind, content in kinds.items()
    }


def sentences(**changed: bytes) -> dict[str, bytes]:
    return {**dict.fromkeys(multi30k.SOURCE.files, SENTENCES), **changed}


def _drawings(content: bytes) -> Any:
    return omniglot.decode_background(content, ARCHIVE)


def packed_otherwise() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as target:
        for name, drawing in DRAWINGS.items():
            target.writestr(name, drawing)
    return content.getvalue()


PARSERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "images": (lambda content: fashion_mnist.decode(fashion(images=content)), IMAGES),
    "labels": (lambda content: fashion_mnist.decode(fashion(labels=content)), LABELS),
    "reviews": (imdb.decode, tar(encoded(TEXTS))),
    "unpacked reviews": (
        lambda content: imdb.decode(gzip.compress(content, 1)),
        gzip.decompress(tar(encoded(TEXTS))),
    ),
    "drawings": (_drawings, zipped(DRAWINGS)),
    "drawings packed otherwise": (_drawings, packed_otherwise()),
    "runs": (omniglot.decode_runs, zipped({"run01/class_labels.txt": b"run01/test/item01.png"})),
    "picture": (omniglot.decode_png, png(ink(1))),
    "plays": (tiny_shakespeare.parse, b"First Citizen:\nBefore we proceed"),
    "sentences": (
        lambda content: multi30k.arrays(sentences(**{"train.de.gz": content})),
        SENTENCES,
    ),
    "unpacked sentences": (
        lambda content: multi30k.decode(gzip.compress(content, 1)),
        gzip.decompress(SENTENCES),
    ),
}


def attempt(parse: Callable[[bytes], Any], content: bytes) -> None:
    with suppress(RequestError):
        parse(content)


@pytest.mark.parametrize("name", [n for n in PARSERS if n != "runs"])
def test_the_examples_are_sound(name: str) -> None:
    parse, whole = PARSERS[name]
    parse(whole)


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_what_is_damaged_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Bytes replaced, cut out and put in, anywhere."""
    parse, whole = PARSERS[name]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        removed = data.draw(st.integers(0, 4))
        content[at : at + removed] = data.draw(st.binary(max_size=4))
    attempt(parse, bytes(content))


@pytest.mark.parametrize("name", PARSERS)
@given(content=st.binary(max_size=100), kept=st.integers(0, 600))
def test_any_bytes_after_a_good_beginning_are_read_or_refused(
    name: str, content: bytes, kept: int
) -> None:
    parse, whole = PARSERS[name]
    attempt(parse, whole[:kept] + content)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (IMAGES, idx(np.array([0, 1, 10], np.uint8)), "label is 10, not below 10"),
        (IMAGES, idx(np.zeros(4, np.uint8)), r"\(3, 28, 28\), not \(4, 28, 28\)"),
        (idx(np.zeros((3, 28, 27), np.uint8)), LABELS, r"\(3, 28, 27\), not"),
        (LABELS, LABELS, "3 axes"),
        (gzip.compress(bytes(fashion_mnist.LARGEST + 1), 1), LABELS, "absurdly long"),
    ],
    ids=["label", "number", "side", "axes", "length"],
)
def test_images_and_labels_that_cannot_be_are_refused(
    images: bytes, labels: bytes, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        fashion_mnist.decode(fashion(images, labels))


def test_sentences_that_do_not_come_in_pairs_are_refused() -> None:
    with pytest.raises(RequestError, match="val do not come in pairs"):
        multi30k.arrays(sentences(**{"val.en.gz": gzip.compress(b"one\n")}))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"caf\xc3\xa9", "not the text"), (b"to be @", "no character '@'")],
)
def test_plays_with_other_characters_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        tiny_shakespeare.parse(content)


def tar_with(*strange: tarfile.TarInfo) -> bytes:
    """The reviews, and members without content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, text in encoded(TEXTS).items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
        for member in strange:
            tar.addfile(member)
    return content.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


def test_no_member_leaves_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members that climb out, links and devices are not read; nothing is written to disk."""
    outside = tmp_path / "outside"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    review = "aclImdb/train/pos/9_9.txt"
    strange = (
        member("../outside", tarfile.REGTYPE),
        member(str(outside), tarfile.REGTYPE),
        member("aclImdb/train/pos/../../../../outside", tarfile.REGTYPE),
        member(review, tarfile.SYMTYPE, "/etc/passwd"),
        member(review, tarfile.LNKTYPE, "aclImdb/train/pos/0_9.txt"),
        member(review, tarfile.FIFOTYPE),
        member("aclImdb/train/pos", tarfile.SYMTYPE, str(tmp_path)),
    )
    found = imdb.decode(tar_with(*strange))
    assert len(found["train_labels"]) == 2
    link = zipfile.ZipInfo(f"{ARCHIVE}/Latin/character01/0301_21.lnk")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    content = io.BytesIO(zipped({**DRAWINGS, "../outside": b"x", str(outside): b"x"}))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert _drawings(content.getvalue())["Latin"].shape == (1, 20, 105, 105)
    assert list(tmp_path.rglob("*")) == [work]


def test_archives_that_grow_without_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imdb, "UNPACKED", 100_000)
    # one member that is skipped, and a header that claims a long name
    for name, kind in (("aclImdb/large", tarfile.REGTYPE), ("name", tarfile.XHDTYPE)):
        header = member(name, kind)
        header.size = 1 << 30
        bomb = gzip.compress(header.tobuf() + bytes(200_000), 9)
        with pytest.raises(RequestError, match="absurdly long"):
            imdb.decode(bomb)
    monkeypatch.setattr(imdb, "REVIEWS", {"train": 1, "test": 1})
    with pytest.raises(RequestError, match="more than 1 reviews"):
        imdb.decode(tar(encoded(TEXTS)))


def test_an_encrypted_archive_is_refused() -> None:
    content = bytearray(zipped(DRAWINGS))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + flags] |= 1
    with pytest.raises(RequestError, match="encrypted"):
        _drawings(bytes(content))


def png_of_side(side: int) -> bytes:
    """A picture whose header says that it has this side."""
    whole = png(ink(1))
    begin = whole.index(b"IHDR")
    header = whole[begin : begin + 17]
    large = header[:4] + side.to_bytes(4, "big") * 2 + header[12:]
    return whole[:begin] + large + zlib.crc32(large).to_bytes(4, "big") + whole[begin + 21 :]


@pytest.mark.parametrize(
    ("side", "message"),
    [(106, r"\(106, 106\), not"), (10_000, "10,?000"), (20_000, "exceeds limit")],
)
def test_a_picture_of_absurd_size_is_refused_before_it_is_decoded(side: int, message: str) -> None:
    omniglot.decode_png(png_of_side(105))
    with pytest.raises(RequestError, match=message):
        omniglot.decode_png(png_of_side(side))
