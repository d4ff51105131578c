"""scikit-learn's ``MLPClassifier``, for orientation: it has no RMSprop, so it runs Adam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.neural_network import MLPClassifier

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    images, labels = chunk["images"], chunk["labels"]
    x, y = images.reshape(-1, 784), labels.reshape(-1)
    model = MLPClassifier((128,), batch_size=images.shape[1], alpha=0, shuffle=False)
    classes = np.arange(10)
    return lambda: model.partial_fit(x, y, classes=classes)
