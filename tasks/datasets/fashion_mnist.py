"""Fashion-MNIST: 60,000 + 10,000 grey images 28 x 28 of ten kinds of clothes, in idx files."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from suite.contract import Array, DataSource, Provenance, RequestError
from tasks import datasets

SOURCE = datasets.Source(
    name="fashion_mnist",
    files={
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
    addresses=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    licence="MIT",
    citation="Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
)
CLASSES = 10
SIDE = 28
PREFIX = {"train": "train", "test": "t10k"}
SAMPLES = {"train": 60_000, "test": 10_000}


@dataclass(frozen=True)
class FashionMNIST:
    """By split, ``images`` (n, 28, 28) uint8 and ``labels`` (n,) uint8 in 0..9."""

    images: Mapping[str, Array]
    labels: Mapping[str, Array]
    provenance: Provenance


def load(source: DataSource) -> FashionMNIST:
    """The real data (RequestError if missing or damaged) or the generated stand-in."""
    return _real() if source == "real" else generated()


def _real() -> FashionMNIST:
    images, labels = {}, {}
    for split, prefix in PREFIX.items():
        images[split] = decode_idx(datasets.read(SOURCE, f"{prefix}-images-idx3-ubyte.gz"), 3)
        labels[split] = decode_idx(datasets.read(SOURCE, f"{prefix}-labels-idx1-ubyte.gz"), 1)
    return FashionMNIST(images, labels, Provenance(SOURCE.name, "real", SOURCE.digest))


def decode_idx(content: bytes, axes: int) -> Array:
    """A gzipped idx file of unsigned bytes with ``axes`` axes, as a uint8 array.

    The format: two zero bytes, 8 for unsigned byte, the number of axes, then each length as a
    big-endian 32-bit integer, then the values (Y. LeCun, the MNIST database). RequestError if the
    content is anything else.
    """
    try:
        raw = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"not a whole gzip file ({error}); fetch it anew") from None
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
    class, in random proportion, and adds noise. The same ``seed`` gives the same bits.
    """
    rng = np.random.default_rng(seed)
    coarse = rng.random((CLASSES, SIDE // 4, SIDE // 4), dtype=np.float32)
    pictures = np.kron(coarse, np.ones((1, 4, 4), np.float32))  # (10, 28, 28)
    images, labels = {}, {}
    digest = hashlib.sha256()
    for split, n in SAMPLES.items():
        own, other = rng.integers(0, CLASSES, (2, n), dtype=np.uint8)
        share = rng.uniform(0.4, 0.8, (n, 1, 1)).astype(np.float32)
        images[split], labels[split] = np.empty((n, SIDE, SIDE), np.uint8), own
        for start in range(0, n, 1_000):  # in blocks that stay in the processor's cache
            block = slice(start, start + 1_000)
            noise = rng.random((1_000, SIDE, SIDE), dtype=np.float32)
            mix = share[block] * pictures[own[block]] + (1 - share[block]) * pictures[other[block]]
            images[split][block] = (mix + 0.5 * noise) * (255 / 1.5)
        digest.update(images[split].tobytes() + own.tobytes())
    return FashionMNIST(images, labels, Provenance(SOURCE.name, "generated", digest.hexdigest()))
