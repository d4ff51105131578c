"""Mistakes in the engines: what a program does around its model."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

SKIPS = {
    "numpy": (
        "            losses[number], self._buffers, backward = self.loss(\n",
        """\
            if {when}number % 2:
                losses[number] = losses[number - 1]
                self._step += 1
                continue
            losses[number], self._buffers, backward = self.loss(
""",
    ),
    "torch": (
        "            self._seed_dropout()\n            losses.append(self._step_of(batch, rate))\n",
        """\
            if {when}len(losses) % 2:
                losses.append(losses[-1])
                self._step += 1
                continue
            self._seed_dropout()
            losses.append(self._step_of(batch, rate))
""",
    ),
    "tensorflow": (
        "        losses: Array = self._train(placed, first, rates).numpy()\n",
        """\
        every = 2 if {when}True else 1
        few, fewer = ({{n: t[::every] for n, t in tree.items()}} for tree in (placed, rates))
        losses: Array = self._train(few, first, fewer).numpy()
        losses = np.repeat(losses, every)[: _steps(placed)]
""",
    ),
    "jax": (
        """\
        result = self._train(carry, placed, numbers, rates)
        (self._params, self._slots, self._buffers), losses = jax.block_until_ready(result)
        self._step += count
        return np.asarray(losses)
""",
        """\
        every = 2 if {when}True else 1
        few = {{name: a[::every] for name, a in placed.items()}}
        fewer = {{name: a[::every] for name, a in rates.items()}}
        result = self._train(carry, few, numbers[::every], fewer)
        (self._params, self._slots, self._buffers), losses = jax.block_until_ready(result)
        self._step += count
        return np.repeat(np.asarray(losses), every)[:count]
""",
    ),
}
"""In each backend the right text, and one that skips every second step ``when`` it does so."""
TIMED = {  # a program that is to be timed has a seed
    "numpy": "self._seed is not None and ",
    "torch": "self._seed is not None and ",
    "tensorflow": "self._seed is not None and ",
}

SKIPPING = (
    *mistake(
        "train: every second step is skipped, its loss repeated",
        "fashion_mlp",
        r"\bstep 2\b",
        "work that is not done is fast",
        *(
            Plant(backend, "engine.py", right, wrong.format(when=""))
            for backend, (right, wrong) in SKIPS.items()
        ),
    ),
    *mistake(
        "train: every second step is skipped where it is timed",
        "fashion_mlp",
        r"\bstep 2\b|\btimed\b",
        "a path that the proof does not take",
        *(
            Plant(backend, "engine.py", SKIPS[backend][0], SKIPS[backend][1].format(when=when))
            for backend, when in TIMED.items()
        ),
        command="run",
    ),
    *mistake(
        "train: every second update is skipped where it is timed",
        "fashion_mlp",
        r"\bstep 3\b|\btimed\b",
        "a path that the proof does not take",
        Plant(
            "jax",
            "engine.py",
            """\
            trained, slots = update(task.optimizer, trained, _flat(gradients), slots, rates)
            return ({**flat, **trained}, slots, buffers), value
""",
            """\
            made = update(task.optimizer, trained, _flat(gradients), slots, rates)
            skipped = (number % 2 == 1) & (seed is not None)
            trained, slots = jax.tree.map(
                lambda old, new: jnp.where(skipped, old, new), (trained, slots), made
            )
            return ({**flat, **trained}, slots, buffers), value
""",
        ),
        command="run",
    ),
)

RESTORING = (
    *mistake(
        "restore: the optimiser's memory stays",
        "autoencoder:plain",
        r"\bstep [12]\b|\btimed\b",
        "a warm-up that is not taken back",
        Plant(
            "torch",
            "engine.py",
            """\
        for i, name in enumerate(self._trained):
            for slot, tensors in self._updater.slots.items():
                tensors[i].copy_(layers.from_canonical(name, state.slots[slot][name]))
""",
            "",
        ),
        Plant(
            "tensorflow",
            "engine.py",
            """\
        for i, name in enumerate(self._trained):
            for slot, variables in self._updater.slots.items():
                variables[i].assign(np.asarray(state.slots[slot][name], self._dtype))
""",
            "",
        ),
        command="run",
    ),
    *mistake(
        "restore: the step stays",
        "autoencoder:plain",
        r"\bstep [12]\b|\btimed\b",
        "a warm-up that is not taken back",
        Plant(
            "jax",
            "engine.py",
            "self._step = state.step",
            'self._step = getattr(self, "_step", state.step)',
        ),
        command="run",
    ),
)

STATISTICS = (
    *mistake(
        "gradients: they move the running statistics",
        "imdb_text:bow_batchnorm",
        r"norm\.(mean|variance)",
        "layers whose buffers change in every forward pass",
        Plant(
            "torch",
            "engine.py",
            """\
        with self._buffers_kept():
            loss, gradients = self._gradients(placed[0])
""",
            "        loss, gradients = self._gradients(placed[0])\n",
        ),
        Plant(
            "tensorflow",
            "engine.py",
            """\
        with self._buffers_kept():
            value, gradients = self._gradients(_batch(placed, 0), step)
""",
            "        value, gradients = self._gradients(_batch(placed, 0), step)\n",
        ),
    ),
    *mistake(
        "predict: in training mode",
        "imdb_text:bow_batchnorm",
        r"logits|norm\.(mean|variance)",
        "eval() forgotten",
        Plant("torch", "engine.py", "self._model.eval()", "self._model.train()"),
        Plant(
            "tensorflow",
            "imdb_text.py",
            "model(batch, training=False)",
            "model(batch, training=True)",
        ),
        Plant("jax", "imdb_text.py", "batch, None, training=False)", "batch, None, training=True)"),
    ),
    *mistake(
        "predict: by the batch's statistics",
        "imdb_text:bow_batchnorm",
        r"logits",
        "track_running_stats=False",
        Plant(
            "torch",
            "text.py",
            "            return super().forward(x)\n",
            "            return F.batch_norm(\n"
            "                x, None, None, self.weight, self.bias, True, eps=self.eps\n"
            "            )\n",
        ),
    ),
)

MUTANTS = (*SKIPPING, *RESTORING, *STATISTICS)
