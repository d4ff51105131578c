"""Mistakes in convolutions, unit vectors, pairs and triplets."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

LOSS = r"initial loss|\bat (step \d+, )?loss\b"  # also in the words of an anchor, or of taps
EMBEDDING = r"(conv\d|dense)\.|\bembeddings\b"

CONVOLUTIONS = (
    *mistake(
        "convolution: padded right and below alone",
        "fewshot:siamese",
        r"conv\d",
        'padding="same" of Keras and lax',
        Plant(
            "tensorflow",
            "fewshot.py",
            """\
        self.padding = keras.layers.ZeroPadding2D(1)
        self.convolutions = [
            keras.layers.Conv2D(channels, 3, strides=2, activation="relu", name=f"conv{number}")
""",
            """\
        self.padding = keras.layers.Identity()
        self.convolutions = [
            keras.layers.Conv2D(
                channels, 3, 2, padding="same", activation="relu", name=f"conv{number}"
            )
""",
        ),
    ),
    *mistake(
        "convolution: windows begin one pixel later",
        "fewshot:siamese",
        r"conv\d",
        "an offset of the stride",
        Plant(
            "numpy",
            "convolution.py",
            "framed[:, 1 : side + 1, 1 : side + 1]",
            "framed[:, :side, :side]",
        ),
        Plant("jax", "fewshot.py", "border = (1, 2 * m - side)", "border = (0, 2 * m - side + 1)"),
    ),
    *mistake(
        "convolution: the border repeats the picture's",
        "fewshot:siamese",
        r"conv\d",
        'padding_mode="replicate"',
        Plant(
            "torch",
            "fewshot.py",
            "nn.Conv2d(c1, c2, 3, stride=2, padding=1)",
            'nn.Conv2d(c1, c2, 3, stride=2, padding=1, padding_mode="replicate")',
        ),
    ),
    *mistake(
        "convolution: kernels turned round",
        "fewshot:siamese",
        r"conv\d",
        "scipy.signal.convolve, where frameworks correlate",
        Plant(
            "jax",
            "fewshot.py",
            "(windows @ w.reshape(-1, w.shape[-1]) + b)",
            "(windows @ w[::-1, ::-1].reshape(-1, w.shape[-1]) + b)",
        ),
        Plant(
            "numpy",
            "convolution.py",
            "y: Array = columns @ w.reshape",
            "y: Array = columns @ w[::-1, ::-1].reshape",
        ),
    ),
    *mistake(
        "flatten: channels first",
        "fewshot:siamese",
        r"dense\.kernel",
        "torch's layout",
        Plant("torch", "fewshot.py", "h.permute(0, 2, 3, 1).flatten(1)", "h.flatten(1)"),
    ),
    *mistake(
        "gradient: one of nine taps is missing",
        "fewshot:siamese",
        r"central differences.*conv[123]\.",
        "a slip in a hand-written backward pass",
        Plant("numpy", "convolution.py", "(2, 1), (2, 2)):", "(2, 1)):"),
    ),
)

EMBEDDINGS = (
    *mistake(
        "embeddings: not normalised",
        "fewshot:siamese",
        EMBEDDING,
        "a layer forgotten",
        Plant("torch", "fewshot.py", "F.normalize(self.dense(h))", "self.dense(h)"),
        Plant("jax", "fewshot.py", "return z / jnp.sqrt(square)", "return z"),
    ),
    *mistake(
        "embeddings: the smallest norm is another",
        "fewshot:triplet",
        EMBEDDING,
        "the default epsilon of tf.math.l2_normalize is of the square",
        Plant("tensorflow", "fewshot.py", ", axis=1, epsilon=SMALLEST_SQUARE)", ", axis=1)"),
    ),
    *mistake(
        "embeddings: epsilon added to the norm",
        "fewshot:triplet",
        EMBEDDING,
        "x / (norm + 1e-8), as it is written by hand",
        Plant("jax", "fewshot.py", "z / jnp.sqrt(square)", "z / (jnp.sqrt(square) + 1e-8)"),
        Plant(
            "torch",
            "fewshot.py",
            "F.normalize(self.dense(h))",
            "(z := self.dense(h)) / (z.norm(dim=1, keepdim=True) + 1e-8)",
        ),
    ),
    *mistake(
        "predict: another kernel of the head",
        "fewshot:siamese",
        r"\bkernel\b",
        "an output of its own, which no loss sees",
        Plant(
            "tensorflow",
            "fewshot.py",
            "kernel = tf.transpose(model.similarity.kernel)",
            "kernel = tf.abs(tf.transpose(model.similarity.kernel))",
        ),
        Plant(
            "torch",
            "fewshot.py",
            "head.weight.expand_as(",
            "head.weight.abs().expand_as(",
        ),
    ),
)

PAIRS = (
    *mistake(
        "pairs: all weigh the same",
        "fewshot:siamese",
        r"initial loss|similarity\.",
        "binary cross-entropy without weights of the classes",
        Plant(
            "torch",
            "fewshot.py",
            "-(F.logsigmoid(logits[:same]).mean() + F.logsigmoid(-logits[same:]).mean()) / 2",
            "-torch.cat([F.logsigmoid(logits[:same]), F.logsigmoid(-logits[same:])]).mean()",
        ),
        Plant(
            "jax",
            "fewshot.py",
            """\
    alike = jax.nn.softplus(-logits[:same]).mean()
    return (alike + jax.nn.softplus(logits[same:]).mean()) / 2, buffers
""",
            """\
    alike = jax.nn.softplus(-logits[:same]).sum()
    return (alike + jax.nn.softplus(logits[same:]).sum()) / len(logits), buffers
""",
        ),
    ),
    *mistake(
        "pairs: squared differences",
        "fewshot:siamese",
        r"initial loss|similarity\.",
        "the Euclidean distance for the weighted L1 of Koch et al. 2015",
        Plant("torch", "fewshot.py", "difference.abs()", "difference.square()"),
        Plant("tensorflow", "fewshot.py", "tf.abs(difference)", "tf.square(difference)"),
        Plant("jax", "fewshot.py", "difference = jnp.abs(", "difference = jnp.square("),
    ),
    *mistake(
        "gradient: of different pairs, sum for mean",
        "fewshot:siamese",
        r"central differences",
        "a factor forgotten on the way back",
        Plant(
            "numpy",
            "contrastive.py",
            "* (dloss / (4 * (len(z) - same)))",
            "* (dloss / 4)",
        ),
    ),
    *mistake(
        "gradient: to the first of a pair alone",
        "fewshot:siamese",
        r"central differences.*(conv\d|dense)\.",
        "a twin that is detached",
        Plant(
            "numpy",
            "contrastive.py",
            "de: Array = incidence.T @ (dy * xp.sign(difference))",
            "de: Array = xp.maximum(incidence, 0).T @ (dy * xp.sign(difference))",
        ),
    ),
)

TRIPLETS = (
    *mistake(
        "triplets: margin 1",
        "fewshot:triplet",
        LOSS,
        "nn.TripletMarginLoss, TensorFlow Addons",
        Plant(
            "numpy",
            "fewshot.py",
            "config.per_class, config.margin)",
            "config.per_class, 1.0)",
        ),
        *(
            Plant(
                backend,
                "fewshot.py",
                "_triplet_loss(embeddings, config.per_class, config.margin)",
                "_triplet_loss(embeddings, config.per_class, 1.0)",
            )
            for backend in ("torch", "tensorflow", "jax")
        ),
    ),
    *mistake(
        "triplets: distances not squared",
        "fewshot:triplet",
        LOSS,
        "nn.TripletMarginLoss",
        Plant(
            "torch",
            "fewshot.py",
            "squares = 2 - 2 * embeddings @ embeddings.T",
            "squares = (2 - 2 * embeddings @ embeddings.T).clamp(min=1e-12).sqrt()",
        ),
    ),
    *mistake(
        "triplets: mean over all, not over the active ones",
        "fewshot:triplet",
        LOSS,
        "nn.TripletMarginLoss",
        Plant(
            "torch",
            "fewshot.py",
            "hinge.count_nonzero().clamp(min=1)",
            "offsets.isfinite().sum()",
        ),
        Plant(
            "tensorflow",
            "fewshot.py",
            "tf.reduce_sum(hinge) / tf.maximum(active, 1)",
            "tf.reduce_sum(hinge) / tf.reduce_sum(tf.cast(offsets > 0, hinge.dtype))",
        ),
        Plant(
            "jax",
            "fewshot.py",
            "hinge.sum() / jnp.maximum(jnp.count_nonzero(hinge), 1)",
            "hinge.sum() / (offsets > 0).sum()",
        ),
    ),
    *mistake(
        "triplets: an anchor is its own positive",
        "fewshot:triplet",
        LOSS,
        "a mask of classes without the diagonal",
        *(
            Plant(
                backend,
                "fewshot.py",
                "valid = other[:, None, None, :] & ~np.eye(k, dtype=bool)[:, :, None]",
                "valid = other[:, None, None, :] & np.ones((k, k), bool)[:, :, None]",
            )
            for backend in ("tensorflow", "jax")
        ),
        Plant(
            "numpy",
            "contrastive.py",
            "    near[:, xp.arange(k), xp.arange(k)] = -xp.inf  # a is no p of its own\n",
            "",
        ),
    ),
    *mistake(
        "gradient: not through the negatives",
        "fewshot:triplet",
        r"central differences.*(conv\d|dense)\.",
        "a path that was forgotten",
        Plant(
            "numpy",
            "contrastive.py",
            "xp.multiply(active.sum(axis=2), -dloss / count, dtype=e.dtype)",
            "xp.multiply(active.sum(axis=2), -0.0, dtype=e.dtype)",
        ),
    ),
)

FINETUNING = (
    *mistake(
        "entropy: it is raised, not lowered",
        "fewshot:finetune",
        r"initial loss",
        "the sign of a regulariser",
        Plant("numpy", "layers.py", 'entropy = -xp.einsum("ij', 'entropy = xp.einsum("ij'),
        Plant("torch", "fewshot.py", "entropy = -(log_p", "entropy = (log_p"),
        Plant("tensorflow", "fewshot.py", "entropy = -tf.reduce_mean", "entropy = tf.reduce_mean"),
        Plant("jax", "fewshot.py", "value - config.entropy", "value + config.entropy"),
    ),
    *mistake(
        "entropy: no gradient through the probabilities",
        "fewshot:finetune",
        r"head\.(kernels|biases)",
        "detach(), stop_gradient",
        Plant(
            "numpy",
            "layers.py",
            "dz: Array = log_p + entropy[:, None]",
            "dz: Array = 0 * log_p",
        ),
        Plant("torch", "fewshot.py", "log_p.exp() * log_p", "log_p.exp().detach() * log_p"),
        Plant(
            "tensorflow",
            "fewshot.py",
            "tf.exp(log_p) * log_p",
            "tf.stop_gradient(tf.exp(log_p)) * log_p",
        ),
        Plant(
            "jax",
            "fewshot.py",
            "jnp.exp(asked) * asked",
            "jax.lax.stop_gradient(jnp.exp(asked)) * asked",
        ),
    ),
    *mistake(
        "evaluation: the heads of another episode",
        "fewshot:finetune",
        r"prediction.*logits|logits",
        "axes that are flattened in another order",
        Plant(
            "torch",
            "fewshot.py",
            "self.kernels.transpose(0, 1).flatten(1)",
            "self.kernels.permute(1, 2, 0).flatten(1)",
        ),
        Plant(
            "tensorflow",
            "fewshot.py",
            "tf.transpose(self.kernels, (1, 0, 2))",
            "tf.transpose(self.kernels, (1, 2, 0))",
        ),
    ),
)

MUTANTS = (*CONVOLUTIONS, *EMBEDDINGS, *PAIRS, *TRIPLETS, *FINETUNING)
