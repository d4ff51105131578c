"""Layers, activations and losses."""

from __future__ import annotations

from docs.lectures.concept import Concept, Part
from docs.lectures.pictures import networks as pictures


def _activation(numpy: str, others: str) -> dict[str, tuple[str, ...]]:
    entry = f'hidden.py::ACTIVATIONS["{others}"]'
    hand = (f"{numpy}::{others}", f"{numpy}::{others}_backward")
    return {"numpy": hand, "torch": (entry,), "tensorflow": (entry,), "jax": (entry,)}


LAYERS = Concept(
    "layers",
    "Layers and back-propagation",
    "A dense layer multiplies its input by a matrix of weights and adds a bias. "
    "Training needs the gradient of the loss with respect to both. "
    "The chain rule gives it, layer by layer from the end. "
    "NumPy has no automatic gradient: each layer is a pair of functions, one forward, one back.",
    (
        Part(
            "A dense layer",
            "`x` is (n, in), `w` is (in, out), `b` is (out). "
            "The gradient of the loss with respect to `y` is called `dy`.",
            r"y = x W + b, \qquad "
            r"\frac{\partial L}{\partial W} = x^\top \frac{\partial L}{\partial y}, \qquad "
            r"\frac{\partial L}{\partial b} = \sum_n \frac{\partial L}{\partial y_n}, \qquad "
            r"\frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} W^\top",
            {
                "numpy": (
                    "layers.py::dense",
                    "layers.py::dense_backward",
                    "layers.py::dense_backward_params",
                ),
                "torch": ("fashion_mlp.py::_Perceptron.forward",),
                "tensorflow": ("hidden.py::dense", "fashion_mlp.py::_Perceptron.call"),
                "jax": ("hidden.py::dense",),
            },
        ),
        Part(
            "The gradient of a whole model",
            "NumPy's `loss` of a model returns its own way back. "
            "The others ask their framework to differentiate the loss.",
            r"\frac{\partial L}{\partial W_1} = "
            r"\frac{\partial L}{\partial h_2} \, \frac{\partial h_2}{\partial h_1} \, "
            r"\frac{\partial h_1}{\partial W_1}",
            {
                "numpy": ("fashion_mlp.py::loss[def backward]",),
                "torch": ("engine.py::Program._value_and_gradients",),
                "tensorflow": ("engine.py::Program._value_and_gradients",),
                "jax": (
                    "engine.py::_gradient",
                    "engine.py::Program.__init__[def step]",
                ),
            },
        ),
    ),
    pictures.gradient_check,
    (
        "Why does the error of central differences rise again when the step gets smaller?",
        "Why does the first layer need no gradient of its input?",
    ),
)

ACTIVATIONS = Concept(
    "activations",
    "Activation functions",
    "Without an activation function between them, layers of a network are one linear function. "
    "The slope of the function decides how much of a gradient gets through on the way back. "
    "Where the slope is near 0, the function is saturated, and the layers before it learn slowly.",
    (
        Part(
            "Sigmoid",
            "It maps to probabilities. Its slope is a quarter at most.",
            r"\sigma(x) = \frac{1}{1 + e^{-x}}, \qquad "
            r"\frac{d\sigma}{dx} = \sigma(x) (1 - \sigma(x))",
            _activation("activations.py", "sigmoid"),
        ),
        Part(
            "Tanh",
            "It is a sigmoid whose values lie around 0. Its slope is 1 at most.",
            r"\tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}}, \qquad "
            r"\frac{d \tanh x}{dx} = 1 - \tanh^2 x",
            _activation("activations.py", "tanh"),
        ),
        Part(
            "ReLU",
            "It is cheap and does not saturate above 0. "
            "A unit that is below 0 for every input is dead: it gets no gradient.",
            r"f(x) = \max(x, 0), \qquad \frac{df}{dx} = 1 \text{ if } x > 0, \text{ else } 0",
            _activation("layers.py", "relu"),
        ),
        Part(
            "Leaky ReLU",
            "Below 0 it keeps a slope, here α = 0.1, so that no unit dies.",
            r"f(x) = \max(x, \alpha x)",
            _activation("activations.py", "leaky_relu")
            | {"tensorflow": ("hidden.py::leaky_relu",)},
        ),
        Part(
            "ELU",
            "It is smooth, and saturates at -α for very negative inputs. Here α = 1.",
            r"f(x) = x \text{ if } x > 0, \text{ else } \alpha (e^x - 1)",
            _activation("activations.py", "elu"),
        ),
        Part(
            "Maxout",
            "It is learnt: each unit is the larger of two linear functions of its inputs.",
            r"f(x) = \max(w_1^\top x + b_1, \; w_2^\top x + b_2)",
            {
                "numpy": ("activations.py::maxout", "activations.py::maxout_backward"),
                **dict.fromkeys(("torch", "tensorflow", "jax"), ("hidden.py::maxout",)),
            },
        ),
    ),
    pictures.activations,
    (
        "Twenty layers of sigmoids: which share of the gradient reaches the first one at best?",
        "Which activation has dead units, and why does the loss not show them? "
        "Try `tetragrad run --task fashion_mlp --set activation=relu`.",
    ),
)

LOSSES = Concept(
    "losses",
    "Loss functions",
    "A loss says how far the outputs are from what they should be. "
    "It has to be differentiable. "
    "Classification takes the cross-entropy between the true and the predicted probabilities, "
    "regression the squared error.",
    (
        Part(
            "Softmax and cross-entropy",
            "`z` are the logits. The gradient is the difference of two distributions.",
            r"p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}, \qquad L = -\log p_{\text{label}}, \qquad "
            r"\frac{\partial L}{\partial z_c} = p_c - [c = \text{label}]",
            {
                "numpy": (
                    "layers.py::softmax_cross_entropy",
                    "layers.py::softmax_cross_entropy_backward",
                ),
                "torch": ("fashion_mlp.py::loss[value = F.cross_entropy]",),
                "tensorflow": ("fashion_mlp.py::loss[losses = tf.nn.sparse]",),
                "jax": ("fashion_mlp.py::loss[losses = optax.losses]",),
            },
        ),
        Part(
            "Two classes: sigmoid and cross-entropy",
            "One logit is enough for two classes. "
            "All four take the logit, not the probability, which may round to 0.",
            r"L = -y \log \sigma(z) - (1 - y) \log(1 - \sigma(z)) "
            r"= \max(z, 0) - z y + \log(1 + e^{-|z|})",
            {
                "numpy": (
                    "layers.py::sigmoid_cross_entropy",
                    "layers.py::sigmoid_cross_entropy_backward",
                ),
                "torch": ("imdb_text.py::loss[value = F.binary]",),
                "tensorflow": ("imdb_text.py::loss[losses = tf.nn]",),
                "jax": ("imdb_text.py::loss[value = optax]",),
            },
        ),
        Part(
            "Squared error",
            "Behind a softmax its gradient vanishes where the model is surely wrong.",
            r"L = \sum_c (p_c - [c = \text{label}])^2",
            {
                "numpy": (
                    "layers.py::softmax_squared_error",
                    "layers.py::softmax_squared_error_backward",
                ),
                "torch": ("fashion_mlp.py::loss[if config.loss ==]",),
                "tensorflow": ("fashion_mlp.py::loss[if config.loss ==]",),
                "jax": ("fashion_mlp.py::loss[if config.loss ==]",),
            },
        ),
        Part(
            "Squared error of a regression",
            "The mean over the points. `stack` is the network; its output is one number.",
            r"L = \frac{1}{n} \sum_i (\hat y_i - y_i)^2",
            dict.fromkeys(("numpy", "torch", "tensorflow", "jax"), ("regression.py::loss",)),
        ),
    ),
    pictures.losses,
    (
        "At which probability of the right class is the gradient of the squared error largest?",
        "What does the softmax become when β grows without bound?",
    ),
)
