"""Keras ``compile`` and ``fit``, as the lecture has it, for orientation."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    words, labels = chunk["words"], chunk["labels"]
    model = keras.Sequential(
        [
            keras.Input((words.shape[2],), dtype="int32"),
            keras.layers.Embedding(*params["embedding.kernel"].shape),
            keras.layers.SpatialDropout1D(0.1),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(10, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    for weight, array in zip(model.trainable_variables, params.values(), strict=True):
        weight.assign(array)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-7),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    x, y, batch = words.reshape(-1, words.shape[2]), labels.reshape(-1, 1), labels.shape[1]
    return lambda: model.fit(x, y, batch_size=batch, epochs=1, shuffle=False, verbose=0)
