"""Mistakes in clipping the gradients' norm; they differ at the first step at which it acts."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake
from tests.mutants.table.updates import UPDATE

CLIPPED = r"\bclip|" + UPDATE  # at the first step at which it acts
MUTANTS = (
    *(
        mutant
        for task in ("lstm", "transformer")
        for mutant in mistake(
            "clip: every leaf for itself",
            task,
            CLIPPED,
            "clipnorm of Keras' optimisers",
            Plant(
                "numpy",
                "optimizers.py",
                "clipped = g if scale is None else g * scale",
                """\
norm = math.sqrt(float(xp.vdot(gradients[name], gradients[name])))
                    limit = optimizer.clip
                    clipped = g * (limit / max(norm, limit)) if limit else g""",
            ),
            Plant(
                "torch",
                "optimizers.py",
                """\
    norm = torch.stack(torch._foreach_norm(gradients)).norm()
    return torch._foreach_mul(gradients, (clip / norm).clamp(max=1.0))
""",
                """\
    factors = [(clip / g.norm()).clamp(max=1.0) for g in gradients]
    return torch._foreach_mul(gradients, factors)
""",
            ),
            Plant(
                "tensorflow",
                "optimizers.py",
                "gradients, _ = tf.clip_by_global_norm(gradients, self._optimizer.clip)",
                "gradients = [tf.clip_by_norm(g, self._optimizer.clip) for g in gradients]",
            ),
            Plant(
                "jax",
                "optimizers.py",
                "return {k: g * factor for k, g in gradients.items()}",
                """\
norms = {k: jnp.sqrt(jnp.vdot(g, g)) for k, g in gradients.items()}
    return {k: g * jnp.minimum(1.0, clip / norms[k]) for k, g in gradients.items()}""",
            ),
        )
    ),
    *mistake(
        "clip: 1e-6 added to the norm",
        "transformer",
        CLIPPED,
        "nn.utils.clip_grad_norm_",
        Plant("torch", "optimizers.py", "(clip / norm)", "(clip / (norm + 1e-6))"),
        Plant(
            "jax", "optimizers.py", "minimum(1.0, clip / norm)", "minimum(1, clip / (norm + 1e-6))"
        ),
    ),
    *mistake(
        "clip: entry by entry",
        "lstm",
        CLIPPED,
        "clipvalue of Keras, optax.clip",
        Plant(
            "jax",
            "optimizers.py",
            "return {k: g * factor for k, g in gradients.items()}",
            "return {k: jnp.clip(g, -clip, clip) for k, g in gradients.items()}",
        ),
    ),
    *mistake(
        "clip: none",
        "lstm",
        CLIPPED,
        "no library clips unless it is told to",
        Plant(
            "tensorflow",
            "optimizers.py",
            "and self._optimizer.clip is not None",
            "and self._optimizer.clip is None",
        ),
        Plant("torch", "optimizers.py", "if clip is not None:", "if clip is None:"),
    ),
)
