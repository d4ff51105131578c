"""Mistakes in what learns points of the plane: the perceptron and regression."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

AT_0 = ("wrong = agreement <= 0", "wrong = agreement < 0")

MUTANTS = (
    *mistake(
        "perceptron: an answer of 0 is no mistake",
        "perceptron:rule",
        r"output\.|count\.",
        "max(0, -y z) by the frameworks' own ReLU, whose gradient at 0 is 0: it never begins",
        Plant("torch", "perceptron.py", *AT_0),
        Plant("tensorflow", "perceptron.py", *AT_0),
        Plant("jax", "perceptron.py", *AT_0),
    ),
    *mistake(
        "squared error: half of it",
        "regression",
        r"initial loss",
        "the half that makes the gradient the error itself: optax.l2_loss, tf.nn.l2_loss",
        Plant(
            "torch",
            "regression.py",
            'F.mse_loss(model(batch["inputs"]), batch["values"])',
            'F.mse_loss(model(batch["inputs"]), batch["values"]) / 2',
        ),
        Plant("tensorflow", "regression.py", "tf.reduce_mean(tf", "0.5 * tf.reduce_mean(tf"),
        Plant("jax", "regression.py", ".mean(), {}", ".mean() / 2, {}"),
    ),
)
