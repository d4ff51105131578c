"""Mistakes in a transformer's masks, scores and heads."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

TASK = "transformer"
ATTENTION = r"\.(self|cross)\.|\battention\b"

MASKS = (
    *mistake(
        "causal mask: off by one",
        TASK,
        r"decoder\.\d\.self|\battention\.decoder\b",
        "a diagonal that is one too far",
        Plant(
            "numpy", "attention.py", "xp.tri(length, dtype=bool)", "xp.tri(length, k=1, dtype=bool)"
        ),
        Plant("torch", "transformer.py", "triu(diagonal=1)", "triu(diagonal=2)"),
        Plant("tensorflow", "transformer.py", "-np.inf), 1)", "-np.inf), 2)"),
        Plant(
            "jax",
            "transformer.py",
            "jnp.tri(inputs.shape[1], dtype=bool)",
            "jnp.tri(inputs.shape[1], k=1, dtype=bool)",
        ),
    ),
    *mistake(
        "padding mask: none",
        TASK,
        ATTENTION,
        "a mask that must be given, src_key_padding_mask",
        Plant("torch", "transformer.py", "masked_fill_(source == PAD", "masked_fill_(source < PAD"),
        Plant(
            "tensorflow",
            "transformer.py",
            "attention_bias(source != PAD",
            "attention_bias(source >= PAD",
        ),
        Plant("jax", "transformer.py", "return (words != PAD)", "return (words >= PAD)"),
    ),
    *mistake(
        "padding mask: none in the encoder",
        TASK,
        r"encoder\.\d\.self|\battention\.encoder\b",
        "memory_key_padding_mask alone",
        Plant("numpy", "transformer.py", "padding_mask(words != PAD", "padding_mask(words >= PAD"),
        Plant(
            "jax",
            "transformer.py",
            '_embed(params, "encoder", words)), _real(words)',
            '_embed(params, "encoder", words)), jnp.array(True)',
        ),
    ),
    *mistake(
        "padding mask: none in cross-attention",
        TASK,
        r"decoder\.\d\.cross|\battention\.cross\b",
        "src_key_padding_mask alone",
        Plant(
            "numpy",
            "transformer.py",
            "mask = padding_mask(source != PAD",
            "mask = padding_mask(source >= PAD",
        ),
        Plant(
            "torch",
            "transformer.py",
            "sources = self.decoder.sources(memory, source_layout, mask)",
            "sources = self.decoder.sources(memory, source_layout, 0 * mask.clamp(min=0))",
        ),
        Plant(
            "jax",
            "transformer.py",
            "return _Source(layers, _real(words))",
            "return _Source(layers, jnp.array(True))",
        ),
    ),
)

SCORES = (
    *mistake(
        "attention: scores not scaled",
        TASK,
        ATTENTION,
        "T5, whose initialisation makes up for it",
        Plant(
            "torch",
            "attention.py",
            "F.scaled_dot_product_attention(q, k, v, mask)",
            "F.scaled_dot_product_attention(q, k, v, mask, scale=1.0)",
        ),
        Plant("tensorflow", "attention.py", "q * q.shape[-1] ** -0.5", "q"),
        Plant("jax", "attention.py", " / math.sqrt(q.shape[-1])", ""),
    ),
    *mistake(
        "attention: scaled by the width of all heads",
        TASK,
        ATTENTION,
        "d_model for d_k",
        Plant(
            "jax", "attention.py", "math.sqrt(q.shape[-1])", "math.sqrt(q.shape[1] * q.shape[-1])"
        ),
        Plant(
            "tensorflow",
            "attention.py",
            "q * q.shape[-1] ** -0.5",
            "q * (q.shape[1] * q.shape[-1]) ** -0.5",
        ),
    ),
    *mistake(
        "attention: heads take every fourth column",
        TASK,
        ATTENTION,
        "a reshape in the other order",
        Plant(
            "jax",
            "attention.py",
            "x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)",
            "x.reshape(*x.shape[:2], -1, heads).transpose(0, 3, 1, 2)",
        ),
    ),
    *mistake(
        "attention: the bias of the keys is trained",
        TASK,
        r"key\.bias",
        "its gradient is rounding, of which Adam makes whole steps",
        Plant(
            "torch",
            "attention.py",
            "self.key.bias.register_hook(torch.zeros_like)",
            "self.key.bias.register_hook(torch.clone)",
        ),
        Plant(
            "tensorflow",
            "attention.py",
            "return tf.identity(bias), tf.zeros_like",
            "return tf.identity(bias), tf.identity",
        ),
        Plant(
            "jax",
            "transformer.py",
            'jax.lax.stop_gradient(params[f"{name}.key.bias"])',
            'params[f"{name}.key.bias"]',
        ),
    ),
    *mistake(
        "gradient: of the scores, without their scale",
        TASK,
        r"central differences.*(query|key)",
        "a factor forgotten on the way back",
        Plant("numpy", "attention.py", "    ds *= q.shape[3] ** -0.5\n", ""),
    ),
    *mistake(
        "gradient: not through the encoder",
        TASK,
        r"central differences.*encoder\.",
        "an encoder that is taken for a constant",
        Plant(
            "numpy",
            "transformer.py",
            "back_encoder(back_memory(memory.gradients))",
            "back_encoder(0 * back_memory(memory.gradients))",
        ),
    ),
    *mistake(
        "gradient: not along the residual",
        TASK,
        r"central differences",
        "a path that was forgotten",
        Plant("numpy", "sublayers.py", "            dx += dy\n", ""),
    ),
    *mistake(
        "predict: attention weights are not those used",
        TASK,
        r"attention\.",
        "weights that are computed a second time, for show",
        Plant(
            "torch", "attention.py", "k.transpose(2, 3) * q.shape[3] ** -0.5", "k.transpose(2, 3)"
        ),
    ),
)

MUTANTS = (*MASKS, *SCORES)
