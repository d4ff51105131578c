"""Causes in the update: known differences between optimisers, each a rule that is followed.

What frameworks have as their defaults was read in torch 2.13, Keras 3.15 and optax 0.2.8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, get_args

from suite.causes.rules import (
    ClipAll,
    ClipEach,
    ClipEntries,
    Place,
    Rule,
    formula_of,
    rule_of,
    unclipped,
)
from tasks.optimizers import SGD, Adagrad, Adam, Momentum, Optimizer, RMSprop

EPSILONS = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3, 0.0)
BETAS1 = (0.9, 0.0, 0.5, 0.8, 0.95, 0.99)
BETAS2 = (0.999, 0.9, 0.95, 0.98, 0.99, 0.9999)
DECAYS = (1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 4e-3, 5e-3, 1e-2, 5e-2, 1e-1)
Said = tuple[str, Rule]
"""A rule, and the words that tell it from the proof's."""


class UpdateCause(ABC):
    """A known difference in the update: the rules that stand for it, given the proof's optimiser.

    ``remedy`` says which framework has it as its default and which setting to change.
    """

    name: ClassVar[str]
    remedy: ClassVar[str]

    @abstractmethod
    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        """The rules; none for an optimiser that does not know this difference."""


def _formula(optimizer: Optimizer, **changed: Any) -> Rule:
    """The proof's rule with a formula of which something is ``changed``."""
    rule = rule_of(optimizer)
    formula: Any = formula_of(optimizer)
    return replace(rule, formula=replace(formula, **changed))


class AdamEpsilonPlace(UpdateCause):
    """Epsilon elsewhere in Adam."""

    name = "Adam: epsilon elsewhere"
    remedy = (
        "torch.optim.Adam and optax.adam (eps) add it to the root of the corrected v, Keras' Adam "
        "before the correction (epsilon hat), optax's eps_root inside the root"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        words = {
            "before correction": "before the bias correction, (sqrt(v) + epsilon) / sqrt(c)",
            "inside": "inside the root, sqrt(v / c + epsilon)",
            "inside, uncorrected": "inside the root of the uncorrected v, sqrt(v + epsilon)",
            "inside, half corrected": "inside the root of the uncorrected v, "
            "sqrt(v + epsilon sqrt(c))",
        }
        if isinstance(optimizer, Adam):
            for place in get_args(Place):
                if place != "outside":
                    rule = _formula(optimizer, place=place)
                    yield f"Adam's epsilon is added {words[place]}", rule


class AdamCorrection(UpdateCause):
    """No bias correction."""

    name = "Adam: no bias correction"
    remedy = (
        "BERT's Adam has none; torch.optim.Adam, Keras' Adam and optax.adam correct both moments, "
        "optax.scale_by_rms neither"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Adam):
            for corrected, word in (
                ((False, False), "its moments"),
                ((False, True), "m"),
                ((True, False), "v"),
            ):
                rule = _formula(optimizer, corrected=corrected)
                yield f"Adam does not correct {word} for the beginning at 0", rule
                rule = _formula(optimizer, corrected=corrected, place="before correction")
                yield f"Adam does not correct {word} for the beginning at 0", rule


class OtherEpsilon(UpdateCause):
    """Another epsilon."""

    name = "optimiser: another epsilon"
    remedy = (
        "defaults: 1e-8 in torch.optim.Adam, torch.optim.RMSprop, optax.adam and optax.rmsprop; "
        "1e-7 in all of Keras; 1e-10 in torch.optim.Adagrad; 1e-7 in optax.adagrad"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, (Adam, RMSprop, Adagrad)):
            for epsilon in EPSILONS:
                if epsilon != optimizer.epsilon:
                    said = f"epsilon is {epsilon:g}, not {optimizer.epsilon:g}"
                    yield said, _formula(optimizer, epsilon=epsilon)


class OtherBetas(UpdateCause):
    """Another beta1 or beta2."""

    name = "Adam: another beta1 or beta2"
    remedy = (
        "torch.optim.Adam(betas=), Keras' Adam(beta_1=, beta_2=) and optax.adam(b1=, b2=) have 0.9 "
        "and 0.999; Vaswani et al. 2017 have 0.98 for the second"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Adam):
            for name, values in (("beta1", BETAS1), ("beta2", BETAS2)):
                own = getattr(optimizer, name)
                for value in values:
                    if value != own:
                        said = f"{name} is {value:g}, not {own:g}"
                        yield said, _formula(optimizer, **{name: value})
                        betas = optimizer.beta1, optimizer.beta2
                        apart = _formula(optimizer, **{name: value}, correcting=betas)
                        yield f"{said}, and the bias correction has {own:g}", apart


class AdamWhole(UpdateCause):
    """Whole gradients in Adam's m."""

    name = "Adam: m adds whole gradients"
    remedy = "m takes (1 - beta1) g; whole gradients are momentum's, as in torch.optim.SGD"

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Adam):
            yield "Adam's m is beta1 m + g", _formula(optimizer, whole=True)


class Amsgrad(UpdateCause):
    """AMSGrad for Adam."""

    name = "Adam: AMSGrad"
    remedy = "amsgrad is False by default in torch.optim.Adam and in Keras' Adam"

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Adam):
            said = "Adam divides by the largest v until now, as AMSGrad does"
            yield said, _formula(optimizer, largest=True)


class RMSpropEpsilonPlace(UpdateCause):
    """RMSprop's epsilon outside the root."""

    name = "RMSprop: epsilon outside the root"
    remedy = (
        "torch.optim.RMSprop has it outside and no setting for it; Keras has it inside, and so has "
        "optax.rmsprop unless eps_in_sqrt=False"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, RMSprop):
            for epsilon in (optimizer.epsilon, *filter(None, EPSILONS)):
                value = "" if epsilon == optimizer.epsilon else f", and it is {epsilon:g}"
                said = f"RMSprop's epsilon is outside the root, sqrt(v) + epsilon{value}"
                yield said, _formula(optimizer, inside=False, epsilon=epsilon)


class OtherRho(UpdateCause):
    """Another rho."""

    name = "RMSprop: another rho"
    remedy = "alpha of torch.optim.RMSprop is 0.99; rho of Keras and decay of optax.rmsprop are 0.9"

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, RMSprop):
            for rho in (0.99, 0.9, 0.95, 0.999):
                if rho != optimizer.rho:
                    said = f"RMSprop's rho is {rho:g}, not {optimizer.rho:g}"
                    yield said, _formula(optimizer, rho=rho)


class RMSpropCentered(UpdateCause):
    """Centered RMSprop."""

    name = "RMSprop: centered"
    remedy = "centered is False by default in torch.optim.RMSprop, Keras and optax.rmsprop"

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, RMSprop):
            said = "RMSprop subtracts the squared mean of the gradients from v"
            yield said, _formula(optimizer, centered=True)


class WithMomentum(UpdateCause):
    """Momentum where there is to be none, or another."""

    name = "momentum: another"
    remedy = (
        "momentum is 0 by default in torch.optim.SGD and RMSprop and in Keras, None in optax.sgd"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, (RMSprop, SGD, Momentum)):
            own = optimizer.momentum if isinstance(optimizer, Momentum) else 0.0
            for momentum in (0.0, 0.5, 0.9, 0.95, 0.99):
                if momentum != own:
                    said = f"there is a momentum of {momentum:g}, not {own:g}"
                    yield said, _formula(optimizer, momentum=momentum)


class MomentumForm(UpdateCause):
    """Other forms of momentum."""

    name = "momentum: another form"
    remedy = (
        "torch.optim.SGD and optax.sgd add whole gradients (dampening=0, nesterov=False); Keras' "
        "SGD has the learning rate inside the velocity, another course once the rate changes"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Momentum):
            damped = _formula(optimizer, dampening=optimizer.momentum)
            yield "momentum takes (1 - momentum) g, as with dampening", damped
            yield "momentum is Nesterov's", _formula(optimizer, nesterov=True)
            inside = _formula(optimizer, rate_inside=True)
            yield "the learning rate is inside momentum's velocity", inside


class AdagradForm(UpdateCause):
    """Adagrad's memory and epsilon."""

    name = "Adagrad: its memory or epsilon"
    remedy = (
        "torch.optim.Adagrad begins at 0 (initial_accumulator_value) with epsilon outside the "
        "root; Keras and optax.adagrad begin at 0.1 with epsilon inside"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Adagrad):
            begins, inside = (
                "Adagrad's memory begins at 0.1",
                "Adagrad's epsilon is inside the root",
            )
            yield begins, _formula(optimizer, initial=0.1)
            yield inside, _formula(optimizer, inside=True)
            both = _formula(optimizer, initial=0.1, inside=True)
            yield f"{begins} and its epsilon is inside the root", both


class Clipping(UpdateCause):
    """Another clip of the gradients' norm."""

    name = "clip: another"
    remedy = (
        "torch.nn.utils.clip_grad_norm_, tf.clip_by_global_norm, optax.clip_by_global_norm and "
        "Keras' global_clipnorm clip the norm of all leaves; Keras' clipnorm clips every leaf for "
        "itself, clipvalue and optax.clip every entry; clip_grad_norm_ adds 1e-6 to the norm; "
        "no optimiser clips by default"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if isinstance(optimizer, Adam) and optimizer.clip:
            rule, limit = rule_of(optimizer), optimizer.clip
            yield "every leaf's norm is clipped for itself", replace(rule, clip=ClipEach(limit))
            yield "every entry is clipped", replace(rule, clip=ClipEntries(limit))
            yield "gradients are not clipped", replace(rule, clip=unclipped)
            added = replace(rule, clip=ClipAll(limit, 1e-6))
            yield "1e-6 is added to the norm that gradients are clipped by", added


class ScheduleShift(UpdateCause):
    """A schedule that is off by a step, or is not followed."""

    name = "schedule: off by one, or not followed"
    remedy = (
        "in PyTorch, call scheduler.step() after optimizer.step(), once an update; Keras' and "
        "optax's schedules are given the number of updates made, 0 at the first"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        if optimizer.schedule:
            rule, rates = rule_of(optimizer), optimizer.rates

            def moved(by: int) -> Rule:
                return replace(rule, rate=lambda step: float(rates(step + by, 1)[0]))

            yield "the schedule is one step ahead: the rate of the next update", moved(1)
            yield "the schedule is one step behind: the rate of the update before", moved(-1)
            constant = replace(rule, rate=lambda step: optimizer.learning_rate)
            yield "the learning rate does not follow its schedule", constant


class Decay(UpdateCause):
    """Weight decay in the optimiser."""

    name = "weight decay in the optimiser"
    remedy = (
        "weight_decay is 0.01 in torch.optim.AdamW, 0.004 in Keras' AdamW and 1e-4 in optax.adamw, "
        "and there it is decoupled; in torch.optim.SGD and Adam it is coupled and 0 by default"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        rule = rule_of(optimizer)
        for decay in DECAYS:
            yield f"decoupled weight decay of {decay:g}", replace(rule, decoupled=decay)
            yield f"coupled weight decay of {decay:g}", replace(rule, coupled=decay)


def is_bias(leaf: str) -> bool:
    """Tells if a leaf is a bias, by its name."""
    return leaf.rpartition(".")[2].startswith("bias")


class TwoBiases(UpdateCause):
    """Two biases for one."""

    name = "two biases for one"
    remedy = (
        "torch.nn.LSTM and GRU add bias_ih and bias_hh and train both; keep one at 0 with "
        "requires_grad_(False)"
    )

    def rules(self, optimizer: Optimizer) -> Iterator[Said]:
        """In all layers; ``movements`` finds single ones."""
        rule = rule_of(optimizer)
        said = "biases move twice as far, as if there were two of each"
        yield said, replace(rule, moves=lambda leaf: 2.0 if is_bias(leaf) else 1.0)


CAUSES: tuple[UpdateCause, ...] = (
    AdamEpsilonPlace(),
    AdamCorrection(),
    OtherEpsilon(),
    OtherBetas(),
    AdamWhole(),
    Amsgrad(),
    RMSpropEpsilonPlace(),
    OtherRho(),
    RMSpropCentered(),
    WithMomentum(),
    MomentumForm(),
    AdagradForm(),
    Clipping(),
    ScheduleShift(),
    Decay(),
    TwoBiases(),
)
"""All that are known."""
