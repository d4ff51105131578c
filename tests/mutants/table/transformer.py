"""Mistakes in layer norms, activations and positions."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

TASK = "transformer"
NORM = r"\bnorm\b"
EMBEDDING = r"(encoder|decoder)\.embedding"

NORMS = (
    *mistake(
        "layer norm: epsilon 1e-6",
        TASK,
        NORM,
        "Flax and tensor2tensor have 1e-6, torch 1e-5, Keras 1e-3",
        Plant("numpy", "sublayers.py", "epsilon = self.config.norm_epsilon", "epsilon = 1e-6"),
        Plant(
            "torch", "attention.py", "nn.LayerNorm(width, epsilon)", "nn.LayerNorm(width, 1e-6)", 2
        ),
        Plant("jax", "transformer.py", "config.norm_epsilon)", "1e-6)"),
    ),
    *mistake(
        "layer norm: epsilon 1e-6 in the last ones",
        TASK,
        r"(encoder|decoder)\.norm",
        "a layer that was written apart",
        Plant(
            "numpy",
            "sublayers.py",
            "epsilon = self.config.norm_epsilon",
            'epsilon = 1e-6 if name.count(".") == 1 else self.config.norm_epsilon',
        ),
        Plant(
            "torch",
            "transformer.py",
            "nn.LayerNorm(config.width, config.norm_epsilon)",
            "nn.LayerNorm(config.width, 1e-6)",
        ),
        Plant(
            "tensorflow",
            "transformer.py",
            'self.norm = LayerNorm(config.width, config.norm_epsilon, f"{name}.norm")\n\n',
            'self.norm = LayerNorm(config.width, 1e-6, f"{name}.norm")\n\n',
        ),
        Plant(
            "jax",
            "transformer.py",
            'return _norm(config, params, "decoder.norm", x), memories',
            'scale, offset = params["decoder.norm.scale"], params["decoder.norm.offset"]\n'
            "    return layer_norm(x, scale, offset, 1e-6), memories",
        ),
    ),
    *mistake(
        "layer norm: epsilon 1e-3",
        TASK,
        NORM,
        "Keras' LayerNormalization",
        Plant(
            "tensorflow",
            "attention.py",
            "super().__init__(epsilon=epsilon, name=name)",
            "super().__init__(name=name)",
        ),
    ),
    *mistake(
        "layer norm: unbiased variance",
        TASK,
        NORM,
        "torch.std, as the annotated transformer has it",
        Plant(
            "jax",
            "attention.py",
            "(centred * centred).mean(axis=-1, keepdims=True)",
            "centred.var(axis=-1, keepdims=True, ddof=1)",
        ),
        Plant(
            "tensorflow",
            "attention.py",
            "variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)",
            "variance = tf.reduce_sum(tf.square(centred), axis=-1, keepdims=True)\n"
            "        variance /= x.shape[-1] - 1",
        ),
        Plant(
            "numpy",
            "layers.py",
            "variance = xp.square(normed) @ averaging",
            "variance = xp.square(normed) @ averaging * x.shape[1] / (x.shape[1] - 1)",
        ),
    ),
    *mistake(
        "layer norm: epsilon outside the root",
        TASK,
        NORM,
        "the annotated transformer: (x - mean) / (std + eps)",
        Plant(
            "jax",
            "attention.py",
            "centred * jax.lax.rsqrt(variance + epsilon)",
            "centred / (jnp.sqrt(variance) + epsilon)",
        ),
    ),
    *mistake(
        "layer norm: none behind the encoder",
        TASK,
        r"encoder\.norm",
        "nn.TransformerEncoder(norm=None)",
        Plant(
            "jax",
            "transformer.py",
            'return _norm(config, params, "encoder.norm", x), all_weights',
            "return x, all_weights",
        ),
    ),
    *mistake(
        "layer norm: the residual is taken behind it",
        TASK,
        r"feedforward",
        "apply_residual_connection_post_layernorm of BLOOM",
        Plant(
            "torch",
            "transformer.py",
            "y: torch.Tensor = x + layout.drop(",
            "y: torch.Tensor = self.feedforward.norm(x) + layout.drop(",
            2,
        ),
        Plant(
            "tensorflow",
            "transformer.py",
            "        y = self.output_layer(self.hidden(self.norm(x)))\n",
            "        x = self.norm(x)\n        y = self.output_layer(self.hidden(x))\n",
        ),
    ),
    *mistake(
        "activation: GELU",
        TASK,
        r"feedforward",
        "BERT, GPT and all that followed",
        Plant(
            "torch",
            "attention.py",
            "F.relu(self.hidden(self.norm(x)), inplace=True)",
            "F.gelu(self.hidden(self.norm(x)))",
        ),
        Plant("tensorflow", "transformer.py", 'activation="relu"', 'activation="gelu"'),
        Plant("jax", "transformer.py", "jax.nn.relu(h)", "jax.nn.gelu(h)"),
    ),
)

POSITIONS = (
    *mistake(
        "embedding: not scaled",
        TASK,
        EMBEDDING,
        "BERT; Vaswani et al. 2017 scale by the root of the width",
        Plant(
            "torch",
            "attention.py",
            "super().forward(ids) * self.embedding_dim**0.5",
            "super().forward(ids)",
        ),
        Plant(
            "tensorflow",
            "transformer.py",
            "rows * rows.shape[-1] ** 0.5 + sinusoids",
            "rows + sinusoids",
        ),
        Plant("jax", "transformer.py", "rows * math.sqrt(width) +", "rows +"),
        Plant("numpy", "vocabulary.py", "    y *= w.shape[1] ** 0.5\n", ""),
    ),
    *mistake(
        "sinusoids: in halves",
        TASK,
        EMBEDDING,
        "tensor2tensor and fairseq: sines, then cosines",
        Plant(
            "numpy",
            "attention.py",
            "table[:, 0::2], table[:, 1::2] =",
            "table[:, : (width + 1) // 2], table[:, (width + 1) // 2 :] =",
        ),
        Plant(
            "torch",
            "attention.py",
            "torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)",
            "torch.cat([angles.sin(), angles.cos()], dim=1)",
        ),
        Plant(
            "tensorflow",
            "attention.py",
            "np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width)",
            "np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)",
        ),
        Plant(
            "jax",
            "attention.py",
            "return np.where(column % 2, np.cos(angles), np.sin(angles))",
            "return np.concatenate([np.sin(angles[:, ::2]), np.cos(angles[:, ::2])], axis=1)",
        ),
    ),
    *mistake(
        "sinusoids: every column has its own frequency",
        TASK,
        EMBEDDING,
        "tutorials that take i for 2 i",
        Plant("jax", "attention.py", "(column - column % 2) / width", "column / width"),
    ),
    *mistake(
        "sinusoids: positions from 1",
        TASK,
        EMBEDDING,
        "fairseq, whose positions begin behind the padding's",
        Plant(
            "torch",
            "attention.py",
            "self.positions[first : first + ids.shape[1]]",
            "self.positions[first + 1 : first + 1 + ids.shape[1]]",
        ),
        Plant(
            "tensorflow",
            "attention.py",
            "angles = np.arange(length)[:, None]",
            "angles = np.arange(1, length + 1)[:, None]",
        ),
    ),
)

MUTANTS = (*NORMS, *POSITIONS)
