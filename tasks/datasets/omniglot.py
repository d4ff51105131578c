"""Omniglot: handwritten characters of many alphabets, 20 drawings each, and one-shot tests.

The two reduced background sets hold five alphabets each, two of which are in both: 242 characters
of eight alphabets. A run of the official one-shot classification test shows 20 characters of an
alphabet that is in neither, once each, and asks which of them 20 further drawings are.
"""

from __future__ import annotations

import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tasks import datasets, exact
from tasks.datasets.cache import cached
from tasks.datasets.sources import SOURCES
from tasks.task import Array, DataSource, RequestError

SOURCE = SOURCES["omniglot"]
SIDE = 105
DRAWINGS = 20
RUNS, RUN_CHARACTERS = 20, 20
CHARACTERS = {
    "Balinese": 24,
    "Early_Aramaic": 22,
    "Greek": 24,
    "Japanese_(katakana)": 47,
    "Korean": 40,
    "Latin": 26,
    "Sanskrit": 42,
    "Tagalog": 17,
}
"""How many characters each alphabet has."""
MEMBER_LIMIT = 10_000
"""Bytes. The largest file in the archives has 980."""
DECODING = "1"
"""Changes whenever ``decode`` gives other arrays: what was cached before is then not used."""


@dataclass(frozen=True)
class Omniglot:
    """Drawings as booleans, 105 x 105, true where there is ink.

    ``alphabets`` by name, (characters, 20, 105, 105). Of the 20 runs: ``shown`` and ``asked``
    (runs, 20, 105, 105), and ``answers`` (runs, 20): which of the shown ones each asked one is.
    """

    alphabets: Mapping[str, Array]
    shown: Array
    asked: Array
    answers: Array


def load(source: DataSource) -> Omniglot:
    """The real data (RequestError if missing or damaged) or the generated stand-in."""
    return _real() if source == "real" else generated()


def _real() -> Omniglot:
    contents = {file: datasets.read(SOURCE, file) for file in SOURCE.files}
    arrays = cached(SOURCE.name, f"{SOURCE.digest} {DECODING}", lambda: decode(contents))
    alphabets = {name: arrays[name] for name in CHARACTERS}
    return Omniglot(alphabets, arrays["shown"], arrays["asked"], arrays["answers"])


def decode(contents: Mapping[str, bytes]) -> dict[str, Array]:
    """The arrays of ``Omniglot``, alphabets by their names, of the official files by theirs.

    RequestError if they are no zip archives of drawings, or hold other characters.
    """
    alphabets: dict[str, Array] = {}
    for archive in ("images_background_small1", "images_background_small2"):
        alphabets |= decode_background(contents[f"{archive}.zip"], archive)
    found = {name: len(a) for name, a in alphabets.items()}
    if found != CHARACTERS:
        raise RequestError(f"the archives hold {found} characters, not {CHARACTERS}")
    shown, asked, answers = decode_runs(contents["all_runs.zip"])
    return {**alphabets, "shown": shown, "asked": asked, "answers": answers}


def decode_background(content: bytes, archive: str) -> dict[str, Array]:
    """By alphabet (characters, 20, 105, 105), from ``archive``'s zip file.

    Its members are ``<archive>/<alphabet>/character<cc>/<id>_<drawing>.png``.
    """
    pattern = re.compile(rf"{archive}/([A-Za-z_()]+)/character(\d\d)/\d{{4}}_(\d\d)\.png")
    members: dict[str, dict[tuple[int, int], bytes]] = {}
    for name, member in _members(content):
        if match := pattern.fullmatch(name):
            members.setdefault(match[1], {})[int(match[2]), int(match[3])] = member
    return {
        alphabet: _grid(files, (len(files) // DRAWINGS, DRAWINGS), f"{archive}/{alphabet}")
        for alphabet, files in members.items()
    }


def decode_runs(content: bytes) -> tuple[Array, Array, Array]:
    """``shown``, ``asked`` and ``answers`` of ``Omniglot``, from the zip file of the runs.

    Its members are ``run<rr>/training/class<cc>.png``, ``run<rr>/test/item<ii>.png`` and
    ``run<rr>/class_labels.txt``, whose lines are two such paths: an item and its class.
    """
    image = re.compile(r"run(\d\d)/(training/class|test/item)(\d\d)\.png")
    labels = re.compile(r"run(\d\d)/class_labels\.txt")
    line = re.compile(r"run(\d\d)/test/item(\d\d)\.png run\1/training/class(\d\d)\.png")
    images: dict[str, dict[tuple[int, int], bytes]] = {"training/class": {}, "test/item": {}}
    answers = np.full((RUNS, RUN_CHARACTERS), -1, np.int32)
    for name, member in _members(content):
        if match := image.fullmatch(name):
            images[match[2]][int(match[1]), int(match[3])] = member
        elif labels.fullmatch(name):
            for run, item, shown in line.findall(member.decode("ascii", "replace")):
                answers[int(run) - 1, int(item) - 1] = int(shown) - 1
    if not ((answers >= 0) & (answers < RUN_CHARACTERS)).all():
        raise RequestError("all_runs.zip does not say the class of every item; fetch it anew")
    grid = (RUNS, RUN_CHARACTERS)
    shown = _grid(images["training/class"], grid, "all_runs/training")
    return shown, _grid(images["test/item"], grid, "all_runs/test"), answers


PNG_ERRORS = (OSError, SyntaxError, ValueError, struct.error, zlib.error)
"""Errors that Pillow raises for a PNG that is broken inside."""
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error),
    *(NotImplementedError, RuntimeError, lzma.LZMAError),
)
"""Errors that ``zipfile`` raises for archives that are damaged, encrypted or packed otherwise."""


def _members(content: bytes) -> Iterable[tuple[str, bytes]]:
    """Name and content of every file in a zip archive, none of them larger than the limit."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                if info.file_size > MEMBER_LIMIT:
                    raise RequestError(f"{info.filename} has {info.file_size} bytes; fetch it anew")
                yield info.filename, archive.read(info)
    except ZIP_ERRORS as error:
        raise RequestError(f"not a whole zip archive ({error}); fetch it anew") from None


def _grid(files: Mapping[tuple[int, int], bytes], shape: tuple[int, int], what: str) -> Array:
    """Pictures counted from 1 in both indices, as booleans (*shape, 105, 105)."""
    expected = [(i + 1, j + 1) for i, j in np.ndindex(shape)]
    if sorted(files) != expected:
        raise RequestError(f"{what} should hold pictures {shape}, but has {len(files)} others")
    return np.stack([decode_png(files[key]) for key in expected]).reshape(*shape, SIDE, SIDE)


def decode_png(content: bytes) -> Array:
    """A black and white PNG as booleans (105, 105), true where it is black."""
    from PIL import Image  # decoded once: a worker hardly ever needs it

    too_large = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if (image.mode, image.size) != ("1", (SIDE, SIDE)):
                raise RequestError(f"a picture is {image.mode} {image.size}, not 1 {SIDE, SIDE}")
            return ~np.asarray(image)
    except (*PNG_ERRORS, *too_large) as error:
        raise RequestError(f"not a whole PNG file ({error}); fetch it anew") from None


def generated(seed: int = 0) -> Omniglot:
    """A stand-in of the same shapes: random strokes, drawn anew with a shaking hand.

    The same ``seed`` gives the same bits everywhere.
    """
    rng = np.random.default_rng(seed)
    alphabets = {name: scribbles(rng, n, DRAWINGS) for name, n in CHARACTERS.items()}
    twice = scribbles(rng, RUNS * RUN_CHARACTERS, 2).reshape(RUNS, RUN_CHARACTERS, 2, SIDE, SIDE)
    order = rng.permuted(np.tile(np.arange(RUN_CHARACTERS, dtype=np.int32), (RUNS, 1)), axis=1)
    asked = np.take_along_axis(twice[:, :, 1], order[..., None, None], axis=1)
    return Omniglot(alphabets, twice[:, :, 0], asked, order)


def scribbles(rng: np.random.Generator, characters: int, drawings: int) -> Array:
    """Characters of two strokes each, as booleans (characters, drawings, 105, 105).

    A stroke is a cubic Bezier curve, whose control points every drawing moves a little; the pen is
    3 pixels wide.
    """
    strokes, points = 2, 100
    control = exact.uniform(rng, 0.1, 0.9, (characters, 1, strokes, 4, 2))
    moved = exact.bell(rng, (characters, drawings, strokes, 4, 2)) - 0.5
    control = control + 0.48 * moved  # a deviation of 0.04
    t = np.arange(points)[:, None] / (points - 1)
    u = 1 - t
    curves = np.zeros((characters, drawings, strokes, points, 2))
    for k, weight in enumerate((u * u * u, 3 * t * u * u, 3 * t * t * u, t * t * t)):
        curves += weight * control[..., k, None, :]
    spots = np.clip((curves * SIDE).astype(int), 1, SIDE - 2).reshape(-1, strokes * points, 2)
    ink = np.zeros((characters * drawings, SIDE, SIDE), bool)
    picture = np.arange(len(ink))[:, None]
    for down, right in np.ndindex(3, 3):
        ink[picture, spots[..., 0] + down - 1, spots[..., 1] + right - 1] = True
    return ink.reshape(characters, drawings, SIDE, SIDE)
