"""Taps: names for what a model computes on its way, recorded only where that is asked for.

Keras layers have their names by themselves; ``tap`` names what no layer gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import keras
import tensorflow as tf

from backends.program import Tap, numbered
from backends.tensorflow.dropout import Dropout
from tasks.task import Array

View = Callable[[str, tf.Tensor], tf.Tensor]
"""``view(name, x)``: what is tapped, or its cotangent, in the layout that all backends share."""
_record: Record | None = None


def tap(name: str, x: tf.Tensor, axes: Sequence[int] | None = None) -> tf.Tensor:
    """Returns ``x``, an operation's value, which is recorded under ``name`` if that is asked for.

    ``axes`` is the order of its axes in which all backends agree, as of ``tf.transpose``. Inside of
    ``tf.custom_gradient`` a value has no cotangent.
    """
    if _record is not None and tf.executing_eagerly():
        _record.note(name, x, axes)
    return x


class Record:
    """The taps of a step that is computed eagerly."""

    def __init__(self, view: View | None):
        self._view = view
        self._tensors: dict[str, tuple[tf.Tensor, Sequence[int] | None]] = {}
        self._layers: set[str] = set()
        """The names that come from layers alone."""

    def note(self, name: str, x: tf.Tensor, axes: Sequence[int] | None) -> None:
        """Keeps what the model names, in place of what a layer of that name gave."""
        if name in self._layers:
            self._layers.remove(name)
            del self._tensors[name]
        self._tensors[numbered(name, self._tensors)] = x, axes

    def of_layer(self, name: str, output: Any) -> None:
        """Keeps what a layer gives, unless the model has that name for something else."""
        x = output[0] if isinstance(output, tuple | list) and output else output
        if tf.is_tensor(x) and (name not in self._tensors or name in self._layers):
            name = numbered(name, self._tensors)
            self._layers.add(name)
            self._tensors[name] = x, None

    def taps(self, loss: tf.Tensor, tape: tf.GradientTape) -> Mapping[str, Tap]:
        """By name, in the order of the values."""
        tensors = [x for x, _ in self._tensors.values()]
        cotangents = tape.gradient(loss, tensors)
        return {
            name: (
                self._host(name, x, axes),
                None if dx is None else self._host(name, tf.convert_to_tensor(dx), axes),
            )
            for (name, (x, axes)), dx in zip(self._tensors.items(), cotangents, strict=True)
        }

    def _host(self, name: str, x: tf.Tensor, axes: Sequence[int] | None) -> Array:
        seen = x if self._view is None else self._view(name, x)
        array: Array = (seen if axes is None else tf.transpose(seen, axes)).numpy()
        return array


@contextmanager
def recorded(layers: Sequence[keras.layers.Layer], view: View | None) -> Iterator[Record]:
    """Records what is tapped meanwhile, and what these layers give, by their names.

    A layer with an activation has its value before it under its name, as a layer without has, and
    that behind it under ``<name>_activation``.
    """
    global _record
    _record = record = Record(view)
    call = keras.layers.Layer.__call__
    names = {id(layer): _name(layer) for layer in layers}

    def called(layer: keras.layers.Layer, *given: Any, **named: Any) -> Any:
        output = call(layer, *given, **named)
        if id(layer) in names and tf.executing_eagerly():  # not as Keras builds a model
            record.of_layer(names[id(layer)], output)
        return output

    with ExitStack() as stack:
        stack.callback(_forget)
        stack.enter_context(mock.patch.object(keras.layers.Layer, "__call__", called))
        for layer in layers:
            activation = getattr(layer, "activation", None)
            if activation not in (None, keras.activations.linear):
                names[id(layer)] = f"{layer.name}_activation"
                before = _activating(record, layer.name, activation)
                stack.enter_context(mock.patch.object(layer, "activation", before))
        yield record


def _forget() -> None:
    global _record
    _record = None


def _name(layer: keras.layers.Layer) -> str:
    return f"{layer.layer}_dropout" if isinstance(layer, Dropout) else str(layer.name)


def _activating(record: Record, name: str, activation: Callable[..., Any]) -> Callable[..., Any]:
    def activate(x: tf.Tensor) -> tf.Tensor:
        if tf.executing_eagerly():
            record.of_layer(name, x)
        return activation(x)

    return activate
