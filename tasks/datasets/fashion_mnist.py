"""Fashion-MNIST: 60,000 + 10,000 grey images 28 x 28 of ten kinds of clothes, in idx files."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks import datasets, exact
from tasks.datasets.cache import cached
from tasks.datasets.sources import SOURCES
from tasks.datasets.unpacking import gunzip
from tasks.task import Array, DataSource, Provenance, RequestError

SOURCE = SOURCES["fashion_mnist"]
CLASSES = 10
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
SIDE = 28
PREFIX = {"train": "train", "test": "t10k"}
SAMPLES = {"train": 60_000, "test": 10_000}
DECODING = "1"
"""Changes whenever ``decode`` gives other arrays: what was cached before is then not used."""
GENERATION = "1"
"""Changes whenever ``generate`` gives other arrays."""
LARGEST = 1 << 26
"""Bytes of an unpacked file; the largest one has 47,040,016."""


@dataclass(frozen=True)
class FashionMNIST:
    """By split, ``images`` (n, 28, 28) uint8 and ``labels`` (n,) uint8 in 0..9."""

    images: Mapping[str, Array]
    labels: Mapping[str, Array]
    provenance: Provenance


def load(source: DataSource) -> FashionMNIST:
    """The real data (RequestError if missing or damaged) or the generated stand-in."""
    return _real() if source == "real" else generated()


def pixels(images: Array) -> Array:
    """uint8 images of any shape as float32 in [0, 1]."""
    found: Array = np.divide(images, 255, dtype=np.float32)
    return found


def _real() -> FashionMNIST:
    contents = {file: datasets.read(SOURCE, file) for file in SOURCE.files}
    arrays = cached(SOURCE.name, f"{SOURCE.digest} {DECODING}", lambda: decode(contents))
    return _from_arrays(arrays, Provenance(SOURCE.name, "real", SOURCE.digest))


def _from_arrays(arrays: Mapping[str, Array], provenance: Provenance) -> FashionMNIST:
    images, labels = ({s: arrays[f"{s}_{part}"] for s in PREFIX} for part in ("images", "labels"))
    return FashionMNIST(images, labels, provenance)


def decode(contents: Mapping[str, bytes]) -> dict[str, Array]:
    """``<split>_images`` and ``<split>_labels`` of the four official files, by their names.

    RequestError if they are no idx files, have other shapes, or do not belong together.
    """
    arrays = {}
    for split, prefix in PREFIX.items():
        images = decode_idx(contents[f"{prefix}-images-idx3-ubyte.gz"], 3)
        labels = decode_idx(contents[f"{prefix}-labels-idx1-ubyte.gz"], 1)
        if images.shape != (len(labels), SIDE, SIDE):
            raise RequestError(
                f"the {split} images are {images.shape}, not {(len(labels), SIDE, SIDE)} as their "
                "labels; fetch them anew"
            )
        if labels.max(initial=0) >= CLASSES:
            raise RequestError(
                f"a {split} label is {labels.max()}, not below {CLASSES}; fetch them anew"
            )
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images, labels
    return arrays


def decode_idx(content: bytes, axes: int) -> Array:
    """A gzipped idx file of unsigned bytes with ``axes`` axes, as a uint8 array.

    The format: two zero bytes, 8 for unsigned byte, the number of axes, then each length as a
    big-endian 32-bit integer, then the values (Y. LeCun, the MNIST database). RequestError if the
    content is anything else, or larger than any such file is.
    """
    raw = gunzip(content, LARGEST)
    header = 4 * (axes + 1)
    if len(raw) < header or raw[:4] != bytes((0, 0, 8, axes)):
        raise RequestError(f"not an idx file of bytes with {axes} axes: it begins {raw[:4]!r}")
    shape = struct.unpack(f">{axes}I", raw[4:header])
    values = np.frombuffer(raw, np.uint8, offset=header)
    if values.size != np.prod(shape, dtype=object):
        raise RequestError(f"idx file says {shape}, but {values.size} values follow; fetch it anew")
    return values.reshape(shape)


def generated(seed: int = 0) -> FashionMNIST:
    """A stand-in of the same shapes that a small model learns well, but not perfectly.

    Every class is a coarse random picture; an image mixes its class's picture with that of a random
    class, in random proportion, and adds noise. The same ``seed`` gives the same bits everywhere.
    """
    arrays = cached(SOURCE.name, f"generated {seed} {GENERATION}", lambda: generate(seed))
    digest = arrays["digest"].tobytes().hex()
    return _from_arrays(arrays, Provenance(SOURCE.name, "generated", digest))


def generate(seed: int) -> dict[str, Array]:
    """``<split>_images`` and ``<split>_labels`` of the stand-in, and ``digest``, their SHA-256."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((CLASSES, SIDE // 4, SIDE // 4), dtype=np.float32)
    pictures = np.kron(coarse, np.ones((1, 4, 4), np.float32))  # (10, 28, 28)
    arrays: dict[str, Array] = {}
    digest = hashlib.sha256()
    for split, n in SAMPLES.items():
        own, other = rng.integers(0, CLASSES, (2, n), dtype=np.uint8)
        share = exact.uniform(rng, 0.4, 0.8, (n, 1, 1)).astype(np.float32)
        images = np.empty((n, SIDE, SIDE), np.uint8)
        for start in range(0, n, 1_000):  # in blocks that stay in the processor's cache
            block = slice(start, start + 1_000)
            noise = rng.random((1_000, SIDE, SIDE), dtype=np.float32)
            mix = share[block] * pictures[own[block]] + (1 - share[block]) * pictures[other[block]]
            images[block] = (mix + 0.5 * noise) * (255 / 1.5)
        digest.update(images.data)
        digest.update(own.data)
        arrays |= {f"{split}_images": images, f"{split}_labels": own}
    return {**arrays, "digest": np.frombuffer(digest.digest(), np.uint8)}
