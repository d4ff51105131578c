"""Keras ``compile`` and ``fit`` without the penalty, for orientation."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tasks.task import Tree


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    images = chunk["inputs"]
    pixels, batch = images.shape[2], images.shape[1]
    model = keras.Sequential(
        [
            keras.Input((pixels,)),
            keras.layers.Dense(500, activation="relu"),
            keras.layers.Dense(10),
            keras.layers.UnitNormalization(),
            keras.layers.Rescaling(10**0.5),
            keras.layers.Dense(500, activation="relu"),
            keras.layers.Dense(pixels),
        ]
    )
    for weight, array in zip(model.trainable_variables, params.values(), strict=True):
        weight.assign(array)
    model.compile(optimizer=keras.optimizers.Adam(1e-3, epsilon=1e-8), loss="mean_squared_error")
    x = images.reshape(-1, pixels)
    return lambda: model.fit(x, x, batch_size=batch, epochs=1, shuffle=False, verbose=0)
