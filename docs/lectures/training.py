"""Gradient descent, what keeps a model from overfitting, and how to read its curve."""

from __future__ import annotations

from docs.lectures.concept import Concept, Part
from docs.lectures.pictures import training as pictures

FRAMEWORKS = ("torch", "tensorflow", "jax")


def _optimizer(name: str, *numpy: str) -> dict[str, tuple[str, ...]]:
    """The update by an optimiser: the case of its name, and NumPy's function where it has one."""
    case = f"optimizers.py::Updater.apply[case {name}(]"
    hand = tuple(f"optimizers.py::{function}" for function in numpy) or (case,)
    return {
        "numpy": hand,
        "torch": (case,),
        "tensorflow": (case,),
        "jax": (f"optimizers.py::update[case {name}(]",),
    }


DESCENT = Concept(
    "gradient-descent",
    "Gradient descent and its variants",
    "Gradient descent goes against the gradient, by a step that the learning rate scales. "
    "In training, the gradient is that of a mini-batch, so that it is cheap and noisy. "
    "The variants remember past gradients: momentum to gain speed, the others to give each weight "
    "a rate of its own.",
    (
        Part(
            "Stochastic gradient descent",
            "`g` is the gradient of the batch's loss, η the learning rate.",
            r"p \leftarrow p - \eta g",
            _optimizer("SGD"),
        ),
        Part(
            "Momentum",
            "`m` is a memory of past gradients; here μ = 0.9.",
            r"m \leftarrow \mu m + g, \qquad p \leftarrow p - \eta m",
            _optimizer("Momentum"),
        ),
        Part(
            "Adagrad",
            "`v` adds up all squares, so that the steps of a weight that moves much get shorter.",
            r"v \leftarrow v + g^2, \qquad p \leftarrow p - \eta \frac{g}{\sqrt{v} + \epsilon}",
            _optimizer("Adagrad", "_adagrad"),
        ),
        Part(
            "RMSprop",
            "It forgets old squares. Frameworks differ in the place of ε: here it is in the root.",
            r"v \leftarrow \rho v + (1 - \rho) g^2, \qquad "
            r"p \leftarrow p - \eta \frac{g}{\sqrt{v + \epsilon}}",
            _optimizer("RMSprop", "_rmsprop"),
        ),
        Part(
            "Adam",
            "It has both memories, each divided by what it lacks at first. "
            "The code has these divisions in its rate and its ε, which a function makes for all.",
            r"m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad "
            r"v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad "
            r"p \leftarrow p - \eta \, \frac{m / (1 - \beta_1^t)}"
            r"{\sqrt{v / (1 - \beta_2^t)} + \epsilon}",
            _optimizer("Adam", "_adam"),
        ),
    ),
    pictures.descent,
    (
        "From which learning rate on does plain descent diverge on this bowl, and why there?",
        "Which optimisers move along both axes at the same speed, and why?",
    ),
)

REGULARISATION = Concept(
    "regularisation",
    "Regularisation",
    "A model that is large enough learns its training set by heart. "
    "Regularisation makes that harder: a penalty keeps weights small, "
    "and dropout keeps units from relying on each other.",
    (
        Part(
            "L1 and L2 penalties",
            "L1 makes many weights 0, L2 makes all of them small. "
            "The penalty is part of the loss, so that its gradient is added to the others.",
            r"\tilde L = L + \lambda_1 \sum_i |w_i| + \lambda_2 \sum_i w_i^2, \qquad "
            r"\frac{\partial \tilde L}{\partial w_i} = \frac{\partial L}{\partial w_i} "
            r"+ \lambda_1 \operatorname{sign}(w_i) + 2 \lambda_2 w_i",
            {
                "numpy": ("fashion_mlp.py::_penalty", "fashion_mlp.py::_penalize"),
                "torch": ("fashion_mlp.py::loss[if config.l1]",),
                "tensorflow": ("fashion_mlp.py::loss[if config.l1]",),
                "jax": ("fashion_mlp.py::_penalty",),
            },
        ),
        Part(
            "Dropout",
            "In training each output is 0 with probability `q`. "
            "The others are scaled up, so that nothing has to be scaled when the model is used. "
            "Each framework draws numbers of its own: to compare them, all are given one mask.",
            r"y_i = \frac{r_i}{1 - q} \, x_i, \qquad r_i \sim \mathrm{Bernoulli}(1 - q)",
            {
                "numpy": (
                    "dropout.py::Dropping.mask",
                    "dropout.py::dropout",
                    "dropout.py::dropout_backward",
                ),
                "torch": ("dropout.py::Dropout.forward",),
                "tensorflow": ("dropout.py::Dropout.call",),
                "jax": ("dropout.py::dropout", "dropout.py::_dropped"),
            },
        ),
    ),
    pictures.regularisation,
    (
        "Why is the train loss with dropout or a penalty no measure of overfitting by itself?",
        "Where does an L1 penalty have no derivative, and what do the four take there?",
    ),
)

NORMALISATION = Concept(
    "normalisation",
    "Normalisation",
    "Layers learn best from inputs of about the same scale. "
    "Normalisation gives each unit mean 0 and variance 1, then a learnt scale and offset. "
    "Batch normalisation takes mean and variance over a batch, layer normalisation over the units "
    "of one sample.",
    (
        Part(
            "Batch normalisation",
            "μ and s² are mean and variance of a unit over the batch, γ and β are learnt. "
            "When the model is used, running averages take the place of μ and s².",
            r"y = \gamma \, \frac{x - \mu}{\sqrt{s^2 + \epsilon}} + \beta",
            {
                "numpy": ("layers.py::batch_norm", "layers.py::batch_norm_backward"),
                "torch": ("text.py::BatchNorm",),
                "tensorflow": ("hidden.py::after[if config.batch_norm]",),
                "jax": ("hidden.py::normalized",),
            },
        ),
        Part(
            "Layer normalisation",
            "The same for each row by itself: it needs no batch and no running averages.",
            r"y_{ij} = \gamma_j \, \frac{x_{ij} - \mu_i}{\sqrt{s_i^2 + \epsilon}} + \beta_j",
            {
                "numpy": ("layers.py::layer_norm", "layers.py::layer_norm_backward"),
                "torch": ("attention.py::FeedForward.__init__[self.norm]",),
                "tensorflow": ("attention.py::layer_norm",),
                "jax": ("attention.py::layer_norm",),
            },
        ),
    ),
    pictures.normalisation,
    (
        "Why must a bias before batch normalisation have no effect?",
        "One framework averages another variance than the others: which, and where is it mended?",
    ),
)

CURVE = Concept(
    "curve",
    "Reading the learning curve",
    "The train loss tells how well a model fits what it has seen. "
    "The loss on held-out data tells how well it will do on new data. "
    "Where the second rises while the first falls on, the model overfits. "
    "Early stopping goes back to the epoch whose held-out loss was lowest.",
    (
        Part(
            "The rule",
            "`tetragrad run` reads every curve by this rule, whatever the backend. "
            "So there is one implementation, not four.",
            r"t^* = \operatorname{argmin}_t L_{\text{validation}}(t), \qquad "
            r"\text{stop at } t \text{ when } t - t^* \ge \text{patience}",
            {
                "suite": (
                    "suite/records/convergence.py::read_curve",
                    "suite/records/convergence.py::_overfitting",
                )
            },
        ),
    ),
    pictures.curve,
    (
        "In which epoch would you stop, and what does it cost to stop three epochs later?",
        "The accuracy hardly falls while the loss doubles: how can that be?",
    ),
)
