"""Mistakes in what every network has: dense layers, activations, cross-entropy."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

MUTANTS = (
    *mistake(
        "activation: another one",
        "fashion_mlp",
        r"hidden\.(kernel|bias)",
        "ReLU's relatives, of which each framework has a handful",
        Plant(
            "numpy", "layers.py", "xp.maximum(x, 0, out=out)", "xp.maximum(x, 0.01 * x, out=out)"
        ),
        Plant("torch", "hidden.py", '"relu": F.relu', '"relu": F.leaky_relu'),
        Plant("tensorflow", "hidden.py", "tf.nn.relu,", "tf.nn.elu,"),
        Plant("jax", "hidden.py", "jax.nn.relu,", "jax.nn.gelu,"),
    ),
    *mistake(
        "cross-entropy: of probabilities taken for logits",
        "fashion_mlp",
        r"initial loss",
        "nn.CrossEntropyLoss behind a softmax, Keras' from_logits",
        Plant(
            "torch",
            "fashion_mlp.py",
            "F.cross_entropy(logits, labels)",
            "F.cross_entropy(logits.softmax(1), labels)",
        ),
        Plant(
            "tensorflow",
            "fashion_mlp.py",
            "labels=labels, logits=logits)",
            "labels=labels, logits=tf.nn.softmax(logits))",
        ),
        Plant(
            "jax",
            "fashion_mlp.py",
            'integer_labels(logits, batch["labels"])',
            'integer_labels(jax.nn.softmax(logits), batch["labels"])',
        ),
    ),
    *mistake(
        "cross-entropy: sum for mean",
        "fashion_mlp",
        r"initial loss",
        'reduction="sum"',
        Plant(
            "torch",
            "fashion_mlp.py",
            "F.cross_entropy(logits, labels)",
            'F.cross_entropy(logits, labels, reduction="sum")',
        ),
        Plant("tensorflow", "fashion_mlp.py", "tf.reduce_mean(losses)", "tf.reduce_sum(losses)"),
        Plant("jax", "fashion_mlp.py", "losses.mean()", "losses.sum()"),
    ),
    *mistake(
        "gradient: sum for mean",
        "fashion_mlp",
        r"central differences.*(hidden|output)\.",
        "a factor 1 / n forgotten on the way back",
        Plant("numpy", "layers.py", "dz *= dloss / n", "dz *= dloss"),
    ),
    *mistake(
        "gradient: a bias with the wrong sign",
        "fashion_mlp",
        r"central differences.*bias",
        "a slip in a hand-written backward pass",
        Plant(
            "numpy",
            "layers.py",
            "return x.T @ dy, xp.ones(len(dy), dy.dtype) @ dy",
            "return x.T @ dy, -xp.ones(len(dy), dy.dtype) @ dy",
        ),
    ),
    *mistake(
        "dense: no bias",
        "fashion_mlp",
        r"output\.bias",
        "use_bias=False",
        Plant(
            "jax",
            "fashion_mlp.py",
            'logits = dense(params, "output", h)',
            'logits = h @ params["output.kernel"]',
        ),
    ),
    *mistake(
        "predict: no activation",
        "fashion_mlp",
        r"logits|hidden",
        "a second forward pass that was forgotten when the first was changed",
        Plant("numpy", "fashion_mlp.py", "        h, _ = activate(a)\n", "        h = a\n"),
    ),
    *mistake(
        "predict: probabilities for logits",
        "fashion_mlp",
        r"logits",
        "a softmax as last layer, in evaluation",
        Plant(
            "tensorflow",
            "engine.py",
            "        return self._forward(self._model, _batch(chunk, step))\n",
            "        outputs = self._forward(self._model, _batch(chunk, step))\n"
            "        return {n: tf.nn.softmax(t) for n, t in outputs.items()}\n",
        ),
    ),
)
