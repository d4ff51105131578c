"""A task: what is learned, free of frameworks, and the types that it is described in.

NumPy and the standard library only.
"""

from __future__ import annotations

import copy
import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from tasks.optimizers import Optimizer

Array = np.ndarray[Any, np.dtype[Any]]
Tree = Mapping[str, Array]
"""Arrays by canonical name, such as ``hidden.kernel``; kernels are (in, out)."""
Chunk = Tree
"""The unit of training: arrays with leading axes (steps, batch, ...), of a few fixed shapes."""
Precision = Literal["float32", "float64", "tf32", "bfloat16"]
"""The precision of arithmetic. ``tf32`` and ``bfloat16`` are float32, except that the factors of
matrix products and convolutions are rounded to them; parameters are float32 (mixed precision)."""
DataSource = Literal["real", "generated"]
MASK = "dropout/"
"""Followed by a dropout layer's name: what that layer keeps, among the arrays of a batch."""


def dtype_of(precision: Precision) -> str:
    """The type of parameters and of the optimiser's memory."""
    return "float64" if precision == "float64" else "float32"


class RequestError(Exception):
    """The request cannot be met. The message names the value at fault and the remedy."""


def nearest(name: str, known: Iterable[str]) -> str:
    """For the message on an unknown ``name``: the known one that it is like, if there is one."""
    like = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {like[0]!r}?" if like else ""


@dataclass(frozen=True)
class Leaf:
    """One parameter: its shape and the distribution it starts from."""

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]


@dataclass(frozen=True)
class State:
    """All that training changes, on the host, by canonical name.

    ``slots`` holds the optimiser's memory, one tree per slot (``{"v": ...}`` for RMSprop), with
    the names and shapes of ``params``, but for those that are frozen; ``buffers`` what changes
    without a gradient, such as the running statistics of batch normalisation; ``step`` counts the
    updates made.
    """

    params: Tree
    slots: Mapping[str, Tree]
    buffers: Tree = field(default_factory=dict)
    step: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision that a program built from this state computes in."""
        return next(iter(self.params.values())).dtype

    def astype(self, dtype: np.dtype[Any] | str) -> State:
        """A deep copy whose arrays have ``dtype``, each row by row in memory: it can be updated
        through a flat view."""

        def cast(tree: Tree) -> Tree:
            return {name: np.array(leaf, dtype=dtype, order="C") for name, leaf in tree.items()}

        slots = {slot: cast(tree) for slot, tree in self.slots.items()}
        return State(cast(self.params), slots, cast(self.buffers), self.step)


def require_leaves(model: Mapping[str, tuple[int, ...]], state: State) -> None:
    """RequestError if the parameters of a ``model``, shapes by name, are not those of a state."""
    known = {name: leaf.shape for name, leaf in state.params.items()}
    for name in (*model, *known):
        own, wanted = model.get(name), known.get(name)
        if own is None:
            like = nearest(name, model.keys() - known.keys())
            raise RequestError(f"the task has the parameter {name!r}, the model has not{like}")
        if wanted is None:
            like = nearest(name, known.keys() - model.keys())
            raise RequestError(
                f"the model has the parameter {name!r} {own}, the task has not{like}; "
                f"the task's are: {', '.join(known)}"
            )
        if own != wanted:
            raise RequestError(
                f"the model's parameter {name!r} is {own}, the task's {wanted}; "
                "kernels are (in, out)"
            )


@dataclass(frozen=True)
class Dropout:
    """A layer that drops at ``rate`` from the ``channels`` entries of every position.

    ``real`` (steps, batch, ...) tells a chunk's positions from its padding. It does not matter
    what is dropped from padding.
    """

    rate: float
    real: Array
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that it drops from in a chunk: (steps, batch, ..., channels)."""
        return (*self.real.shape, self.channels)


@dataclass(frozen=True)
class Envelope:
    """How far a backend may differ from the float64 oracle, over ``steps`` training steps.

    ``loss`` is relative, step by step; ``gradient``, ``state`` and ``prediction`` are relative to
    the largest entry of each leaf or output; where outputs are whole numbers, the fraction of them
    that differs. Predictions from the initial state are allowed as much as gradients, those after
    the steps ``prediction``, or as much as the state if that is None. Where rounding grows from
    step to step, ``loss`` may be stages: ``((10, 1e-6), (100, 1e-4))`` allows 1e-6 to step 10 and
    1e-4 from there to step 100.
    """

    steps: int
    loss: float | tuple[tuple[int, float], ...]
    gradient: float
    state: float
    prediction: float | None = None

    @property
    def prediction_tolerance(self) -> float:
        """The error that is allowed of predictions after the steps."""
        return self.state if self.prediction is None else self.prediction

    def loss_tolerances(self) -> Array:
        """The error that is allowed of the loss at every step, (steps,).

        ValueError unless the stages rise to the last step.
        """
        stages = self.loss if isinstance(self.loss, tuple) else ((self.steps, self.loss),)
        ends, allowed = zip(*stages, strict=True)
        if ends[-1] != self.steps or sorted(set(ends)) != list(ends):
            raise ValueError(f"the stages {stages} do not rise to {self.steps} steps")
        return np.repeat(allowed, np.diff(ends, prepend=0))


def rounded_products(loss: float, gradient: float) -> Mapping[Precision, Envelope]:
    """The envelopes of bfloat16, as given, and of TF32, for the first ten steps of training.

    ``loss`` and ``gradient`` are three times what PyTorch's autocast, or TensorFlow's rewritten
    graphs, showed on the CPU, with real data. In the state a wrong step shows no more: RMSprop's
    and Adam's first steps are as long for small gradients as for large ones, and where rounding
    turns one around, the two differ by twice that. So all entries of a leaf may have gone the other
    way: 2.5 times the largest. TF32 keeps three binary digits more: an eighth of the error. That is
    not measured yet. Outputs after ten steps are allowed ten times as much as gradients: the
    logits of fashion_mlp showed 0.03 and 0.19, its hidden activations 0.60 (PyTorch, real and
    generated data); others are not measured.
    TensorFlow's first gradients are computed eagerly, where nothing is rewritten: of its bfloat16,
    the losses and the state speak.
    """
    return {
        "bfloat16": Envelope(
            steps=10, loss=loss, gradient=gradient, state=2.5, prediction=10 * gradient
        ),
        "tf32": Envelope(
            *(10, loss / 8, gradient / 8),
            state=2.5,
            prediction=10 * gradient / 8,
        ),
    }


@dataclass(frozen=True)
class Target:
    """The band [low, high] that a metric must end in, on real data and the full profile."""

    metric: str
    low: float = -np.inf
    high: float = np.inf

    def met(self, value: float) -> bool:
        """Tells if ``value`` lies in the band."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Lecture:
    """Figures that a lecture prints of the full profile on real data. They are no targets.

    ``figures`` has by metric one value, of the trained model, or one for every epoch; under
    ``parameters`` their number. ``differs`` says in a sentence why ours do.
    """

    document: str
    figures: Mapping[str, tuple[float, ...]]
    differs: str


@dataclass(frozen=True)
class Provenance:
    """Which data a task holds: the data set's name, real or generated, and a SHA-256 digest.

    Where training starts from a pretrained state, ``pretrained`` is the digest of that state, and
    part of ``digest``, see ``tasks.pretrained``.
    """

    dataset: str
    source: DataSource
    digest: str
    pretrained: str | None = None


class Config(Protocol):
    """The part of a task's constants that the suite reads. They are a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def epochs(self) -> int: ...

    @property
    def batch(self) -> int:
        """Rows of a batch, which the second axis of chunks counts: samples, streams of a text."""

    def scaled(self, factor: int) -> Config:
        """The constants with batches ``factor`` times as large and fewer steps, for timing alone.

        ``tasks.scaling`` has what this takes. ValueError with the reason where it cannot be.
        """


Predict = Callable[[Chunk], Tree]
"""``Program.predict`` for a chunk on the host."""


@dataclass(frozen=True)
class Heatmap:
    """A matrix to be drawn, ``values`` (rows, columns), and what its rows and columns are.

    ``meaning`` says in a sentence how to read it; without one it is of weights of attention, whose
    rows sum to 1. With ``axes``, each row is a line instead: the columns are numbers, the values
    logarithms to base 10, and the lines of a task's variants are drawn together.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Array
    meaning: str = ""
    axes: tuple[str, str] | None = None
    """Names of what the columns count and of what the values are the logarithms of."""


class Task(ABC):
    """One learning problem, free of frameworks: every backend gets the same bits from it."""

    name: str
    """A folder's is its absolute path."""
    variant: str | None = None
    profile: str
    oracle: str = "numpy"
    """The backend whose model in float64 the others' are held against."""
    config: Any
    """A ``Config``: every constant, nothing left to a framework's default."""
    options: Mapping[str, str] = {}
    """The options that made its model another than the one that its name stands for."""
    optimizer: Optimizer
    params: Mapping[str, Leaf]
    buffers: Mapping[str, Leaf] = {}
    frozen: tuple[str, ...] = ()
    """The parameters that training does not move, to the bit: they have no slots, and no program
    computes their gradients."""
    provenance: Provenance
    unit: str = "samples/s"
    targets: tuple[Target, ...]
    """Bands for the full profile; the first also defines the time to target."""
    lecture: Lecture | None = None
    """The figures that a lecture prints of what is trained."""
    margin: float
    """By how much two backends' values of the first target's metric, means over seeds, may differ
    without it mattering: about the standard deviation of one backend's over seeds."""
    validation: str
    """The metric that falls as ``train_loss`` does, but of data that are not trained on. By it the
    learning curve is read, and training stopped early."""
    patience: int | None = None
    """Epochs without a lower ``validation`` metric after which training stops and goes back to the
    epoch of the lowest, unless another number is asked for. None: all epochs are trained."""
    envelopes: Mapping[Precision, Envelope]
    """One for every precision."""
    verification_seed: int = 0
    """Keeps the first steps clear of the model's corners, see ``tests.seeds``."""
    signatures: Mapping[str, str] = {}
    """How a library computed a metric, by the metric's name, where it has a signature for that."""

    @property
    def label(self) -> str:
        """The task as it is asked for: ``task`` or ``task:variant``."""
        return f"{self.name}:{self.variant}" if self.variant else self.name

    @property
    def trained(self) -> Mapping[str, Leaf]:
        """The parameters that training moves."""
        return {name: leaf for name, leaf in self.params.items() if name not in self.frozen}

    def initial(self, seed: int) -> State:
        """The float32 state that training starts from, drawn in the order of ``params``."""
        # spawn_key keeps this stream apart from that of the permutations, [seed, epoch]
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))

        def drawn(leaves: Mapping[str, Leaf]) -> Tree:
            return {n: leaf.draw(rng, leaf.shape).astype(np.float32) for n, leaf in leaves.items()}

        params = drawn(self.params)
        slots = {
            slot: {name: np.zeros_like(params[name]) for name in self.trained}
            for slot in self.optimizer.slots
        }
        return State(params, slots, drawn(self.buffers))

    @abstractmethod
    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        """The chunks of an epoch: ``split`` is "train" (permuted by (seed, epoch)) or "test"."""

    def verification_chunks(self, seed: int) -> Iterator[Chunk]:
        """The training chunks on which backends are compared; every term of the loss is in them."""
        return self.chunks("train", seed)

    def verified(self) -> Task:
        """The task as the proof trains it: a schedule of its learning rate ends two steps early.

        So the proof sees a schedule whole, and that it stays at its end.
        """
        if not self.optimizer.schedule:
            return self
        verified = copy.copy(self)
        schedule = self.optimizer.schedule.within(self.envelopes["float64"].steps - 2)
        verified.optimizer = replace(self.optimizer, schedule=schedule)
        return verified

    def first_predicted(self, initial: State) -> State:
        """The state from which the proof predicts before it trains, where rare outputs occur."""
        return initial

    def dropouts(self, chunk: Chunk) -> Mapping[str, Dropout]:
        """The model's dropout layers by name, in the order of the model; none by default."""
        return {}

    def dropout_masks(self, chunk: Chunk, seed: int, step: int) -> Chunk:
        """The entries that dropout layers keep in the steps of ``chunk``, the first being ``step``.

        Boolean arrays (steps, batch, ..., channels) by ``dropout/<layer>``, drawn from (seed, step,
        layer): with them in the batch, dropout is the same bits for every backend.
        """
        masks = {}
        for number, (layer, dropout) in enumerate(self.dropouts(chunk).items()):
            kept = np.empty(dropout.shape, bool)
            for place, row in enumerate(kept, step):
                # no other stream of the suite has this spawn_key
                sequence = np.random.SeedSequence(seed, spawn_key=(2, place, number))
                drawn = np.random.default_rng(sequence).random(row.shape, np.float32)
                np.greater_equal(drawn, dropout.rate, out=row)
            masks[f"{MASK}{layer}"] = kept
        return masks

    def excerpt(self, batch: Tree) -> Tree:
        """A batch of few samples out of ``batch``, for central differences.

        Of many samples, one would have a ReLU that flips within the difference.
        """
        return {name: a[:8] if a.ndim else a for name, a in batch.items()}

    def narrow(self) -> Task:
        """The task whose gradients are held against central differences: itself, or the same model
        with smaller constants, where it is too large for that, or with other initial parameters,
        where its own lie at a corner."""
        return self

    def evaluation_kinds(self) -> Iterator[tuple[str, Chunk]]:
        """One chunk of every kind of batch that is handed to ``predict``, by the kind's name.

        Kinds differ in which arrays they hold or in which of a model's paths they take, whether for
        ``score``, ``adapt``, ``search`` or what is shown. On them predictions are compared: they
        are cut to a few steps, samples or characters, and the same whenever they are asked for.
        """
        scored = next(iter(self.chunks("test")))
        yield "scoring", {name: a[:2] for name, a in scored.items()}

    def shapes(self, seed: int) -> Iterator[Chunk]:
        """One training chunk of every shape there is: each has to be compiled."""
        yield next(self.chunks("train", seed))

    @abstractmethod
    def samples(self, chunk: Chunk) -> int:
        """How many of ``unit``'s samples (or tokens) one pass over ``chunk`` processes."""

    @abstractmethod
    def operations(self, chunk: Chunk) -> float:
        """Floating-point operations that training on ``chunk`` needs, see ``tasks.operations``."""

    def adapt(self, epoch: int, predict: Predict) -> Task:
        """The task as it goes on after ``epoch`` (from 0): itself, unless it alternates.

        A task that alternates between training and, say, moving cluster centres does the latter
        here, once for all backends.
        """
        return self

    def adapted(self) -> Tree:
        """Results of ``adapt`` until now, by name: all in which it differs from a new task."""
        return {}

    def with_adapted(self, found: Tree) -> Task:
        """A task that has found what ``adapted`` gave."""
        return self

    def search(self, predict: Predict) -> Iterator[tuple[Chunk, Tree]]:
        """Further results to score, found by many calls of ``predict``: those of beam search."""
        return iter(())

    def texts(self, predict: Predict) -> Mapping[str, str]:
        """Texts by name that show, after training, what was learned; none by default."""
        return {}

    def heatmaps(self, predict: Predict) -> Mapping[str, Heatmap]:
        """Matrices by name that show, after training, what was learned; none by default."""
        return {}

    def pictures(self, state: Callable[[], State]) -> Mapping[str, Heatmap]:
        """Matrices by name that the trained state shows without a program; none by default.

        ``state()`` copies it from the device: only what draws asks for it.
        """
        return {}

    @abstractmethod
    def score(self, results: Iterable[tuple[Chunk, Tree]]) -> Mapping[str, float]:
        """Metrics from the test chunks and what ``Program.predict`` gave for each."""
