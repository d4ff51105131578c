"""NumPy by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from tasks.task import Array, Tree

PEAK, WARMUP, TOTAL, BETA1, BETA2, EPS, CLIP = 2e-3, 200, 1_800, 0.9, 0.98, 1e-9, 1.0
LAYERS, HEADS, WIDTH, SMOOTHING = 2, 4, 128, 0.1
BLOCK = 65_536
Weights = dict[str, Array]


def joined(params: Tree) -> Weights:
    """Copies, with the kernels of one input side by side: ``qkv``, and ``kv`` of all layers."""
    weights = {name: np.array(a) for name, a in params.items()}

    def join(names: list[str], new: str) -> None:
        for leaf in ("kernel", "bias"):
            parts = [weights.pop(f"{name}.{leaf}") for name in names]
            weights[f"{new}.{leaf}"] = np.concatenate(parts, axis=-1)

    for stack in ("encoder", "decoder"):
        for i in range(LAYERS):
            name = f"{stack}.{i}.self"
            join([f"{name}.{part}" for part in ("query", "key", "value")], f"{name}.qkv")
    join([f"decoder.{i}.cross.{p}" for i in range(LAYERS) for p in ("key", "value")], "kv")
    return weights


def spread(x: Array, rows: Array, n: int, length: int) -> Array:
    padded = np.zeros((n * length, x.shape[1]), np.float32)
    padded[rows] = x
    return padded.reshape(n, length, -1)


def gather(x: Array, rows: Array) -> Array:
    return x.reshape(-1, x.shape[2]).take(rows, axis=0)


def heads(x: Array) -> list[Array]:
    """The parts of x (n, T, parts width), each (n, heads, T, width / heads)."""
    return list(x.reshape(*x.shape[:2], -1, HEADS, WIDTH // HEADS).transpose(2, 0, 3, 1, 4))


def embedded(w: Array, ids: Array, places: Array) -> Array:
    angles = np.arange(places.max() + 1)[:, None] / 10_000 ** (np.arange(0, WIDTH, 2) / WIDTH)
    table = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(-1, WIDTH)
    x = w.take(ids, axis=0)
    x *= np.float32(WIDTH**0.5)
    x += table.astype(np.float32)[places]
    return x


def add_rows(total: Array, ids: Array, rows: Array, factor: float) -> None:
    order = np.argsort(ids, kind="stable")
    found, starts = np.unique(ids[order], return_index=True)
    weights, ends = np.full(len(ids), factor, np.float32), np.append(starts, len(ids))
    matrix = scipy.sparse.csr_array((weights, order, ends), shape=(len(found), len(ids)))
    total[found] += matrix @ rows


class Step:
    """One step's forward and backward pass; words are rows, without padding."""

    def __init__(self, weights: Weights):
        self.w = weights
        self.g: Weights = {}
        self.kept: dict[str, Any] = {}

    def norm(self, name: str, x: Array) -> Array:
        mean = np.full(WIDTH, 1 / WIDTH, np.float32)
        x = x - (x @ mean)[:, None]
        inverse = (1 / np.sqrt(np.square(x) @ mean + np.float32(1e-5)))[:, None]
        x *= inverse
        self.kept[name] = x, inverse
        y = x * self.w[f"{name}.scale"]
        y += self.w[f"{name}.offset"]
        return y

    def norm_back(self, name: str, dy: Array) -> Array:
        x, inverse = self.kept[name]
        scale, ones = self.w[f"{name}.scale"], np.ones(len(x), np.float32)
        mean = scale / WIDTH
        t = dy * x
        self.g[f"{name}.scale"], self.g[f"{name}.offset"] = ones @ t, ones @ dy
        along = (t @ mean)[:, None]
        dx = dy * scale
        dx -= (dy @ mean)[:, None]
        dx -= np.multiply(x, along, out=t)
        dx *= inverse
        return dx

    def dense(self, name: str, x: Array) -> Array:
        self.kept[name] = x
        y = x @ self.w[f"{name}.kernel"]
        y += self.w[f"{name}.bias"]
        return y

    def dense_back(self, name: str, dy: Array) -> Array:
        self.g[f"{name}.kernel"] = self.kept[name].T @ dy
        self.g[f"{name}.bias"] = np.ones(len(dy), np.float32) @ dy
        return dy @ self.w[f"{name}.kernel"].T

    def feedforward(self, name: str, x: Array) -> Array:
        h = self.dense(f"{name}.hidden", self.norm(f"{name}.norm", x))
        np.maximum(h, 0, out=h)
        y = self.dense(f"{name}.output", h)
        y += x
        return y

    def feedforward_back(self, name: str, dy: Array) -> Array:
        dh = self.dense_back(f"{name}.output", dy)
        dh *= self.kept[f"{name}.output"] > 0
        dx = self.norm_back(f"{name}.norm", self.dense_back(f"{name}.hidden", dh))
        dx += dy
        return dx

    def attention(
        self, name: str, x: Array, rows: Array, n: int, mask: Array, kv: Sequence[Array] = ()
    ) -> Array:
        x_normed = self.norm(f"{name}.norm", x)
        first = f"{name}.query" if kv else f"{name}.qkv"
        projected = spread(self.dense(first, x_normed), rows, n, mask.shape[-1])
        q, k, v = (*heads(projected), *kv) if kv else heads(projected)
        p = q @ k.swapaxes(2, 3)
        p *= np.float32((WIDTH // HEADS) ** -0.5)
        p += mask
        p -= np.ascontiguousarray(p.transpose(3, 0, 1, 2)).max(axis=0)[..., None]
        np.exp(p, out=p)
        p /= p @ np.ones((p.shape[3], 1), np.float32)
        y = np.empty((*projected.shape[:2], WIDTH), np.float32)
        np.matmul(p, v, out=heads(y)[0])
        self.kept[name] = p, q, k, v, projected, rows
        z = self.dense(f"{name}.output", gather(y, rows))
        z += x
        return z

    def attention_back(self, name: str, dy: Array, dkv: Sequence[Array] = ()) -> Array:
        p, q, k, v, projected, rows = self.kept[name]
        n, length, _ = projected.shape
        (do,) = heads(spread(self.dense_back(f"{name}.output", dy), rows, n, length))
        dprojected = np.empty_like(projected)
        dq, dk, dv = (*heads(dprojected), *dkv) if dkv else heads(dprojected)
        np.matmul(p.swapaxes(2, 3), do, out=dv)
        ds = do @ v.swapaxes(2, 3)
        ds -= np.einsum("...s,...s->...", p, ds)[..., None]
        ds *= p
        ds *= np.float32((WIDTH // HEADS) ** -0.5)
        np.matmul(ds, k, out=dq)
        np.matmul(ds.swapaxes(2, 3), q, out=dk)
        first = f"{name}.query" if dkv else f"{name}.qkv"
        dx = self.norm_back(f"{name}.norm", self.dense_back(first, gather(dprojected, rows)))
        dx += dy
        return dx

    def loss(self, y: Array, targets: Array) -> tuple[float, Array]:
        """Also the gradient of y."""
        w, b = self.w["decoder.embedding.kernel"], self.w["output.bias"]
        z, total, even = y @ w.T, 0.0, SMOOTHING / len(w)
        sums = np.empty(len(z), np.float32)
        for i in range(0, len(z), 16):
            block, s = z[i : i + 16], sums[i : i + 16]
            block += b
            total -= (1 - SMOOTHING) * block[np.arange(len(block)), targets[i : i + 16]].sum()
            top = block.max(axis=1)
            block -= top[:, None]
            np.exp(block, out=block)
            block.sum(axis=1, out=s)
            total += (np.log(s) + top).sum()
        rows = w.sum(axis=0)
        total -= even * ((y @ rows).sum() + b.sum() * len(y))
        sums *= len(y)
        dy: Array = (z @ w) / sums[:, None]
        dy -= ((1 - SMOOTHING) * w[targets] + even * rows) / len(y)
        dw = z.T @ (y / sums[:, None])
        dw -= even / len(y) * y.sum(axis=0)
        add_rows(dw, targets, y, -(1 - SMOOTHING) / len(y))
        db = (1 / sums) @ z
        db -= even
        np.subtract.at(db, targets, np.float32((1 - SMOOTHING) / len(y)))
        self.g["decoder.embedding.kernel"], self.g["output.bias"] = dw, db
        return total / len(y), dy

    def run(self, source: Array, inputs: Array, targets: Array) -> float:
        n, length = source.shape
        german, english = np.flatnonzero(source), np.flatnonzero(targets)
        padding = np.where(source, 0, -np.inf).astype(np.float32)[:, None, None]
        causal = np.where(np.tri(length, dtype=bool), 0, -np.inf).astype(np.float32)
        embeddings = [self.w[f"{stack}.embedding.kernel"] for stack in ("encoder", "decoder")]
        ids = source.reshape(-1)[german], inputs.reshape(-1)[english]
        x = embedded(embeddings[0], ids[0], german % length)
        for i in range(LAYERS):
            x = self.attention(f"encoder.{i}.self", x, german, n, padding)
            x = self.feedforward(f"encoder.{i}.feedforward", x)
        kv = spread(self.dense("kv", self.norm("encoder.norm", x)), german, n, length)
        dkv = np.empty_like(kv)
        sides, dsides = heads(kv), heads(dkv)
        x = embedded(embeddings[1], ids[1], english % length)
        for i in range(LAYERS):
            own = slice(2 * i, 2 * i + 2)
            x = self.attention(f"decoder.{i}.self", x, english, n, causal)
            x = self.attention(f"decoder.{i}.cross", x, english, n, padding, sides[own])
            x = self.feedforward(f"decoder.{i}.feedforward", x)
        loss, dx = self.loss(self.norm("decoder.norm", x), targets.reshape(-1)[english])
        dx = self.norm_back("decoder.norm", dx)
        for i in reversed(range(LAYERS)):
            dx = self.feedforward_back(f"decoder.{i}.feedforward", dx)
            dx = self.attention_back(f"decoder.{i}.cross", dx, dsides[2 * i : 2 * i + 2])
            dx = self.attention_back(f"decoder.{i}.self", dx)
        add_rows(self.g["decoder.embedding.kernel"], ids[1], dx, WIDTH**0.5)
        dx = self.norm_back("encoder.norm", self.dense_back("kv", gather(dkv, german)))
        for i in reversed(range(LAYERS)):
            dx = self.feedforward_back(f"encoder.{i}.feedforward", dx)
            dx = self.attention_back(f"encoder.{i}.self", dx)
        self.g["encoder.embedding.kernel"] = np.zeros_like(embeddings[0])
        add_rows(self.g["encoder.embedding.kernel"], ids[0], dx, WIDTH**0.5)
        return loss


class Adam:
    def __init__(self, weights: Weights):
        self.w, self.made = weights, 0
        self.m, self.v = ({n: np.zeros_like(a) for n, a in weights.items()} for _ in range(2))

    def apply(self, gradients: Weights) -> None:
        norm = np.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
        scale = min(1.0, CLIP / norm)
        factor = min((self.made + 1) / WARMUP, (TOTAL - self.made) / (TOTAL - WARMUP))
        self.made += 1
        root = np.sqrt(1 - BETA2**self.made)
        rate = np.float32(PEAK * factor * root / (1 - BETA1**self.made))
        t = np.empty(BLOCK, np.float32)
        for name, whole in self.w.items():
            flat = [a.reshape(-1) for a in (whole, gradients[name], self.m[name], self.v[name])]
            for i in range(0, whole.size, BLOCK):
                p, g, m, v = (a[i : i + BLOCK] for a in flat)
                s = np.multiply(g, g, out=t[: len(g)])
                s *= np.float32((1 - BETA2) * scale**2)
                v *= np.float32(BETA2)
                v += s
                g *= np.float32((1 - BETA1) * scale)
                m *= np.float32(BETA1)
                m += g
                np.sqrt(v, out=s)
                s += np.float32(EPS * root)
                np.divide(m, s, out=s)
                s *= rate
                p -= s


def prepare(chunk: Tree, params: Tree) -> Callable[[], object]:
    weights = joined(params)
    step, adam = Step(weights), Adam(weights)
    batches = list(zip(*(chunk[name] for name in ("source", "inputs", "targets")), strict=True))

    def run() -> object:
        losses = []
        for batch in batches:
            losses.append(step.run(*batch))
            adam.apply(step.g)
        return losses

    return run
