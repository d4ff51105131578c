"""The table of data sets: their files, the addresses that serve them, licence and citation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class File:
    """A file as it is published: its length [bytes] and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A data set's files by name, the addresses that serve them, licence and citation.

    One that a formula makes has no files, is always here, and has no stand-in.
    """

    name: str
    files: Mapping[str, File]
    addresses: tuple[str, ...]
    """Official address first, then mirrors; a file's name follows the address."""
    licence: str
    citation: str
    substitutes: Mapping[str, Mapping[str, File]] = field(default_factory=dict)
    """By file, others that serve in its place: they hold all that is read of it. They are used
    where they are already, never fetched."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """By file, what stands between address and name, such as ``folder/``."""

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of all files."""
        lines = "".join(f"{file.sha256}  {name}\n" for name, file in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def size(self) -> int:
        """Length of all files together [bytes]."""
        return sum(file.size for file in self.files.values())


_TABLE = (
    Source(
        name="fashion_mnist",
        files={
            "train-images-idx3-ubyte.gz": File(
                26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": File(
                29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": File(
                4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": File(
                5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
        addresses=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        licence="MIT",
        citation="Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747",
    ),
    Source(
        name="imdb",
        files={
            "aclImdb_v1.tar.gz": File(
                84_125_825, "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
            )
        },
        addresses=(
            "https://ai.stanford.edu/~amaas/data/sentiment/",
            "http://d2l-data.s3-accelerate.amazonaws.com/",
        ),
        licence="none stated; for research",
        citation="Maas, Daly, Pham, Huang, Ng & Potts, Learning Word Vectors for Sentiment "
        "Analysis, 2011, aclanthology.org/P11-1015",
        # the same reviews under the same paths, without the 50,000 unlabelled ones
        substitutes={
            "aclImdb_v1.tar.gz": {
                "aclImdb_labelled.tar.gz": File(
                    28_175_335, "e6f98bcd1caa39fe9c17e40b6799dfb0c146549ac0b94dfef6e45caae833c498"
                )
            }
        },
    ),
    Source(
        name="omniglot",
        files={
            "images_background_small1.zip": File(
                1_319_022, "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4"
            ),
            "images_background_small2.zip": File(
                1_580_917, "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f"
            ),
            "all_runs.zip": File(
                352_787, "437c1eeab0af8484112e1b4cc0f3d541ec727f7c47b9b202da738af9dfd6c325"
            ),
        },
        addresses=("https://github.com/brendenlake/omniglot/raw/master/python/",),
        folders={"all_runs.zip": "one-shot-classification/"},
        licence="MIT",
        citation="Lake, Salakhutdinov & Tenenbaum, Science 350, 2015, doi:10.1126/science.aab3050",
    ),
    Source(
        name="tiny_shakespeare",
        files={
            "input.txt": File(
                1_115_394, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
            )
        },
        addresses=(
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
        ),
        licence="public domain",
        citation="Karpathy, The unreasonable effectiveness of recurrent neural networks, 2015, "
        "karpathy.github.io/2015/05/21/rnn-effectiveness",
    ),
    Source(
        name="multi30k",
        files={
            "train.de.gz": File(
                637_044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"
            ),
            "train.en.gz": File(
                568_929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"
            ),
            "val.de.gz": File(
                24_681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"
            ),
            "val.en.gz": File(
                21_650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"
            ),
            "test_2016_flickr.de.gz": File(
                22_890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"
            ),
            "test_2016_flickr.en.gz": File(
                21_077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"
            ),
        },
        addresses=("https://github.com/multi30k/dataset/raw/master/data/task1/raw/",),
        licence="CC BY-NC-SA 4.0",
        citation="Elliott, Frank, Sima'an & Specia, Multi30K, 2016, aclanthology.org/W16-3210",
    ),
    *(
        Source(
            name=name,
            files={},
            addresses=(),
            licence="none needed",
            citation="made by a formula in tasks/datasets/formulas.py: nothing is fetched",
        )
        for name in ("points", "cubic")
    ),
)
SOURCES = {source.name: source for source in _TABLE}
