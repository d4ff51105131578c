"""Slips of dropout, each as what to put in the place of which text of which module, by backend.

A dropout before a ReLU instead of behind it is none of them: it is the same function, as its
factors are not negative.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.backends.dropouts import Slip

BOW, EMBEDDING, TRANSFORMER = "imdb_text:bow_dropout", "imdb_text:embedding", "transformer:dropout"
Slips = Mapping[str, tuple[str, Slip]]
"""By backend the variant that it is planted in, and the slip."""

OF_THE_MODEL: Mapping[str, Slips] = {
    "another rate": {
        "numpy": (
            EMBEDDING,
            ("imdb_text", 'mask = drop.mask("emb', 'mask = Dropping(0.2, key, batch).mask("emb'),
        ),
        "torch": (EMBEDDING, ("dropout", "super().__init__(rate)", "super().__init__(2 * rate)")),
        "tensorflow": (
            EMBEDDING,
            ("dropout", "super().__init__(rate)", "super().__init__(2 * rate)"),
        ),
        "jax": (EMBEDDING, ("imdb_text", "(config.dropout, pooled", "(2 * config.dropout, pooled")),
    },
    "no rescale": {
        "numpy": (BOW, ("dropout", "        mask /= 1 - self.rate\n", "")),
        "torch": (BOW, ("dropout", "x * kept / (1 - self.p)", "x * kept")),
        "tensorflow": (
            BOW,
            (
                "dropout",
                "y = x * tf.cast(kept, x.dtype) / (1 - self.rate)",
                "y = x * tf.cast(kept, x.dtype)",
            ),
        ),
        "jax": (BOW, ("dropout", "jnp.where(kept, x / (1 - rate), 0)", "jnp.where(kept, x, 0)")),
    },
    "scaled twice": {
        "numpy": (BOW, ("dropout", "mask /= 1 - self.rate", "mask /= (1 - self.rate) ** 2")),
        "torch": (BOW, ("dropout", "/ (1 - self.p)", "/ (1 - self.p) ** 2")),
        "tensorflow": (BOW, ("dropout", "/ (1 - self.rate)", "/ (1 - self.rate) ** 2")),
        "jax": (BOW, ("dropout", "kept, x / (1 - rate)", "kept, x / (1 - rate) ** 2")),
    },
    "behind the residual": {  # of those that compile a transformer for seconds, none
        "numpy": (
            TRANSFORMER,
            (
                "sublayers",
                "y, dropped = self._dropout(name, y)\n        y += x",
                "y, dropped = self._dropout(name, y + x)",
            ),
        ),
        "torch": (
            TRANSFORMER,
            (
                "transformer",
                "x + layout.drop(self.cross_dropout, self.cross(x, layout, source))",
                "layout.drop(self.cross_dropout, x + self.cross(x, layout, source))",
            ),
        ),
    },
    "another layer's mask": {
        "numpy": (BOW, ("dropout", 'get(f"{MASK}{layer}")', 'get(f"{MASK}bag")')),
        "torch": (BOW, ("hidden", 'get(f"{MASK}{layer.layer}")', 'get(f"{MASK}bag")')),
        "tensorflow": (BOW, ("hidden", 'get(f"{MASK}{layer.layer}")', 'get(f"{MASK}bag")')),
        "jax": (BOW, ("dropout", 'get(f"{MASK}{layer}")', 'get(f"{MASK}bag")')),
    },
}
"""Slips that a trace by the masks of the batch shows."""

WITHOUT_A_LAYER: Slips = {
    "numpy": (
        BOW,
        ("imdb_text", '"hidden", a, drop, 1)', '"hidden", a, Dropping(0, None, {}), 1)'),
    ),
    "torch": (
        BOW,
        ("imdb_text", "for layer in self._after_hidden:", "for layer in self._after_hidden[1:]:"),
    ),
    "tensorflow": (
        BOW,
        ("imdb_text", "for layer in self.hidden_after:", "for layer in self.hidden_after[1:]:"),
    ),
    "jax": (
        BOW,
        ("imdb_text", '        h = dropout(config.dropout, h, key, 1, "hidden", batch)\n', ""),
    ),
}
"""Slips that show in a trace and in the statistics."""

OF_THE_GENERATOR: Mapping[str, tuple[str, Slips]] = {
    "what to keep taken for what to drop": (
        "rate",
        {
            "numpy": (EMBEDDING, ("dropout", ">= self.rate", "< self.rate")),
            "torch": (
                EMBEDDING,
                (
                    "dropout",
                    "return super().forward(x)",
                    "return nn.functional.dropout(x, 1 - self.p, self.training)",
                ),
            ),
            "tensorflow": (
                EMBEDDING,
                (
                    "dropout",
                    "super().call(x, training=training)",
                    "keras.random.dropout(x, 1 - self.rate, seed=self.seed_generator)",
                ),
            ),
            "jax": (EMBEDDING, ("dropout", "number), 1 - rate, x.shape", "number), rate, x.shape")),
        },
    ),
    "no dropout in training": (
        "rate",
        {
            "numpy": (BOW, ("engine", "return None if self._seed is None else", "return None and")),
            "torch": (BOW, ("engine", "dropout.train(self._seed is not None)", "dropout.eval()")),
            "tensorflow": (BOW, ("engine", "draws = seed is not None", "draws = False")),
            "jax": (BOW, ("engine", "return None if seed is None else", "return None and")),
        },
    ),
    "its own are not rescaled": (
        "scale",
        {
            "numpy": (BOW, ("dropout", "mask /= 1 - self.rate", "mask /= 1 if self.key else 0.5")),
            "torch": (
                BOW,
                (
                    "dropout",
                    "return super().forward(x)",
                    "return super().forward(x) * (1 - self.p * self.training)",
                ),
            ),
            "tensorflow": (
                BOW,
                (
                    "dropout",
                    "super().call(x, training=training) if",
                    "super().call(x, training=training) * (1 - training * self.rate) if",
                ),
            ),
            "jax": (
                BOW,
                ("dropout", "jnp.where(kept, x / (1 - rate), 0)", "jnp.where(kept, x, 0)"),
            ),
        },
    ),
    "the same masks in every step": (
        "independence",
        {
            "numpy": (
                BOW,
                (
                    "engine",
                    "self._seed is None else (self._seed, self._step)",
                    "self._seed is None else (self._seed, 0)",
                ),
            ),
            "torch": (BOW, ("engine", "seed(self._seed, self._step)", "seed(self._seed, 0)")),
            "tensorflow": (BOW, ("engine", "tf.int64), step])", "tf.int64), 0 * step])")),
            "jax": (BOW, ("engine", "jax.random.key(seed), step)", "jax.random.key(seed), 0)")),
        },
    ),
    "the same masks for every seed": (
        "independence",
        {
            "numpy": (BOW, ("engine", "(self._seed, self._step)", "(0, self._step)")),
            "torch": (BOW, ("engine", "seed(self._seed, self._step)", "seed(0, self._step)")),
            "tensorflow": (BOW, ("engine", "seed(self._seed, number)", "seed(0, number)")),
            "jax": (BOW, ("engine", "jax.random.key(seed), step)", "jax.random.key(0), step)")),
        },
    ),
    "the same mask in two layers": (
        "independence",
        {
            "numpy": (BOW, ("dropout", "spawn_key=(1, step, number)", "spawn_key=(1, step, 0)")),
            "torch": (
                BOW,
                (
                    "dropout",
                    "            return super()",
                    "            torch.manual_seed(torch.initial_seed())\n"
                    "            return super()",
                ),
            ),
            "tensorflow": (BOW, ("engine", "seed(self._seed, number)", "seed(self._seed, 0)")),
            "jax": (BOW, ("dropout", "jax.random.fold_in(key, number)", "key")),
        },
    ),
    "a mask for the whole batch": (
        "independence",
        {
            "numpy": (
                BOW,
                (
                    "dropout",
                    "uniform(sequence, shape)",
                    "np.tile(uniform(sequence, shape[1:]), (shape[0], 1))",
                ),
            ),
            "torch": (
                BOW,
                (
                    "dropout",
                    "return super().forward(x)",
                    "return x * super().forward(torch.ones_like(x[0]))",
                ),
            ),
            "tensorflow": (
                BOW,
                (
                    "dropout",
                    "super().__init__(rate)",
                    "super().__init__(rate, noise_shape=(1, None))",
                ),
            ),
            "jax": (BOW, ("dropout", "1 - rate, x.shape)", "1 - rate, x.shape[1:])")),
        },
    ),
    "dropout in predictions": (
        "silence",
        {
            "numpy": (
                BOW,
                (
                    "imdb_text",
                    'h = normalized(config, params, buffers, "hidden", h)',
                    "h = xp.random.choice([0, 2], h.shape) * normalized(\n"
                    '            config, params, buffers, "hidden", h)',
                ),
            ),
            "torch": (BOW, ("engine", "self._model.eval()", "self._model.train()")),
            "tensorflow": (
                BOW,
                ("imdb_text", "model(batch, training=False)", "model(batch, training=True)"),
            ),
        },
    ),
    "training that draws anew": (
        "training",
        {
            "numpy": (BOW, ("engine", "batch, self._key()\n", "batch, (9, self._step)\n")),
            "torch": (
                BOW,
                (
                    "engine",
                    "            self._seed_dropout()\n            losses",
                    "            losses",
                ),
            ),
            "tensorflow": (
                BOW,
                ("engine", "_batch(chunk, step), made)", "_batch(chunk, step), made + 1)"),
            ),
            "jax": (
                BOW,
                (
                    "engine",
                    "batch, key(number))\n            trained: Arrays",
                    "batch, key(number + 1))\n            trained: Arrays",
                ),
            ),
        },
    ),
}
"""Slips that the statistics of a backend's own masks show, and in which quantity.

That JAX drops in predictions by a constant key, the comparison of predictions has to show.
"""
