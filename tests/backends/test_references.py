"""Optimisers and schedules against those of ``torch.optim`` and optax, over many steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.optimizers import (
    SGD,
    Adagrad,
    Adam,
    Cosine,
    Exponential,
    Inverse,
    Linear,
    Momentum,
    Optimizer,
    RMSprop,
)
from tasks.task import Array
from tests.backends.conftest import Call

STEPS, SIZE = 500, 20
GRADIENTS = np.random.default_rng(0).standard_normal((STEPS, SIZE))
TOTAL = 300
IN_TORCH: list[Optimizer] = [
    SGD(0.1),
    Momentum(0.1, 0.9),
    Momentum(0.1, 0.9, Inverse(TOTAL)),
    Adagrad(0.1, 1e-7),
    Adam(1e-2, 0.9, 0.999, 1e-7),
    Adam(1e-2, 0.9, 0.999, 1e-7, Exponential(TOTAL)),
]
IN_OPTAX: list[Optimizer] = [
    SGD(0.1, Linear(TOTAL)),
    Momentum(0.1, 0.9, Exponential(TOTAL)),
    Adagrad(0.1, 0.0, Cosine(TOTAL)),
    RMSprop(1e-2, 0.9, 1e-7),
    RMSprop(1e-2, 0.9, 1e-7, Linear(TOTAL)),
    Adam(1e-2, 0.9, 0.999, 1e-7, Cosine(TOTAL)),
]


def ours(backend: str, optimizer: Optimizer) -> Array:
    """The parameters (SIZE,), from 0, after NumPy's updates by the gradients."""
    from backends.numpy.optimizers import Updater

    params = {"p": np.zeros(SIZE)}
    slots = {slot: {"p": np.zeros(SIZE)} for slot in optimizer.slots}
    updater = Updater(optimizer, params, slots)
    updater.begin(0, STEPS)
    for number, g in enumerate(GRADIENTS):
        updater.apply({"p": g}, number)
    return params["p"]


def by_torch(backend: str, optimizer: Optimizer) -> Array:
    """The same by ``torch.optim``; a schedule by its own ``LRScheduler``."""
    import torch

    p = torch.zeros(SIZE, dtype=torch.float64, requires_grad=True)
    rate = optimizer.learning_rate
    made: Any
    match optimizer:
        case SGD():
            made = torch.optim.SGD([p], rate)
        case Momentum(_, momentum):
            made = torch.optim.SGD([p], rate, momentum=momentum)
        case Adagrad(_, epsilon):
            made = torch.optim.Adagrad([p], rate, eps=epsilon)
        case Adam(_, beta1, beta2, epsilon):
            made = torch.optim.Adam([p], rate, (beta1, beta2), eps=epsilon)
    schedule: Any = None
    if isinstance(optimizer.schedule, Exponential):
        schedule = torch.optim.lr_scheduler.ExponentialLR(made, 10 ** (-1 / TOTAL))
    elif isinstance(optimizer.schedule, Inverse):
        schedule = torch.optim.lr_scheduler.LambdaLR(made, lambda step: 1 / (1 + 9 * step / TOTAL))
    for g in GRADIENTS:
        p.grad = torch.from_numpy(g)
        made.step()
        if schedule:
            schedule.step()
    found: Array = p.detach().numpy()
    return found


def by_optax(backend: str, optimizer: Optimizer) -> Array:
    """The same by optax and its schedules."""
    import jax
    import jax.numpy as jnp
    import optax

    rate: Any = optimizer.learning_rate
    match optimizer.schedule:
        case Linear():
            rate = optax.linear_schedule(rate, 0, TOTAL)
        case Cosine():
            rate = optax.cosine_decay_schedule(rate, TOTAL)
        case Exponential():
            rate = optax.exponential_decay(rate, TOTAL, 0.1)
    if optimizer.schedule:
        exactly = rate  # of a count in int32, it would be float32
        rate = lambda count: exactly(count.astype("float64"))  # noqa: E731
    made: Any
    match optimizer:
        case SGD():
            made = optax.sgd(rate)
        case Momentum(_, momentum):
            made = optax.sgd(rate, momentum)
        case Adagrad(_, epsilon):
            made = optax.adagrad(rate, initial_accumulator_value=0, eps=epsilon)
        case RMSprop(_, rho, epsilon):
            made = optax.rmsprop(rate, rho, epsilon, eps_in_sqrt=True)
        case Adam(_, beta1, beta2, epsilon):
            made = optax.adam(rate, beta1, beta2, epsilon)

    @jax.jit
    def step(p: Any, state: Any, g: Any) -> Any:
        moves, state = made.update(g, state, p)
        return optax.apply_updates(p, moves), state

    p = jnp.zeros(SIZE)
    state = made.init(p)
    for g in GRADIENTS:
        p, state = step(p, state, g)
    return np.asarray(p)


@pytest.mark.parametrize("optimizer", IN_TORCH, ids=str)
def test_as_in_torch(call: Call, optimizer: Optimizer) -> None:
    own = call("numpy", "float64", ours, optimizer)
    np.testing.assert_allclose(own, call("torch", "float64", by_torch, optimizer), rtol=1e-11)


@pytest.mark.parametrize("optimizer", IN_OPTAX, ids=str)
def test_as_in_optax(call: Call, optimizer: Optimizer) -> None:
    own = call("numpy", "float64", ours, optimizer)
    np.testing.assert_allclose(own, call("jax", "float64", by_optax, optimizer), rtol=1e-11)


def by_turned_gradients(backend: str, optimizer: Optimizer, turned: bool) -> Array:
    """A parameter (4, 5) after three updates of PyTorch's, gradients as transposed views or not."""
    import torch

    from backends.torch.optimizers import Updater

    p = torch.zeros(4, 5, dtype=torch.float64)
    updater = Updater(optimizer, [p])
    for g, rates in zip(GRADIENTS, updater.begin(0, 3), strict=False):
        given = torch.from_numpy(g).view(4, 5)
        updater.apply((given.t().contiguous().t() if turned else given,), rates)
    return p.numpy()


@pytest.mark.parametrize("optimizer", IN_TORCH[::2], ids=str)
def test_a_gradient_that_lies_otherwise_in_memory_is_not_misread(
    call: Call, optimizer: Optimizer
) -> None:
    given = call("torch", "float64", by_turned_gradients, optimizer, False)
    turned = call("torch", "float64", by_turned_gradients, optimizer, True)
    np.testing.assert_array_equal(turned, given)
    assert given.any()
