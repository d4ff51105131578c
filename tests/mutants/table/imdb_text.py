"""Mistakes in penalties, batch normalisation and words."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

KERNELS = r"(bag|hidden)\.kernel"
NORM = r"(bag|hidden)_norm\b"
VARIANCE = r"norm\.variance"

PENALTIES = (
    *mistake(
        "L2: with a half",
        "imdb_text:bow_l2",
        KERNELS,
        "tf.nn.l2_loss; weight_decay adds lambda w, which is the gradient of the half",
        Plant("torch", "imdb_text.py", "config.l2 * squares", "config.l2 / 2 * squares"),
        Plant("tensorflow", "imdb_text.py", "tf.reduce_sum(tf.square(k))", "tf.nn.l2_loss(k)"),
        Plant("jax", "imdb_text.py", "value += config.l2 * sum", "value += config.l2 / 2 * sum"),
        Plant("numpy", "imdb_text.py", "(2 * config.l2 * cotangent)", "(config.l2 * cotangent)"),
    ),
    *mistake(
        "L2: on biases too",
        "imdb_text:bow_l2",
        r"(bag|hidden)\.bias|\bstep [23]\b",  # which begin at 0
        "weight_decay of torch.optim and of optax",
        Plant(
            "torch",
            "imdb_text.py",
            "+ model.hidden.weight.square().sum()",
            "+ model.hidden.weight.square().sum()\n"
            "        squares += model.bag.bias.square().sum() + model.hidden.bias.square().sum()",
        ),
        Plant(
            "tensorflow",
            "imdb_text.py",
            "kernels = (model.bag.kernel, model.hidden.kernel)",
            "kernels = (model.bag.kernel, model.hidden.kernel, model.bag.bias, model.hidden.bias)",
        ),
        *(
            Plant(
                backend,
                "imdb_text.py",
                'PENALISED = ("bag.kernel", "hidden.kernel")',
                'PENALISED = ("bag.kernel", "hidden.kernel", "bag.bias", "hidden.bias")',
            )
            for backend in ("numpy", "jax")
        ),
    ),
    *mistake(
        "L2: on the output's kernel too",
        "imdb_text:bow_l2",
        r"output\.kernel",
        "weight_decay of all kernels",
        *(
            Plant(
                backend,
                "imdb_text.py",
                'PENALISED = ("bag.kernel", "hidden.kernel")',
                'PENALISED = ("bag.kernel", "hidden.kernel", "output.kernel")',
            )
            for backend in ("numpy", "jax")
        ),
    ),
    *mistake(
        "L2: in the gradients, not in the loss",
        "imdb_text:bow_l2",
        r"initial loss",
        "weight_decay of torch.optim",
        Plant(
            "torch",
            "imdb_text.py",
            "config.l2 * squares",
            "config.l2 * (squares - squares.detach())",
        ),
    ),
)

NORMALISATION = (
    *mistake(
        "batch norm: epsilon 1e-5",
        "imdb_text:bow_batchnorm",
        NORM,
        "torch, Flax and Haiku; Keras has 1e-3",
        Plant("torch", "hidden.py", '"eps": config.epsilon', '"eps": 1e-5'),
        Plant("tensorflow", "hidden.py", "epsilon=config.epsilon", "epsilon=1e-5"),
        Plant("jax", "hidden.py", "rsqrt(variance + config.epsilon)", "rsqrt(variance + 1e-5)"),
        Plant("numpy", "hidden.py", "scale, offset, config.epsilon)", "scale, offset, 1e-5)"),
    ),
    *mistake(
        "batch norm: epsilon 1e-5 in evaluation",
        "imdb_text:bow_batchnorm",
        r"logits",
        "a constant that is written twice",
        Plant("numpy", "hidden.py", "sqrt(variance + config.epsilon)", "sqrt(variance + 1e-5)"),
    ),
    *mistake(
        "batch norm: momentum's meaning",
        "imdb_text:bow_batchnorm",
        NORM + r"\.(mean|variance)",
        "torch's .01 is Keras' .99",
        Plant(
            "torch",
            "hidden.py",
            '"momentum": 1 - config.momentum',
            '"momentum": config.momentum',
        ),
        Plant(
            "tensorflow", "hidden.py", "momentum=config.momentum", "momentum=1 - config.momentum"
        ),
        Plant("jax", "hidden.py", "kept, 1 - config.momentum)", "kept, config.momentum)"),
        Plant("numpy", "hidden.py", "* (1 - config.momentum)", "* config.momentum"),
    ),
    *mistake(
        "batch norm: unbiased running variance",
        "imdb_text:bow_batchnorm",
        VARIANCE,
        "nn.BatchNorm1d",
        Plant(
            "torch",
            "text.py",
            "self.running_var.mul_((1 - self.momentum) / len(x))"
            ".add_(variance, alpha=1 - 1 / len(x))",
            "self.running_var.copy_(variance)",
        ),
        Plant(
            "jax",
            "hidden.py",
            'f"{norm}.variance": variance}\n        renewed',
            'f"{norm}.variance": variance * len(h) / (len(h) - 1)}\n        renewed',
        ),
        Plant(
            "numpy",
            "hidden.py",
            '(f"{norm}.variance", variance)',
            '(f"{norm}.variance", variance * len(h) / (len(h) - 1))',
        ),
    ),
    *mistake(
        "batch norm: unbiased variance in normalising",
        "imdb_text:bow_batchnorm",
        NORM,
        "torch.var, pandas: ddof=1",
        Plant("jax", "hidden.py", "h.var(axis=0)", "h.var(axis=0, ddof=1)"),
        Plant(
            "numpy",
            "layers.py",
            "variance = xp.square(normed).mean(axis=0)",
            "variance = xp.square(normed).sum(axis=0) / (len(x) - 1)",
        ),
    ),
    *mistake(
        "batch norm: before the activation",
        "imdb_text:bow_batchnorm",
        NORM + r"|hidden\.",
        "Ioffe & Szegedy 2015",
        Plant(
            "tensorflow",
            "imdb_text.py",
            """\
        h = tap("hidden_activation", tf.nn.relu(self.hidden(h)))
        for layer in self.hidden_after:
            h = layer(h, training=training, **mask(layer, batch))
""",
            """\
        h = self.hidden(h)
        for layer in self.hidden_after:
            h = layer(h, training=training, **mask(layer, batch))
        h = tap("hidden_activation", tf.nn.relu(h))
""",
        ),
        Plant(
            "jax",
            "imdb_text.py",
            """\
        h = tap("hidden_activation", jax.nn.relu(dense(params, "hidden", h)))
        h, second = normalized(config, params, buffers, "hidden", h, training)
""",
            """\
        h, second = normalized(
            config, params, buffers, "hidden", dense(params, "hidden", h), training
        )
        h = tap("hidden_activation", jax.nn.relu(h))
""",
        ),
    ),
    *mistake(
        "gradient: not through the batch's variance",
        "imdb_text:bow_batchnorm",
        r"central differences.*(bag|hidden)",
        "statistics taken for constants",
        Plant("numpy", "layers.py", "    dx -= normed * (dscale / len(dy))\n", ""),
    ),
)

WORDS = (
    *mistake(
        "bag of words: mean for sum",
        "imdb_text:bow",
        r"bag\.",
        "nn.EmbeddingBag",
        Plant(
            "torch",
            "text.py",
            'mode="sum"',
            'mode="mean"',
        ),
    ),
    *mistake(
        "pooling: mean for maximum",
        "imdb_text:embedding",
        r"embedding",
        "GlobalAveragePooling1D",
        Plant(
            "torch",
            "text.py",
            "return self.weight.take(found(self.weight.detach(), words))",
            "return _rows(self.weight, words).mean(dim=0)",
        ),
        Plant(
            "tensorflow",
            "text.py",
            "return embedding_max(tf.convert_to_tensor(self.kernel), words)",
            "return tf.reduce_mean(tf.gather(tf.convert_to_tensor(self.kernel), words), axis=1)",
        ),
    ),
    *mistake(
        "pooling: the padding's row left out",
        "imdb_text:embedding",
        r"embedding",
        "padding_idx of torch, mask_zero of Keras",
        Plant(
            "torch",
            "text.py",
            "    rows.eq_(rows.amax(dim=0))",
            "    rows.masked_fill_(words.t()[:, :, None] == 0, -torch.inf)\n"
            "    rows.eq_(rows.amax(dim=0))",
        ),
        Plant(
            "jax",
            "imdb_text.py",
            "    y = rows.max(axis=0)\n",
            "    rows = jnp.where(by_place[:, :, None] == 0, -jnp.inf, rows)\n"
            "    y = rows.max(axis=0)\n",
        ),
    ),
    *mistake(
        "gradient: to a wrong word",
        "imdb_text:embedding",
        r"embedding\.kernel",
        "an index that is off by one on the way back",
        Plant(
            "numpy",
            "scatter.py",
            "values.reshape(-1)[places // channels]",
            "values.reshape(-1)[places // channels - 1]",
        ),
        Plant(
            "tensorflow",
            "text.py",
            "entries = winners * w.shape[1]",
            "entries = tf.maximum(winners - 1, 0) * w.shape[1]",
        ),
        Plant(
            "jax",
            "imdb_text.py",
            "entries = winners * kernel.shape[1]",
            "entries = jnp.maximum(winners - 1, 0) * kernel.shape[1]",
        ),
    ),
    *mistake(
        "cross-entropy: of a probability taken for a logit",
        "imdb_text:bow",
        r"initial loss",
        "BCEWithLogitsLoss behind a sigmoid, Keras' from_logits",
        Plant(
            "torch",
            "imdb_text.py",
            'forward(model, batch)["logits"], batch["labels"])',
            'forward(model, batch)["logits"].sigmoid(), batch["labels"])',
        ),
        Plant("tensorflow", "imdb_text.py", "logits=logits)", "logits=tf.sigmoid(logits))"),
    ),
    *mistake(
        "cross-entropy: gradient not divided by n",
        "imdb_text:bow",
        r"central differences.*(bag|hidden|output)\.",
        "a factor forgotten on the way back",
        Plant("numpy", "layers.py", "dz *= dloss / len(z)", "dz *= dloss"),
    ),
)

PAIRS = (
    *mistake(
        "negative sampling: mean over the random words",
        "imdb_text:skipgram",
        r"initial loss|loss from step 1|logits",
        "losses that average over all axes",
        Plant(
            "torch",
            "skipgram.py",
            "F.logsigmoid(-z[:, 1:]).sum()",
            "F.logsigmoid(-z[:, 1:]).mean(dim=1).sum()",
        ),
        Plant(
            "tensorflow",
            "skipgram.py",
            "tf.reduce_sum(tf.math.softplus",
            "tf.reduce_mean(tf.math.softplus",
        ),
        Plant("jax", "skipgram.py", "(-z[:, 1:]).sum(axis=1)", "(-z[:, 1:]).mean(axis=1)"),
    ),
    *mistake(
        "gradient: of a row that is chosen several times, one choice alone",
        "imdb_text:skipgram",
        r"embedding\.kernel|context\.table",
        "assignment where rows must be added: w[ids] = g",
        Plant("torch", "text.py", "accumulate=True", "accumulate=False", count=2),
        Plant(
            "tensorflow",
            "text.py",
            "tf.math.unsorted_segment_sum(product",
            "tf.math.unsorted_segment_max(product",
        ),
        Plant(
            "numpy",
            "text.py",
            "    return places.T @ (a @ u), a.T @ chosen\n",
            "    dv = xp.zeros_like(u)\n    dv[words] = a @ u\n    return dv, a.T @ chosen\n",
        ),
    ),
    *mistake(
        "pairs: neighbours from the words' own table",
        "imdb_text:skipgram",
        r"initial loss|context\.table|logits",
        "one table for both, as in models that share them",
        Plant("jax", "skipgram.py", 'params["context.table"]', 'params["embedding.kernel"]'),
    ),
)

MUTANTS = (*PENALTIES, *NORMALISATION, *WORDS, *PAIRS)
