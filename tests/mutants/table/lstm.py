"""Mistakes in gates, biases and the state that is carried from step to step."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

LAYER = r"lstm\.(kernel|recurrent|bias)|begins at lstm\b"
CARRY = r"carry\.(hidden|cell)|\bstep 2\b"
HELD = "nn.init.zeros_(self.bias_hh_l0).requires_grad_(False)"
OF_LSTM = "super().__init__(inputs, hidden)\n        "
OF_RNN = 'super().__init__(inputs, hidden, nonlinearity="tanh")\n        '
CARRIED = "    for name, part in carry.items():\n        part.copy_(state[name].detach())\n"
OWN_STATE = '{name: batch[name] for name in ("hidden", "cell") if name in batch}'
STATE_OF_NUMPY = 'return value, {f"{CARRY}{name}": part for name, part in state.items()}, backward'

GATES = (
    *mistake(
        "gates: another order",
        "lstm",
        LAYER,
        "i, g, f, o of Haiku and of TensorFlow 1; i, o, f, g of ONNX",
        Plant("jax", "recurrent.py", "i, f, g, o = jnp.split", "i, g, f, o = jnp.split"),
        Plant("tensorflow", "recurrent.py", "i, f, g, o = tf.split", "i, g, f, o = tf.split"),
        # the candidate stays where it is: forward and backward agree
        Plant("numpy", "recurrent.py", "i, f, g, o = a.reshape", "i, o, g, f = a.reshape"),
    ),
    *mistake(
        "gates: 1 more in the forget gate",
        "lstm",
        LAYER,
        "forget_bias of TensorFlow 1 and Haiku, added at run time",
        Plant("jax", "recurrent.py", "jax.nn.sigmoid(f)", "jax.nn.sigmoid(f + 1)"),
        Plant("tensorflow", "recurrent.py", "tf.sigmoid(f)", "tf.sigmoid(f + 1)"),
    ),
    *mistake(
        "gates: the candidate's is a sigmoid",
        "lstm",
        LAYER,
        "one activation for all four",
        Plant("jax", "recurrent.py", "jnp.tanh(g), jax", "jax.nn.sigmoid(g), jax"),
    ),
    *mistake(
        "gates: no tanh on the cell",
        "lstm",
        LAYER,
        "Gers et al. 2000 leave it out too",
        Plant("jax", "recurrent.py", "return o * jnp.tanh(c), c", "return o * c, c"),
        Plant("tensorflow", "recurrent.py", "return o * tanh_c, c", "return o * c, c"),
    ),
    *mistake(
        "bias: two of them",
        "lstm",
        r"lstm\.bias",
        "nn.LSTM adds bias_ih and bias_hh",
        Plant(
            "torch",
            "recurrent.py",
            f"{OF_LSTM}{HELD}",
            f"{OF_LSTM}self.bias_hh_l0 = self.bias_ih_l0",
        ),
    ),
    *mistake(
        "bias: the second one as torch draws it",
        "lstm",
        r"lstm\.bias|initial loss",
        "nn.LSTM draws both at random",
        Plant(
            "torch",
            "recurrent.py",
            f"{OF_LSTM}{HELD}",
            f"{OF_LSTM}self.bias_hh_l0.requires_grad_(False)",
        ),
    ),
    *mistake(
        "cross-entropy: sum over the characters",
        "lstm",
        r"initial loss",
        "mean over the batch alone",
        Plant("jax", "lstm.py", "return losses.mean(),", "return losses.sum() / len(h),"),
        Plant(
            "torch",
            "lstm.py",
            'batch["targets"].T.flatten().long())',
            'batch["targets"].T.flatten().long(), reduction="sum") / len(batch["inputs"])',
        ),
    ),
)

STATE = (
    *mistake(
        "state: not carried",
        "lstm",
        CARRY,
        "a recurrent layer that is not stateful",
        Plant("numpy", "lstm.py", STATE_OF_NUMPY, "return value, buffers, backward"),
        Plant("torch", "lstm.py", CARRIED, ""),
        Plant(
            "tensorflow",
            "lstm.py",
            "        carry.cell.value.assign(cell)\n"
            "    carry.hidden.value.assign(states[-carry.hidden.shape[0] :])\n",
            "",
        ),
        Plant("jax", "lstm.py", "return losses.mean(), after", "return losses.mean(), buffers"),
    ),
    *mistake(
        "state: the cell is not carried",
        "lstm",
        CARRY,
        "an LSTM treated as a plain recurrent network",
        Plant("jax", "lstm.py", '"carry.cell": c}', '"carry.cell": 0 * c}'),
        Plant(
            "torch",
            "lstm.py",
            "part.copy_(state[name].detach())",
            'part.copy_(state[name].detach() * (name != "cell"))',
        ),
    ),
    *mistake(
        "state: not reset",
        "lstm",
        r"\bstep \d+\b|carry\.",
        "reset_states() forgotten between epochs",
        *(
            Plant(backend, "lstm.py", '1 - batch["reset"]', '1 - 0 * batch["reset"]')
            for backend in ("numpy", "torch", "tensorflow", "jax")
        ),
    ),
    *mistake(
        "state: reset in every step",
        "lstm",
        CARRY,
        "a mask with the wrong meaning",
        *(
            Plant(backend, "lstm.py", '1 - batch["reset"]', '0 * batch["reset"]')
            for backend in ("torch", "tensorflow")
        ),
    ),
    *mistake(
        "state: not detached",
        "lstm",
        r"backward through the graph",
        "detach() forgotten",
        Plant(
            "torch",
            "lstm.py",
            "part.copy_(state[name].detach())",
            "part.copy_(state[name])",
            crashes=True,
        ),
    ),
    *mistake(
        "state: that after the first character is carried",
        "lstm",
        CARRY,
        "a slice of the wrong end",
        Plant(
            "tensorflow",
            "lstm.py",
            "assign(states[-carry.hidden.shape[0] :])",
            "assign(states[: carry.hidden.shape[0]])",
        ),
        Plant("jax", "lstm.py", 'states[-1], "carry.cell"', 'states[0], "carry.cell"'),
    ),
    *mistake(
        "predict: from the training's state",
        "lstm",
        r"\b(nats|logits|hidden|cell)\b",
        "a stateful layer that is evaluated",
        Plant(
            "torch",
            "lstm.py",
            f"state, nats = {OWN_STATE}, []",
            'state, nats = dict(model.get_submodule("carry").named_buffers()), []',
            crashes=True,  # the rows of evaluation are not those of training
        ),
        Plant(
            "jax",
            "lstm.py",
            f"state = {OWN_STATE}",
            "state = {name[6:]: part for name, part in buffers.items()}",
            crashes=True,  # the rows of evaluation are not those of training
        ),
        Plant(
            "tensorflow",
            "lstm.py",
            "*(batch[name] for name in names))",
            "*(getattr(model.carry, name).value for name in names))",
            crashes=True,
        ),
    ),
)

GRADIENTS = (
    *mistake(
        "gradient: not from step to step",
        "lstm",
        r"lstm\.|embedding\.kernel",
        "truncated after one character",
        Plant("numpy", "recurrent.py", "xp.matmul(da[t], wt, out=dh_t)", "dh_t[:] = 0"),
        Plant("jax", "recurrent.py", "return (da @ wt, dc * f), da", "return (0 * dh, dc * f), da"),
        Plant(
            "tensorflow",
            "recurrent.py",
            "        dh = tf.matmul(da, w, transpose_b=True)\n    return",
            "    return",
        ),
    ),
    *mistake(
        "gradient: not along the cell",
        "lstm",
        r"lstm\.|embedding\.kernel",
        "the constant error carousel cut",
        Plant("numpy", "recurrent.py", "        dc *= f\n", "        dc *= 0\n"),
        Plant("tensorflow", "recurrent.py", "    return da, dc * f\n", "    return da, dc * 0\n"),
    ),
    *mistake(
        "gradient: not of the embedding",
        "lstm",
        r"embedding\.kernel",
        "characters as one-hot inputs",
        Plant(
            "numpy",
            "lstm.py",
            '"embedding.kernel": dtable @ params',
            '"embedding.kernel": 0 * dtable @ params',
        ),
    ),
)

PLAIN = (
    *mistake(
        "recurrence: another activation",
        "lstm:rnn",
        r"rnn\.(kernel|recurrent|bias)|initial loss",
        "the logistic function of Elman 1990, nonlinearity='relu' of nn.RNN",
        Plant(
            "numpy",
            "recurrent.py",
            "        xp.tanh(a, out=a)\n    return",
            "        xp.divide(1, 1 + xp.exp(-a), out=a)\n    return",
        ),
        Plant("torch", "recurrent.py", 'nonlinearity="tanh"', 'nonlinearity="relu"'),
        Plant("tensorflow", "rnn.py", "return tf.tanh(x", "return tf.sigmoid(x"),
        Plant("jax", "recurrent.py", "return jnp.tanh(x + h @ w)", "return jax.nn.relu(x + h @ w)"),
    ),
    *mistake(
        "bias: two of them",
        "lstm:rnn",
        r"rnn\.bias",
        "nn.RNN adds bias_ih and bias_hh",
        Plant(
            "torch",
            "recurrent.py",
            f"{OF_RNN}{HELD}",
            f"{OF_RNN}self.bias_hh_l0 = self.bias_ih_l0",
        ),
    ),
    *mistake(
        "state: not carried",
        "lstm:rnn",
        CARRY,
        "a recurrent layer that is not stateful",
        Plant("numpy", "lstm.py", STATE_OF_NUMPY, "return value, buffers, backward"),
        Plant("torch", "lstm.py", CARRIED, ""),
        Plant(
            "tensorflow",
            "lstm.py",
            "    carry.hidden.value.assign(states[-carry.hidden.shape[0] :])\n",
            "",
        ),
        Plant("jax", "lstm.py", 'after = {"carry.hidden": states[-1]}', "after = buffers"),
    ),
    *mistake(
        "gradient: not from step to step",
        "lstm:rnn",
        r"rnn\.|embedding\.kernel",
        "truncated after one character",
        Plant("numpy", "recurrent.py", "xp.matmul(da[t + 1], wt, out=total)", "total[:] = 0"),
        Plant("jax", "recurrent.py", "return da @ wt, da", "return 0 * dh, da"),
        Plant(
            "tensorflow",
            "rnn.py",
            "dh += tf.matmul(da[-1], w, transpose_b=True)",
            "dh += 0",
        ),
    ),
    *mistake(
        "gradient: the slope of tanh is of what comes before it",
        "lstm:rnn",
        r"rnn\.|embedding\.kernel",
        "1 - x^2 for 1 - tanh(x)^2",
        Plant("numpy", "recurrent.py", "da = h[1:] * h[1:]", "da = xp.arctanh(h[1:]) ** 2"),
    ),
)

MUTANTS = (*GATES, *STATE, *GRADIENTS, *PLAIN)
