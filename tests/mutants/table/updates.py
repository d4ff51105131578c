"""Mistakes in the update: RMSprop, Adam, schedules.

The gradients agree; what differs first is the loss of the second step.
"""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

UPDATE = r"\bstep 2\b|\bupdate\b|\bat state@"
"""The last is an anchor's word, by which NumPy is found out."""
CORRECTED = "rate, epsilon = self._optimizer.corrected(step, count)"
NEXT = " * {0}.rates(step + 1, count) / {0}.rates(step, count)"
"""From a rate to that of the next step, whose bias corrections stay."""

RMSPROP = (
    *mistake(
        "RMSprop: epsilon outside the root",
        "fashion_mlp",
        UPDATE,
        "torch.optim.RMSprop",
        Plant(
            "numpy",
            "optimizers.py",
            "    xp.add(v, c.epsilon, out=t)\n    xp.sqrt(t, out=t)\n",
            "    xp.sqrt(v, out=t)\n    t += c.epsilon\n",
        ),
        Plant(
            "torch",
            "optimizers.py",
            """\
                scale = torch._foreach_add(v, epsilon)
                torch._foreach_rsqrt_(scale)
""",
            """\
                scale = torch._foreach_sqrt(v)
                torch._foreach_add_(scale, epsilon)
                torch._foreach_reciprocal_(scale)
""",
        ),
        Plant(
            "jax",
            "optimizers.py",
            "gradients[k] * jax.lax.rsqrt(v[k] + epsilon)",
            "gradients[k] / (jnp.sqrt(v[k]) + epsilon)",
        ),
    ),
    *mistake(
        "RMSprop: epsilon 1e-8",
        "fashion_mlp",
        UPDATE,
        "torch and optax have 1e-8, Keras 1e-7",
        Plant("torch", "optimizers.py", "_foreach_add(v, epsilon)", "_foreach_add(v, 1e-8)"),
        Plant(
            "tensorflow",
            "optimizers.py",
            "momentum=tf.constant(0.0, p.dtype),\n" + 24 * " " + "epsilon=tf.constant(epsilon",
            "momentum=tf.constant(0.0, p.dtype),\n" + 24 * " " + "epsilon=tf.constant(1e-8",
        ),
        Plant("jax", "optimizers.py", "rsqrt(v[k] + epsilon)", "rsqrt(v[k] + 1e-8)"),
    ),
    *mistake(
        "RMSprop: rho 0.99",
        "fashion_mlp",
        UPDATE,
        "alpha of torch.optim.RMSprop",
        Plant(
            "numpy",
            "optimizers.py",
            "    t *= 1 - c.rho\n    v *= c.rho\n",
            "    t *= 1 - 0.99\n    v *= 0.99\n",
        ),
        Plant(
            "torch",
            "optimizers.py",
            """\
                torch._foreach_mul_(v, rho)
                torch._foreach_addcmul_(v, gradients, gradients, 1 - rho)
""",
            """\
                torch._foreach_mul_(v, 0.99)
                torch._foreach_addcmul_(v, gradients, gradients, 1 - 0.99)
""",
        ),
        Plant(
            "tensorflow",
            "optimizers.py",
            "rho=tf.constant(rho, p.dtype)",
            "rho=tf.constant(0.99, p.dtype)",
        ),
    ),
    *mistake(
        "RMSprop: with momentum",
        "fashion_mlp",
        r"\bstep 3\b|\bupdate\b",  # the first update is the same
        "recipes that give RMSprop a momentum of 0.9",
        Plant(
            "tensorflow",
            "optimizers.py",
            "momentum=tf.constant(0.0, p.dtype)",
            "momentum=tf.constant(0.9, p.dtype)",
        ),
    ),
)

ADAM = (
    *mistake(
        "Adam: no bias correction",
        "imdb_text:embedding",
        UPDATE,
        "the Adam that BERT was published with",
        Plant(
            "numpy",
            "optimizers.py",
            "rates, epsilons = self._optimizer.corrected(step, count)",
            "rates = self._optimizer.rates(step, count)\n"
            "            epsilons = 0 * rates + self._optimizer.epsilon",
        ),
        Plant("torch", "optimizers.py", "self._count.fill_(step)", "self._count.fill_(10**6)"),
        Plant(
            "tensorflow",
            "optimizers.py",
            CORRECTED,
            "rate = self._optimizer.rates(step, count)\n"
            "        epsilon = 0 * rate + self._optimizer.epsilon",
        ),
        Plant(
            "jax",
            "optimizers.py",
            "rate, epsilon = optimizer.corrected(step, count)",
            "rate = optimizer.rates(step, count)\n    epsilon = 0 * rate + optimizer.epsilon",
        ),
    ),
    *mistake(
        "Adam: epsilon added before the correction",
        "imdb_text:embedding",
        UPDATE,
        "Keras and TensorFlow: epsilon hat of the paper's section 2",
        Plant(
            "numpy",
            "optimizers.py",
            "self._rates = rates.tolist(), epsilons.tolist()",
            "self._rates = rates.tolist(), [self._optimizer.epsilon] * count",
        ),
        Plant(
            "torch",
            "optimizers.py",
            "eps=epsilon,",
            "eps=epsilon / (1 - beta2 ** float(self._count)) ** 0.5,",
        ),
        Plant(
            "tensorflow",
            "optimizers.py",
            "tf.constant(epsilon * v**0.5, dtype)",
            "tf.constant((0 * epsilon + self._optimizer.epsilon) * v**0.5, dtype)",
        ),
        Plant(
            "jax",
            "optimizers.py",
            '"epsilon": epsilon.astype(dtype)',
            '"epsilon": np.full(count, optimizer.epsilon, dtype)',
        ),
    ),
    *mistake(
        "Adam: epsilon inside the root",
        "imdb_text:embedding",
        UPDATE,
        "eps_root of optax",
        Plant(
            "numpy",
            "optimizers.py",
            "    xp.sqrt(v, out=t)\n    t += epsilon\n",
            "    xp.add(v, epsilon, out=t)\n    xp.sqrt(t, out=t)\n",
        ),
        Plant(
            "jax",
            "optimizers.py",
            '(jnp.sqrt(v[k]) + rates["epsilon"])',
            'jnp.sqrt(v[k] + rates["epsilon"])',
        ),
    ),
    *mistake(
        "Adam: epsilon 1e-8",
        "imdb_text:embedding",
        UPDATE,
        "torch and optax have 1e-8, Keras 1e-7",
        Plant("torch", "optimizers.py", "eps=epsilon,", "eps=1e-8,"),
        Plant(
            "tensorflow",
            "optimizers.py",
            "tf.constant(epsilon * v**0.5, dtype)",
            "tf.constant(epsilon / 10 * v**0.5, dtype)",
        ),
        Plant("jax", "optimizers.py", "epsilon.astype(dtype)", "(epsilon / 10).astype(dtype)"),
    ),
    *mistake(
        "Adam: beta2 0.98",
        "imdb_text:embedding",
        UPDATE,
        "Vaswani et al. 2017; every library has 0.999",
        Plant(
            "numpy",
            "optimizers.py",
            "    t *= 1 - c.beta2\n    v *= c.beta2\n",
            "    t *= 1 - 0.98\n    v *= 0.98\n",
        ),
        Plant("torch", "optimizers.py", "beta2=beta2,", "beta2=0.98,"),
        Plant(
            "tensorflow",
            "optimizers.py",
            "beta2=tf.constant(beta2, p.dtype)",
            "beta2=tf.constant(0.98, p.dtype)",
        ),
        Plant(
            "jax",
            "optimizers.py",
            'beta2 * slots["v"][k] + (1 - beta2) * g[k] * g[k]',
            '0.98 * slots["v"][k] + (1 - 0.98) * g[k] * g[k]',
        ),
    ),
    *mistake(
        "Adam: momentum adds whole gradients",
        "imdb_text:embedding",
        UPDATE,
        "momentum's meaning in torch.optim.SGD: m <- beta m + g",
        Plant(
            "numpy",
            "optimizers.py",
            "    xp.multiply(g, 1 - c.beta1, out=t)\n    m *= c.beta1\n    m += t\n",
            "    m *= c.beta1\n    m += g\n",
        ),
        Plant(
            "jax",
            "optimizers.py",
            'beta1 * slots["m"][k] + (1 - beta1) * g[k]',
            'beta1 * slots["m"][k] + g[k]',
        ),
    ),
)

SCHEDULES = (
    *mistake(
        "schedule: linear, off by one",
        "lstm",
        UPDATE,
        "schedulers that step before the first update",
        Plant(
            "numpy",
            "optimizers.py",
            "self._rates = rates.tolist(), epsilons.tolist()",
            f"rates = rates{NEXT.format('self._optimizer')}\n"
            "            self._rates = rates.tolist(), epsilons.tolist()",
        ),
        Plant("torch", "optimizers.py", ".rates(step, count)", ".rates(step + 1, count)"),
        Plant(
            "tensorflow",
            "optimizers.py",
            CORRECTED,
            f"{CORRECTED}\n        rate = rate{NEXT.format('self._optimizer')}",
        ),
        Plant(
            "jax",
            "optimizers.py",
            "rate, epsilon = optimizer.corrected(step, count)",
            "rate, epsilon = optimizer.corrected(step, count)\n"
            f"    rate = rate{NEXT.format('optimizer')}",
        ),
    ),
    *mistake(
        "schedule: cosine, off by one",
        "fewshot:triplet",
        UPDATE,
        "schedulers that step before the first update",
        Plant("torch", "optimizers.py", ".rates(step, count)", ".rates(step + 1, count)"),
        Plant(
            "tensorflow",
            "optimizers.py",
            CORRECTED,
            f"{CORRECTED}\n        rate = rate{NEXT.format('self._optimizer')}",
        ),
    ),
    *mistake(
        "schedule: warm-up, off by one",
        "transformer",
        UPDATE,
        "a warm-up that begins at 0",
        Plant(
            "torch",
            "optimizers.py",
            ".rates(step, count)",
            ".rates(step, count) * step / (step + 1)",  # one step to a chunk
        ),
        Plant(
            "jax",
            "optimizers.py",
            "rate, epsilon = optimizer.corrected(step, count)",
            "rate, epsilon = optimizer.corrected(step, count)\n"
            "    made = np.arange(step, step + count)\n"
            "    rate = rate * made / (made + 1)",
        ),
    ),
    *mistake(
        "schedule: once a chunk",
        "lstm",
        r"\bstep 3\b|\bupdate\b",  # the first update has its rate
        "a scheduler that is called once an epoch, or once a call",
        Plant(
            "torch",
            "optimizers.py",
            ".rates(step, count)",
            ".rates(step, 1).repeat(count)",
        ),
    ),
)

MUTANTS = (*RMSPROP, *ADAM, *SCHEDULES)
