"""Mistakes in gates, biases and the state that is carried from step to step."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

LAYER = r"lstm\.(kernel|recurrent|bias)"
CARRY = r"carry\.(hidden|cell)|\bstep 2\b"

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
            "nn.init.zeros_(self.bias_hh_l0).requires_grad_(False)",
            "self.bias_hh_l0 = self.bias_ih_l0",
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
            "nn.init.zeros_(self.bias_hh_l0).requires_grad_(False)",
            "self.bias_hh_l0.requires_grad_(False)",
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
            'batch["targets"].T.flatten().long(), reduction="sum") / len(h)',
        ),
    ),
)

STATE = (
    *mistake(
        "state: not carried",
        "lstm",
        CARRY,
        "a recurrent layer that is not stateful",
        Plant(
            "numpy",
            "lstm.py",
            'return value, {"carry.hidden": states[-1], "carry.cell": c}, backward',
            "return value, buffers, backward",
        ),
        Plant(
            "torch",
            "lstm.py",
            "    carry.hidden.copy_(h.detach())\n    carry.cell.copy_(c.detach())\n",
            "",
        ),
        Plant(
            "tensorflow",
            "lstm.py",
            "    carry.hidden.value.assign(states[-carry.hidden.shape[0] :])\n"
            "    carry.cell.value.assign(cell)\n",
            "",
        ),
        Plant(
            "jax",
            "lstm.py",
            'return losses.mean(), {"carry.hidden": states[-1], "carry.cell": c}',
            "return losses.mean(), buffers",
        ),
    ),
    *mistake(
        "state: the cell is not carried",
        "lstm",
        CARRY,
        "an LSTM treated as a plain recurrent network",
        Plant("jax", "lstm.py", '"carry.cell": c}', '"carry.cell": 0 * c}'),
        Plant("torch", "lstm.py", "carry.cell.copy_(c.detach())", "carry.cell.zero_()"),
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
            "    carry.hidden.copy_(h.detach())\n    carry.cell.copy_(c.detach())\n",
            "    carry.hidden.copy_(h)\n    carry.cell.copy_(c)\n",
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
        Plant("jax", "lstm.py", '"carry.hidden": states[-1]', '"carry.hidden": states[0]'),
    ),
    *mistake(
        "predict: from the training's state",
        "lstm",
        r"\b(nats|logits|hidden|cell)\b",
        "a stateful layer that is evaluated",
        Plant(
            "torch",
            "lstm.py",
            'h, c, nats = batch["hidden"], batch["cell"], []',
            'h, c, nats = model.get_buffer("carry.hidden"), model.get_buffer("carry.cell"), []',
        ),
        Plant(
            "jax",
            "lstm.py",
            'start = (batch["hidden"], batch["cell"],',
            'start = (buffers["carry.hidden"], buffers["carry.cell"],',
        ),
        Plant(
            "tensorflow",
            "lstm.py",
            'tf.TensorArray(table.dtype, steps), batch["hidden"], batch["cell"])',
            "tf.TensorArray(table.dtype, steps), model.carry.hidden.value, model.carry.cell.value)",
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
            '"embedding.kernel": dtable @ params["lstm.kernel"].T,',
            '"embedding.kernel": 0 * dtable @ params["lstm.kernel"].T,',
        ),
    ),
)

MUTANTS = (*GATES, *STATE, *GRADIENTS)
