"""Files like those of the data sets, made here: pictures, reviews, drawings."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

from tasks.datasets import omniglot
from tasks.task import Array

TEXTS = {
    "aclImdb/train/pos/0_9.txt": "A good, GOOD film!<br /><br />It's 10/10",
    "aclImdb/train/neg/1_1.txt": "a bad film... caf\u00e9",
    "aclImdb/test/pos/10_8.txt": "good unseen",
    "aclImdb/test/neg/2_2.txt": "film",
}
ARCHIVE = "images_background_small1"


def idx(values: Array) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    return gzip.compress(header + values.tobytes(), 1)


def tar(texts: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as target:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            target.addfile(member, io.BytesIO(text))
    return content.getvalue()


def encoded(*parts: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for part in parts for name, text in part.items()}


def ink(seed: int) -> Array:
    return np.random.default_rng(seed).random((omniglot.SIDE, omniglot.SIDE)) < 0.02


def png(drawing: Array, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(~drawing).save(content, kind)
    return content.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as target:
        for name, file in files.items():
            target.writestr(name, file)
    return content.getvalue()
