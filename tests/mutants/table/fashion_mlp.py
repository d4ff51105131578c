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
        Plant("torch", "fashion_mlp.py", "nn.ReLU()", "nn.LeakyReLU()"),
        Plant("tensorflow", "fashion_mlp.py", '"relu"', '"elu"'),
        Plant("jax", "fashion_mlp.py", "jax.nn.relu(", "jax.nn.gelu("),
    ),
    *mistake(
        "cross-entropy: of probabilities taken for logits",
        "fashion_mlp",
        r"initial loss",
        "nn.CrossEntropyLoss behind a softmax, Keras' from_logits",
        Plant(
            "torch",
            "fashion_mlp.py",
            'F.cross_entropy(forward(model, batch)["logits"],',
            'F.cross_entropy(forward(model, batch)["logits"].softmax(1),',
        ),
        Plant(
            "tensorflow",
            "fashion_mlp.py",
            'logits=forward(model, batch)["logits"]',
            'logits=tf.nn.softmax(forward(model, batch)["logits"])',
        ),
        Plant(
            "jax",
            "fashion_mlp.py",
            'logits = forward(params, buffers, batch)["logits"]',
            'logits = jax.nn.softmax(forward(params, buffers, batch)["logits"])',
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
            'batch["labels"].long())',
            'batch["labels"].long(), reduction="sum")',
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
        Plant("jax", "fashion_mlp.py", ' + params["output.bias"]', ""),
    ),
    *mistake(
        "predict: no activation",
        "fashion_mlp",
        r"logits",
        "a second forward pass that was forgotten when the first was changed",
        Plant("numpy", "fashion_mlp.py", "    relu(h, out=h)  # (n, 128)\n", ""),
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
