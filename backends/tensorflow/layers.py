"""The border between Keras layers and canonical names and layouts, by layer type."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import tensorflow as tf

from backends.tensorflow.attention import Bias
from backends.tensorflow.dropout import Dropout
from backends.tensorflow.kept import Kept
from backends.tensorflow.recurrent import LSTM
from backends.tensorflow.rnn import RNN
from backends.tensorflow.text import BagDense, EmbeddingMax


def parameters(model: keras.Model) -> Iterator[tuple[str, tf.Variable]]:
    """Every parameter with its canonical name; Keras' kernels are (in, out) already.

    Those of a layer that is not known here keep their own name, ``<layer>.<name>``.
    """
    for layer in leaves(model):
        match layer:
            case keras.layers.Dense() | keras.layers.Conv2D() | BagDense():
                yield f"{layer.name}.kernel", layer.kernel.value
                if layer.bias is not None:
                    yield f"{layer.name}.bias", layer.bias.value
            case Bias():
                yield f"{layer.name}.bias", layer.bias.value
            case EmbeddingMax():
                yield f"{layer.name}.kernel", layer.kernel.value
            case keras.layers.BatchNormalization() | keras.layers.LayerNormalization():
                yield f"{layer.name}.scale", layer.gamma.value
                yield f"{layer.name}.offset", layer.beta.value
            case keras.layers.Embedding():
                leaf = "kernel" if layer.name.rpartition(".")[2] == "embedding" else "table"
                yield f"{layer.name}.{leaf}", layer.embeddings.value
            case LSTM() | RNN():
                yield f"{layer.name}.kernel", layer.kernel.value
                yield f"{layer.name}.recurrent", layer.recurrent.value
                yield f"{layer.name}.bias", layer.bias.value
            case _:
                for weight in layer.trainable_weights:
                    yield f"{layer.name}.{weight.name}", weight.value


def buffers(model: keras.Model) -> Iterator[tuple[str, tf.Variable]]:
    """Variables that change without a gradient, each with its canonical name.

    They are batch-norm statistics and what a model keeps, such as carried state.
    """
    for layer in leaves(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            yield f"{layer.name}.mean", layer.moving_mean.value
            yield f"{layer.name}.variance", layer.moving_variance.value
        if isinstance(layer, Kept):
            for weight in layer.weights:
                yield f"{layer.name}.{weight.name}", weight.value


def dropouts(model: keras.Model) -> Iterator[Dropout]:
    """The model's dropout layers that drop anything, in order."""
    for layer in leaves(model):
        if isinstance(layer, Dropout) and layer.rate:
            yield layer


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The model's layers and those of the models among them."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer
