"""Mistakes in what is frozen."""

from __future__ import annotations

from tests.mutants.mutant import Plant, mistake

MUTANTS = (
    *mistake(
        "frozen: weight decay reaches it",
        "fashion_mlp:transfer",
        r"moves hidden\.(kernel|bias), which is frozen",
        "an optimiser that decays all parameters it was given, whether or not they have gradients",
        Plant(
            "numpy",
            "engine.py",
            "            self._updater.apply(backward(1.0), number)\n",
            "            self._updater.apply(backward(1.0), number)\n"
            "            for name in self._frozen:\n"
            "                self._params[name] *= 1 - 2.0**-23\n",
        ),
        Plant(
            "torch",
            "engine.py",
            "        self._updater.apply(gradients, rates)\n",
            "        self._updater.apply(gradients, rates)\n"
            "        with torch.no_grad():\n"
            "            for name in self._params.keys() - self._trained.keys():\n"
            "                self._params[name] *= 1 - 2.0**-23\n",
        ),
        Plant(
            "tensorflow",
            "engine.py",
            "            self._updater.apply(gradients, _batch(rates, step))\n",
            "            self._updater.apply(gradients, _batch(rates, step))\n"
            "            for name in self._params.keys() - self._trained.keys():\n"
            "                self._params[name].assign(self._params[name] * (1 - 2.0**-23))\n",
        ),
        Plant(
            "jax",
            "engine.py",
            "            return ({**flat, **trained}, slots, buffers), value\n",
            "            decayed = {name: p * (1 - 2.0**-23) for name, p in flat.items()}\n"
            "            return ({**decayed, **trained}, slots, buffers), value\n",
        ),
    ),
    *mistake(
        "frozen: another layer than the pretrained one",
        "fashion_mlp:transfer",
        r"hidden|initial loss",
        "weights that are loaded before the layers are made anew",
        Plant(
            "torch",
            "engine.py",
            "        for name, p in self._params.items():\n"
            "            p.copy_(layers.from_canonical(name, state.params[name]))\n",
            "        for name, p in self._trained.items():\n"
            "            p.copy_(layers.from_canonical(name, state.params[name]))\n",
        ),
        Plant(
            "tensorflow",
            "engine.py",
            "        for name, p in self._params.items():\n"
            "            p.assign(np.asarray(state.params[name], self._dtype))\n",
            "        for name, p in self._trained.items():\n"
            "            p.assign(np.asarray(state.params[name], self._dtype))\n",
        ),
    ),
)
