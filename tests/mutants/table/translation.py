"""Mistakes in a transformer's loss, its tied weights and its decoding."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

TASK = "transformer"
OUTPUT = r"initial loss|output\.bias|decoder\.embedding"

LOSS = (
    *mistake(
        "label smoothing: not over the padding's class",
        TASK,
        OUTPUT,
        "OpenNMT",
        Plant(
            "jax",
            "attention.py",
            "kernel.mean(axis=0) + bias.mean()",
            "kernel[1:].mean(axis=0) + bias[1:].mean()",
        ),
        Plant(
            "torch",
            "attention.py",
            "mean = x @ w.mean(dim=0) + b.mean()",
            "mean = x @ w[1:].mean(dim=0) + b[1:].mean()",
        ),
    ),
    *mistake(
        "label smoothing: over the other classes",
        TASK,
        OUTPUT,
        "tensor2tensor, the annotated transformer: the target gets 1 - s and no more",
        Plant(
            "jax",
            "attention.py",
            "return total - (1 - smoothing) * of_target - smoothing * of_words",
            "others = smoothing / (len(kernel) - 1)\n"
            "    spared = others * len(kernel) * of_words\n"
            "    return total - (1 - smoothing - others) * of_target - spared",
        ),
        Plant(
            "tensorflow",
            "transformer.py",
            "        config.label_smoothing,\n",
            """\
        config.label_smoothing * found["kernel"].shape[0] / (found["kernel"].shape[0] - 1),
""",
        ),
    ),
    *mistake(
        "label smoothing: none",
        TASK,
        OUTPUT,
        "every library's default",
        Plant("torch", "transformer.py", ", config.label_smoothing", ", 0.0"),
        Plant("numpy", "transformer.py", "smoothing = config.label_smoothing", "smoothing = 0.0"),
    ),
    *mistake(
        "loss: mean over the padding too",
        TASK,
        r"initial loss",
        "a mean of losses of which some are masked with 0",
        Plant("torch", "attention.py", "1 / len(like))", "1 / self._real.numel())"),
        Plant(
            "tensorflow",
            "attention.py",
            "1 / tf.cast(tf.size(self._places), dtype)",
            "1 / tf.cast(self.sentences * self.length, dtype)",
        ),
        Plant(
            "jax",
            "attention.py",
            "real / real.sum().astype(y.dtype)",
            "real / jnp.asarray(len(real), y.dtype)",
        ),
    ),
    *mistake(
        "loss: of the padding too",
        TASK,
        r"initial loss",
        "ignore_index forgotten",
        Plant("jax", "transformer.py", "        targets != PAD,\n", "        targets >= PAD,\n"),
        Plant(
            "torch",
            "transformer.py",
            "Layout(targets.shape, targets != PAD",
            "Layout(targets.shape, targets >= PAD",
        ),
    ),
    *mistake(
        "tied weights: no gradient of the logits",
        TASK,
        r"decoder\.embedding\.kernel",
        "tied once, at the start",
        Plant(
            "torch",
            "transformer.py",
            "embedding, smoothing = model.decoder.embedding.weight,",
            "embedding, smoothing = model.decoder.embedding.weight.detach(),",
        ),
        Plant(
            "jax",
            "transformer.py",
            '        params["decoder.embedding.kernel"],\n',
            '        jax.lax.stop_gradient(params["decoder.embedding.kernel"]),\n',
        ),
        Plant(
            "numpy",
            "sublayers.py",
            "            if name not in self.gradients:",
            "            if True:",
        ),
    ),
    *mistake(
        "tied weights: no gradient of the embedding",
        TASK,
        r"decoder\.embedding\.kernel",
        "one of two uses forgotten",
        Plant(
            "tensorflow",
            "attention.py",
            "return tf.tensor_scatter_nd_add(dkernel, ids[:, None], drows), None",
            "return dkernel, None",
        ),
        Plant(
            "jax",
            "transformer.py",
            'rows = kernel.at[words].get(mode="promise_in_bounds")',
            'rows = jax.lax.stop_gradient(kernel).at[words].get(mode="promise_in_bounds")',
        ),
    ),
)

DECODING = (
    *mistake(
        "predict: losses at the padding",
        TASK,
        r"\bnats\b",
        "a mask that only training has",
        Plant("jax", "transformer.py", "jnp.where(targets == PAD, 0, nats)", "nats"),
    ),
    *mistake(
        "predict: a word sees the next place",
        TASK,
        r"\b(logits|tokens)\b",
        "a mask of the cache that is off by one",
        Plant(
            "tensorflow",
            "transformer.py",
            "tf.range(limit) <= place",
            "tf.range(limit) <= place + 1",
        ),
        Plant("jax", "transformer.py", "<= self.place", "<= self.place + 1"),
    ),
    *mistake(
        "predict: unknown words are written",
        TASK,
        r"\btokens\b",
        "bad_words_ids, which nobody sets",
        Plant("torch", "transformer.py", "[PAD, BEGIN, UNKNOWN]", "[PAD, BEGIN]"),
        Plant(
            "tensorflow",
            "transformer.py",
            "BANNED = (PAD, BEGIN, UNKNOWN)",
            "BANNED = (PAD, BEGIN)",
        ),
        Plant("jax", "transformer.py", "jnp.array([PAD, BOS, UNKNOWN])", "jnp.array([PAD, BOS])"),
        Plant("numpy", "transformer.py", "BANNED = [PAD, BEGIN, UNKNOWN]", "BANNED = [PAD, BEGIN]"),
    ),
    *mistake(
        "predict: one word too many",
        TASK,
        r"\btokens\b",
        "the end mark counted or not",
        Plant(
            "jax",
            "transformer.py",
            "count = (words != PAD).sum(axis=1) - 1",
            "count = (words != PAD).sum(axis=1)",
        ),
        Plant(
            "torch",
            "transformer.py",
            "limits = ((source != PAD).sum(dim=1) - 1 +",
            "limits = ((source != PAD).sum(dim=1) +",
        ),
    ),
)

MUTANTS = (*LOSS, *DECODING)
