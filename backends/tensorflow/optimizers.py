"""Optimisers: TensorFlow's fused update kernels, which compute the specified formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import tensorflow as tf

from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop


class Updater:
    """Updates variables in place by their gradients.

    ``slots`` maps a canonical slot to one variable per parameter, in the parameters' order.
    """

    def __init__(self, optimizer: Optimizer, params: Sequence[tf.Variable]):
        self._optimizer, self._params = optimizer, params
        self.slots: Mapping[str, list[tf.Variable]] = {
            slot: [tf.Variable(tf.zeros_like(p)) for p in params] for slot in optimizer.slots
        }
        if isinstance(optimizer, RMSprop):
            # its kernel insists on a momentum's memory; with momentum 0 that holds the update
            self._momentum = [tf.Variable(tf.zeros_like(p)) for p in params]

    def rates(self, step: int, count: int) -> Mapping[str, tf.Tensor]:
        """Values that ``count`` updates after update number ``step`` need, each (count,).

        A rate that does not change is a constant, but for Adam, whose corrections do.
        """
        dtype = self._params[0].dtype
        if not isinstance(self._optimizer, Adam):
            if not self._optimizer.schedule:
                return {}
            return {"rate": tf.constant(self._optimizer.rates(step, count), dtype)}
        rate, epsilon = self._optimizer.corrected(step, count)
        # the kernel forms 1 - beta in its own precision, for 0.999 1.3e-5 too small in float32: so
        # are then its m and v, which the rate and epsilon make up for
        m, v = (_as_formed(beta, dtype) for beta in (self._optimizer.beta1, self._optimizer.beta2))
        return {
            "rate": tf.constant(rate * v**0.5 / m, dtype),
            "epsilon": tf.constant(epsilon * v**0.5, dtype),
        }

    def apply(self, gradients: Sequence[tf.Tensor], rates: Mapping[str, tf.Tensor]) -> None:
        """One step, inside a ``tf.function``; ``rates`` are those of this step."""
        if isinstance(self._optimizer, Adam) and self._optimizer.clip is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._optimizer.clip)
        for i, (p, g) in enumerate(zip(self._params, gradients, strict=True)):
            rate = rates.get("rate", tf.constant(self._optimizer.learning_rate, p.dtype))
            match self._optimizer:
                case SGD():
                    tf.raw_ops.ResourceApplyGradientDescent(var=p.handle, alpha=rate, delta=g)
                case Momentum(_, momentum):
                    tf.raw_ops.ResourceApplyMomentum(
                        var=p.handle,
                        accum=self.slots["m"][i].handle,
                        lr=rate,
                        grad=g,
                        momentum=tf.constant(momentum, p.dtype),
                    )
                case Adagrad(_, epsilon):
                    tf.raw_ops.ResourceApplyAdagradV2(
                        var=p.handle,
                        accum=self.slots["v"][i].handle,
                        lr=rate,
                        epsilon=tf.constant(epsilon, p.dtype),
                        grad=g,
                    )
                case RMSprop(_, rho, epsilon):
                    tf.raw_ops.ResourceApplyRMSProp(
                        var=p.handle,
                        ms=self.slots["v"][i].handle,
                        mom=self._momentum[i].handle,
                        lr=rate,
                        rho=tf.constant(rho, p.dtype),
                        momentum=tf.constant(0.0, p.dtype),
                        epsilon=tf.constant(epsilon, p.dtype),
                        grad=g,
                    )
                case Adam(_, beta1, beta2):
                    # the corrections are in rate and epsilon already: the powers are taken as 0
                    tf.raw_ops.ResourceApplyAdam(
                        var=p.handle,
                        m=self.slots["m"][i].handle,
                        v=self.slots["v"][i].handle,
                        beta1_power=tf.constant(0.0, p.dtype),
                        beta2_power=tf.constant(0.0, p.dtype),
                        lr=rate,
                        beta1=tf.constant(beta1, p.dtype),
                        beta2=tf.constant(beta2, p.dtype),
                        epsilon=rates["epsilon"],
                        grad=g,
                    )
                case unknown:
                    assert_never(unknown)


def _as_formed(beta: float, dtype: tf.DType) -> float:
    """1 - beta as ``dtype`` has it, relative to what it is."""
    return float(1 - dtype.as_numpy_dtype(beta)) / (1 - beta)
