"""scikit-learn's ``MLPClassifier`` on sparse bags, for orientation: it runs Adam, not RMSprop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array, vstack
from sklearn.neural_network import MLPClassifier

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    labels = chunk["labels"]
    bags = [
        csr_array(
            (np.ones(offsets[-1], np.float32), words[: offsets[-1]], offsets),
            shape=(labels.shape[1], len(params["bag.kernel"])),
        )
        for words, offsets in zip(chunk["words"], chunk["offsets"], strict=True)
    ]
    x, y = vstack(bags, format="csr"), labels.reshape(-1)
    model = MLPClassifier((16, 16), batch_size=labels.shape[1], alpha=0, shuffle=False)
    return lambda: model.partial_fit(x, y, classes=[0, 1])
