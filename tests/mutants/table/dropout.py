"""Mistakes in dropout: its rate, scale, place and random numbers, and its silence in evaluation.

Some are in what a framework draws by itself and leave masks that come with a batch alone.
"""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

RATE, SCALE, PLACE, INDEPENDENCE, REPETITION, SILENCE = (
    rf"dropout.*\b{quantity} of\b"
    for quantity in ("rate", "scale", "place", "independence", "repetition", "silence")
)
INITIAL = r"initial loss"
"""Where masks are given, the first loss is another."""

RATES = (
    *mistake(
        "dropout: nothing is scaled up",
        "imdb_text:bow_dropout",
        SCALE,
        "Srivastava et al. 2014 scale in evaluation instead",
        Plant("numpy", "dropout.py", "        mask /= 1 - self.rate\n", ""),
        Plant("jax", "dropout.py", "jnp.where(kept, x / (1 - rate), 0)", "jnp.where(kept, x, 0)"),
    ),
    *mistake(
        "dropout: what is drawn is not scaled up",
        "imdb_text:bow_dropout",
        SCALE,
        "Srivastava et al. 2014 scale in evaluation instead",
        Plant(
            "torch",
            "dropout.py",
            "            return super().forward(x)\n",
            "            return super().forward(x) * (1 - self.p if self.training else 1)\n",
        ),
        Plant(
            "tensorflow",
            "dropout.py",
            "super().call(x, training=training)",
            "super().call(x, training=training) * (1 - self.rate if training else 1)",
        ),
    ),
    *mistake(
        "dropout: given masks are not scaled up",
        "imdb_text:bow_dropout",
        INITIAL,
        "two paths of which one was changed",
        Plant("torch", "dropout.py", "return x * kept / (1 - self.p)", "return x * kept"),
        Plant(
            "tensorflow",
            "dropout.py",
            "y = x * tf.cast(kept, x.dtype) / (1 - self.rate)",
            "y = x * tf.cast(kept, x.dtype)",
        ),
    ),
    *mistake(
        "dropout: the rate is that of what is kept",
        "imdb_text:embedding",
        RATE,
        "keep_prob of TensorFlow 1",
        Plant("numpy", "dropout.py", "shape) >= self.rate", "shape) < self.rate"),
        Plant("torch", "dropout.py", "super().__init__(rate)", "super().__init__(1 - rate)"),
        Plant("tensorflow", "dropout.py", "super().__init__(rate)", "super().__init__(1 - rate)"),
        Plant("jax", "dropout.py", "number), 1 - rate, x.shape)", "number), rate, x.shape)"),
    ),
    *mistake(
        "dropout: whole rows",
        "imdb_text:bow_dropout",
        INDEPENDENCE,
        "noise_shape of Keras, nn.Dropout1d",
        Plant("jax", "dropout.py", "1 - rate, x.shape)", "1 - rate, (len(x), 1))"),
        Plant(
            "torch",
            "dropout.py",
            "            return super().forward(x)\n",
            "            return x * super().forward(torch.ones_like(x[:, :1]))\n",
        ),
    ),
)

PLACES = (
    *mistake(
        "dropout: behind the hidden layer",
        "imdb_text:embedding",
        PLACE + "|" + INITIAL,
        "where most models have it",
        Plant(
            "torch",
            "imdb_text.py",
            """\
        h = followed(self.dropout, self.embedding(batch["words"]), batch)
        h = tap("hidden_activation", F.relu(self.hidden(h)))
""",
            """\
        h = self.hidden(self.embedding(batch["words"]))
        h = self.dropout(tap("hidden_activation", F.relu(h)))
""",
        ),
    ),
    *mistake(
        "dropout: not behind the first layer",
        "imdb_text:bow_dropout",
        PLACE + "|" + RATE + "|" + INITIAL,
        "one of two layers forgotten",
        Plant(
            "tensorflow",
            "imdb_text.py",
            'self.bag_after = after(config, "bag", config.hidden)',
            "self.bag_after = []",
        ),
        Plant(
            "jax",
            "imdb_text.py",
            '        h = dropout(config.dropout, h, key, 0, "bag", batch)\n',
            "",
        ),
    ),
    *mistake(
        "dropout: none of the embeddings",
        "transformer:dropout",
        r"(encoder|decoder)\.embedding|" + INITIAL,
        "nn.Transformer, whose embeddings are the caller's",
        Plant(
            "torch",
            "transformer.py",
            "x = layout.drop(self.dropout, layout.pack(self.embedding(ids)))",
            "x = layout.pack(self.embedding(ids))",
            count=2,
        ),
        Plant(
            "tensorflow",
            "transformer.py",
            "return packing.drop(self.dropout, x)\n\n\nclass _Encoder",
            "return x\n\n\nclass _Encoder",
        ),
        Plant(
            "jax",
            "transformer.py",
            'x = drop("decoder.embedding", _embed(params, "decoder", inputs))',
            'x = _embed(params, "decoder", inputs)',
        ),
    ),
    *mistake(
        "dropout: of the residual too",
        "transformer:dropout",
        r"\.(self|cross|feedforward)|" + INITIAL,
        "the sum dropped, not the sublayer's output",
        Plant(
            "torch",
            "transformer.py",
            "x + layout.drop(self.self_dropout, self.self(x, layout, mask))",
            "layout.drop(self.self_dropout, x + self.self(x, layout, mask))",
        ),
    ),
)

RANDOM = (
    *mistake(
        "dropout: the same in every step",
        "imdb_text:bow_dropout",
        INDEPENDENCE,
        "a generator that is seeded anew in every step",
        Plant("numpy", "dropout.py", "spawn_key=(1, step, number)", "spawn_key=(1, number)"),
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
        INDEPENDENCE,
        "one key used twice",
        Plant("numpy", "dropout.py", "spawn_key=(1, step, number)", "spawn_key=(1, step)"),
        Plant(
            "tensorflow",
            "engine.py",
            "dropout_seed(self._seed, number)",
            "dropout_seed(self._seed, 0)",
        ),
        Plant("jax", "dropout.py", "jax.random.fold_in(key, number)", "key"),
    ),
    *mistake(
        "dropout: the seed is not used",
        "imdb_text:bow_dropout",
        REPETITION,
        "the global generator",
        Plant(
            "torch",
            "engine.py",
            "self._seeded(dropout_seed(self._seed, self._step))",
            "torch.seed()",
        ),
    ),
)

EVALUATION = (
    *mistake(
        "predict: with dropout",
        "imdb_text:bow_dropout",
        SILENCE + "|logits",
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
        SILENCE + "|logits",
        "Srivastava et al. 2014, where training does not scale up",
        Plant(
            "numpy",
            "imdb_text.py",
            '        h = normalized(config, params, buffers, "bag", h)\n',
            '        h = normalized(config, params, buffers, "bag", h) * (1 - config.dropout)\n',
        ),
    ),
)

MUTANTS = (*RATES, *PLACES, *RANDOM, *EVALUATION)
