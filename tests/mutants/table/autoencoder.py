"""Mistakes in a normalised code, squared errors and a penalty."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

CODE = r"(encoder|decoder)\.|\bcodes\b|initial loss"

MUTANTS = (
    *mistake(
        "code: its scale is missing",
        "autoencoder:joint",
        CODE,
        "a layer that normalises and no more",
        Plant("torch", "autoencoder.py", " * math.sqrt(a.shape[1])", ""),
        Plant("tensorflow", "autoencoder.py", " * a.shape[1] ** 0.5", ""),
        Plant("jax", "autoencoder.py", "a.shape[1] ** 0.5 * inverse", "inverse"),
    ),
    *mistake(
        "code: epsilon added to the norm",
        "autoencoder:joint",
        CODE,
        "x / (norm + 1e-8), as it is written by hand",
        Plant(
            "numpy",
            "layers.py",
            "norm = xp.maximum(xp.sqrt(squares), SMALLEST_NORM)",
            "norm = xp.sqrt(squares) + 1e-8",
        ),
        Plant(
            "torch",
            "autoencoder.py",
            "F.normalize(a, eps=SMALLEST_NORM)",
            "a / (a.norm(dim=1, keepdim=True) + 1e-8)",
        ),
        Plant(
            "jax",
            "autoencoder.py",
            "jax.lax.rsqrt(jnp.maximum(squares, SMALLEST_NORM**2))",
            "1 / (jnp.sqrt(squares) + 1e-8)",
        ),
    ),
    *mistake(
        "code: the smallest norm is another",
        "autoencoder:joint",
        CODE,
        "the epsilon of tf.math.l2_normalize is of the square",
        Plant(
            "tensorflow", "autoencoder.py", "epsilon=SMALLEST_NORM**2)", "epsilon=SMALLEST_NORM)"
        ),
        Plant("jax", "autoencoder.py", "SMALLEST_NORM = 1e-12", "SMALLEST_NORM = 1e-6"),
    ),
    *mistake(
        "code: not normalised",
        "autoencoder:joint",
        CODE,
        "a plain autoencoder",
        Plant(
            "jax",
            "autoencoder.py",
            'codes = tap("codes", _normalized(_layers(params, "encoder", x)))',
            'codes = tap("codes", _layers(params, "encoder", x))',
        ),
    ),
    *mistake(
        "gradient: not through the norm",
        "autoencoder:joint",
        r"central differences.*encoder\.",
        "a norm taken for a constant",
        Plant("numpy", "layers.py", "dx: Array = dy - y * radial", "dx: Array = dy.copy()"),
    ),
    *mistake(
        "gradient: not of the penalty",
        "autoencoder:joint",
        r"central differences.*encoder\.",
        "a second path that was forgotten",
        Plant(
            "numpy",
            "autoencoder.py",
            '            dcodes += away * (factor * batch["penalty"])\n',
            "            pass\n",
        ),
    ),
    *mistake(
        "squared error: mean over the pixels",
        "autoencoder:plain",
        r"initial loss",
        "nn.MSELoss, Keras' mse",
        Plant(
            "torch",
            "autoencoder.py",
            'F.mse_loss(output, batch["inputs"], reduction="sum")',
            'F.mse_loss(output, batch["inputs"]) * len(codes)',
        ),
        Plant("jax", "autoencoder.py", "return total / len(errors)", "return total / errors.size"),
    ),
    *mistake(
        "squared error: with a half",
        "autoencoder:plain",
        r"initial loss",
        "tf.nn.l2_loss, optax.l2_loss",
        Plant(
            "tensorflow", "autoencoder.py", "half * (2 / codes.shape[0])", "half / codes.shape[0]"
        ),
    ),
    *mistake(
        "penalty: with a minus sign",
        "autoencoder:joint",
        r"initial loss|penalty|encoder\.",
        "as the paper prints it",
        Plant(
            "torch",
            "autoencoder.py",
            'total = total + batch["penalty"]',
            'total = total - batch["penalty"]',
        ),
        Plant("jax", "autoencoder.py", 'total += batch["penalty"]', 'total -= batch["penalty"]'),
    ),
    *mistake(
        "penalty: with a half",
        "autoencoder:joint",
        r"initial loss|penalty|encoder\.",
        "tf.nn.l2_loss",
        Plant(
            "tensorflow",
            "autoencoder.py",
            'half += batch["penalty"] * tf',
            'half += batch["penalty"] / 2 * tf',
        ),
    ),
    *mistake(
        "output: a sigmoid",
        "autoencoder:plain",
        r"decoder\.output",
        "most autoencoders of pictures",
        Plant(
            "torch",
            "autoencoder.py",
            'return tap("codes", codes), self.decoder(codes)',
            'return tap("codes", codes), self.decoder(codes).sigmoid()',
        ),
        Plant(
            "jax",
            "autoencoder.py",
            'return codes, _layers(params, "decoder", codes) - x',
            'return codes, jax.nn.sigmoid(_layers(params, "decoder", codes)) - x',
        ),
    ),
    *mistake(
        "code: a ReLU before it",
        "autoencoder:plain",
        r"encoder\.output",
        "an activation on every layer",
        Plant(
            "tensorflow",
            "autoencoder.py",
            'None if layer.endswith("output") else "relu"',
            'None if layer == "decoder.output" else "relu"',
        ),
    ),
    *mistake(
        "predict: the squared error is a mean",
        "autoencoder:plain",
        r"squared_error",
        "a metric that was written anew",
        Plant(
            "tensorflow",
            "autoencoder.py",
            "tf.reduce_sum(errors, axis=1)",
            "tf.reduce_mean(errors, axis=1)",
        ),
        Plant(
            "torch", "autoencoder.py", "errors.square().sum(dim=1)", "errors.square().mean(dim=1)"
        ),
    ),
)
