"""Mistakes in dropout: its rate, scale, place and random numbers, and its silence in evaluation."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

DROPOUT = r"\bdropout\b"

RATES = (
    *mistake(
        "dropout: nothing is scaled up",
        "imdb_text:bow_dropout",
        DROPOUT,
        "Srivastava et al. 2014 scale in evaluation instead",
        Plant("numpy", "layers.py", "    mask /= 1 - rate\n", ""),
        Plant(
            "torch",
            "imdb_text.py",
            "        if config.dropout:\n            self.dropout = nn.Dropout(config.dropout)\n",
            """\
        if config.dropout:
            self.dropout = nn.Dropout(config.dropout)
            self.dropout.register_forward_hook(
                lambda module, _, y: y * (1 - config.dropout) if module.training else y
            )
""",
        ),
        Plant("jax", "imdb_text.py", "jnp.where(kept, x / (1 - rate), 0)", "jnp.where(kept, x, 0)"),
    ),
    *mistake(
        "dropout: the rate is that of what is kept",
        "imdb_text:embedding",
        DROPOUT,
        "keep_prob of TensorFlow 1",
        Plant(
            "numpy",
            "layers.py",
            "uniform(np.random.SeedSequence(seed, spawn_key=(1, step, layer)), shape) >= rate",
            "uniform(np.random.SeedSequence(seed, spawn_key=(1, step, layer)), shape) < rate",
        ),
        Plant(
            "torch",
            "imdb_text.py",
            "        self.dropout = nn.Dropout(config.dropout)\n        self.hidden",
            "        self.dropout = nn.Dropout(1 - config.dropout)\n        self.hidden",
        ),
        Plant(
            "tensorflow",
            "imdb_text.py",
            "self.dropout = keras.layers.Dropout(config.dropout)",
            "self.dropout = keras.layers.Dropout(1 - config.dropout)",
        ),
        Plant(
            "jax",
            "imdb_text.py",
            "jax.random.fold_in(key, number), 1 - rate, x.shape)",
            "jax.random.fold_in(key, number), rate, x.shape)",
        ),
    ),
)

PLACES = (
    *mistake(
        "dropout: behind the hidden layer",
        "imdb_text:embedding",
        DROPOUT,
        "where most models have it",
        Plant(
            "torch",
            "imdb_text.py",
            """\
        h = self.dropout(self.embedding(batch["words"]))
        logits: torch.Tensor = self.output(F.relu(self.hidden(h)))[:, 0]
""",
            """\
        h = self.hidden(self.embedding(batch["words"]))
        logits: torch.Tensor = self.output(self.dropout(F.relu(h)))[:, 0]
""",
        ),
        Plant(
            "tensorflow",
            "imdb_text.py",
            """\
        h = self.dropout(self.embedding(batch["words"]), training=training)
        return self.output_layer(tf.nn.relu(self.hidden(h)))[:, 0]
""",
            """\
        h = tf.nn.relu(self.hidden(self.embedding(batch["words"])))
        return self.output_layer(self.dropout(h, training=training))[:, 0]
""",
        ),
    ),
    *mistake(
        "dropout: not behind the first layer",
        "imdb_text:bow_dropout",
        DROPOUT,
        "one of two layers forgotten",
        Plant(
            "tensorflow",
            "imdb_text.py",
            'self.bag_after = _after(config, "bag")',
            "self.bag_after = []",
        ),
    ),
    *mistake(
        "dropout: none of the embeddings",
        "transformer:dropout",
        DROPOUT,
        "nn.Transformer, whose embeddings are the caller's",
        Plant(
            "torch",
            "transformer.py",
            "x = self.dropout(layout.pack(self.embedding(ids)))",
            "x = layout.pack(self.embedding(ids))",
            count=2,
        ),
        Plant(
            "tensorflow",
            "transformer.py",
            "return self.dropout(rows * rows.shape[-1] ** 0.5 + sinusoids)",
            "return rows * rows.shape[-1] ** 0.5 + sinusoids",
        ),
        Plant(
            "jax",
            "transformer.py",
            'x = drop(_embed(params, "decoder", inputs))',
            'x = _embed(params, "decoder", inputs)',
        ),
    ),
)

RANDOM = (
    *mistake(
        "dropout: the same in every step",
        "imdb_text:bow_dropout",
        DROPOUT,
        "a generator that is seeded anew in every step",
        Plant("numpy", "layers.py", "spawn_key=(1, step, layer)", "spawn_key=(1, layer)"),
        Plant(
            "torch",
            "engine.py",
            "dropout_seed(self._seed, self._step)",
            "dropout_seed(self._seed, 0)",
        ),
        Plant(
            "tensorflow",
            "engine.py",
            "dropout_seed(self._seed, number), tf.int64), step])",
            "dropout_seed(self._seed, number), tf.int64), 0 * step])",
        ),
        Plant("jax", "engine.py", "jax.random.key(seed), step)", "jax.random.key(seed), 0 * step)"),
    ),
    *mistake(
        "dropout: the same in both layers",
        "imdb_text:bow_dropout",
        DROPOUT,
        "one key used twice",
        Plant("numpy", "layers.py", "spawn_key=(1, step, layer)", "spawn_key=(1, step)"),
        Plant(
            "tensorflow",
            "engine.py",
            "dropout_seed(self._seed, number)",
            "dropout_seed(self._seed, 0)",
        ),
        Plant("jax", "imdb_text.py", "jax.random.fold_in(key, number)", "key"),
    ),
    *mistake(
        "dropout: the seed is not used",
        "imdb_text:bow_dropout",
        DROPOUT,
        "the global generator",
        Plant(
            "torch",
            "engine.py",
            "torch.manual_seed(dropout_seed(self._seed, self._step))",
            "torch.seed()",
        ),
    ),
)

EVALUATION = (
    *mistake(
        "predict: with dropout",
        "imdb_text:bow_dropout",
        DROPOUT + "|logits",
        "eval() forgotten",
        Plant("torch", "engine.py", "self._model.eval()", "self._model.train()"),
        Plant(
            "tensorflow",
            "imdb_text.py",
            "model(batch, training=False)",
            "model(batch, training=True)",
        ),
        Plant(
            "jax",
            "imdb_text.py",
            "batch, None, training=False)",
            "batch, jax.random.key(0), training=False)",
        ),
    ),
    *mistake(
        "predict: scaled down",
        "imdb_text:bow_dropout",
        DROPOUT + "|logits",
        "Srivastava et al. 2014, where training does not scale up",
        Plant(
            "numpy",
            "imdb_text.py",
            '        h = _evaluated(config, params, buffers, "bag", h)\n',
            '        h = _evaluated(config, params, buffers, "bag", h) * (1 - config.dropout)\n',
        ),
    ),
)

MUTANTS = (*RATES, *PLACES, *RANDOM, *EVALUATION)
