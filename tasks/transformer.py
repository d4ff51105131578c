"""German to English: an encoder-decoder transformer on Multi30k, 2 + 2 layers, width 128.

Cross-entropy with label smoothing over the real words, Adam with warm-up and a clipped norm,
sentences in buckets of similar length; 2,695,946 parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tasks import operations, scaling, sentences, translation
from tasks.datasets import multi30k
from tasks.datasets.multi30k import BOS, EOS, PAD, UNKNOWN
from tasks.encoder_decoder import dropout_layers, parameters
from tasks.optimizers import Adam, Linear
from tasks.task import (
    Array,
    Chunk,
    DataSource,
    Dropout,
    Envelope,
    Heatmap,
    Precision,
    Predict,
    State,
    Target,
    Task,
    Tree,
    rounded_products,
)

STEPS_PER_EPOCH = 450
LIKELIEST = 8.0
"""Added to a word's logit, it makes the word the likeliest in a model that is not trained."""
SHOWN = 3
"""How many sentences of the test are shown with their translations."""


def _optimizer(total: int, warmup: int, rate: float = 2e-3) -> Adam:
    schedule = Linear(total, warmup)
    return Adam(rate, beta1=0.9, beta2=0.98, epsilon=1e-9, schedule=schedule, clip=1.0)


OPTIMIZER = _optimizer(4 * STEPS_PER_EPOCH, warmup=200)


@dataclass(frozen=True)
class TransformerConfig:
    """Every constant of the task. ``chunk_steps`` divides ``epoch_steps``; it is 1, since ten
    steps in a row with sentences of one length cost .03 nats.

    ``buckets`` are the lengths that sentences are padded to, end mark included: a pair goes into
    the smallest that both fit into, and what is too long for the last one is cut there. A
    translation has at most ``decode_extra`` words more than its source, and ``decode_limit``. With
    ``beam`` 1 it is decoded greedily; else by beam search of that width, see ``translation``.
    ``sentence`` is the German one whose translation and attention are shown; the first of the test
    if empty.
    """

    width: int = 128
    layers: int = 2
    heads: int = 4
    hidden: int = 512
    norm_epsilon: float = 1e-5
    dropout: float = 0.0
    label_smoothing: float = 0.1
    optimizer: Adam = OPTIMIZER
    batch: int = 64
    buckets: tuple[int, ...] = (12, 16, 20, 26, 40)
    epoch_steps: int = STEPS_PER_EPOCH
    chunk_steps: int = 1
    epochs: int = 4
    validation_pairs: int = 1_014
    test_pairs: int = 1_000
    decode_batch: int = 125
    decode_extra: int = 10
    decode_limit: int = 50
    beam: int = 1
    length_penalty: float = 0.6
    sentence: str = ""

    def scaled(self, factor: int) -> TransformerConfig:
        steps = self.epoch_steps // factor
        epoch_steps, chunk_steps = scaling.fewer_steps(steps, self.chunk_steps)
        batch = factor * self.batch
        return replace(self, batch=batch, epoch_steps=epoch_steps, chunk_steps=chunk_steps)


PROFILES = {
    "smoke": TransformerConfig(
        optimizer=_optimizer(2 * 8, warmup=4),
        batch=16,
        buckets=(12, 20),
        epoch_steps=8,
        chunk_steps=2,
        epochs=2,
        validation_pairs=64,
        test_pairs=50,
        decode_batch=25,
    ),
    "quick": TransformerConfig(optimizer=_optimizer(250, warmup=50), epoch_steps=250, epochs=1),
    "full": TransformerConfig(),
}
# BLEU of three seeds spreads by .1, with dropout of two by .2: too few to tell .1 from .2
MARGIN = 0.2
# that of Vaswani et al. 2017, table 3, "base"; it was not calibrated, and has no target
BASE: Mapping[str, Any] = {"width": 512, "layers": 6, "heads": 8, "hidden": 2048}
TARGETS: Mapping[str | None, tuple[Target, ...]] = {
    None: (Target("bleu", low=33.5), Target("val_nats", high=1.92)),
    "dropout": (Target("bleu", low=31.5), Target("val_nats", high=1.93)),
    "base": (),
}


BASE_PAIRS = 4
"""Pairs of a batch of ``base`` on which backends are compared: more would take NumPy minutes."""
# measured over five steps, float64 and float32: loss 4e-16 and 3e-7, first gradient 7e-15 and 4e-6,
# state 3e-12 and 3e-2
BASE_ENVELOPES: Mapping[Precision, Envelope] = {
    "float64": Envelope(steps=5, loss=1e-12, gradient=1e-11, state=1e-9),
    "float32": Envelope(steps=5, loss=3e-6, gradient=3e-5, state=3e-1),
    **rounded_products(loss=1.5e-2, gradient=2.7e-1),
}
VERIFICATION_SEEDS: Mapping[DataSource, int] = {"real": 4, "generated": 8}


class Transformer(Task):
    """Numbers of words: 0 is padding, 1 begins a sentence, 2 ends it, 3 is any unknown word.

    Training chunks are ``source``, ``inputs`` and ``targets`` (steps, batch, length), the length
    that of a bucket: German words and the end mark; the begin mark and the English words; the
    English words and the end mark. All are padded with 0 behind.

    What a model computes of other batches is told by their keys:

    - ``source``, ``inputs``, ``targets``: ``nats`` (n, T), the cross-entropy of every target
      without label smoothing, 0 where the target is padding.
    - ``source``, ``inputs``: ``logits`` (n, T, English words), the encoder's output ``memory``
      (n, S, width), and the attention weights ``attention.encoder`` (n, layers, heads, S, S),
      ``attention.decoder`` (n, layers, heads, T, T), ``attention.cross`` (n, layers, heads, T, S).
    - ``source`` (n, S): greedy decoding, ``tokens`` (n, min(S - 1 + decode_extra, decode_limit)):
      the most probable word after word, padding, begin and unknown excepted, up to and with the
      end mark, 0 from there; at most decode_extra more than the source has words.
    - ``source``, ``memory``, ``last`` (n,), ``place`` (), ``keys`` and ``values`` (n, layers,
      decode_limit, width): one step of decoding, from the words ``last`` at position ``place`` and
      the decoder's keys and values of the positions before: the ``logits`` (n, English words) that
      follow, and ``keys`` and ``values`` with those of ``place``.
    """

    name = "transformer"
    config: TransformerConfig
    unit = "target tokens/s"
    margin = MARGIN
    validation = "val_nats"
    # In float32 a ReLU whose input is near 0 may flip by rounding: with some seeds it does in the
    # first step, with others later, and then moves Adam's memory of a hidden bias by a third.
    # Measured, float64 and float32: first gradient 3e-15 and 1.4e-6, loss 4e-16 and 3e-6 (1.1e-5
    # over five other seeds), state 2e-12 and 5e-2, outputs 3e-15 and 4e-4.
    envelopes: Mapping[Precision, Envelope] = {
        "float64": Envelope(steps=20, loss=1e-12, gradient=1e-11, state=1e-9),
        "float32": Envelope(
            *(20, ((10, 1e-5), (20, 3e-5))), gradient=1e-5, state=1.5e-1, prediction=5e-3
        ),
        **rounded_products(loss=1.5e-2, gradient=6e-2),
    }

    def __init__(
        self,
        config: TransformerConfig,
        profile: str,
        variant: str | None,
        data: multi30k.Multi30k,
    ):
        self.config = config
        self.profile = profile
        self.variant = variant
        self.optimizer = config.optimizer
        self.provenance = data.provenance
        self.targets = TARGETS[variant]
        self.verification_seed = VERIFICATION_SEEDS[data.provenance.source]
        self.signatures = {"bleu": translation.bleu_signature()}
        self.params = dict(parameters(config, *map(len, data.vocabularies)))
        self._data = data
        if variant == "base":
            self.envelopes = BASE_ENVELOPES

    def chunks(self, split: str, seed: int = 0, epoch: int = 0) -> Iterator[Chunk]:
        if split == "train":
            yield from self._train_chunks(seed, epoch)
        else:
            yield from self._validation_chunks()
            if self.config.beam == 1:
                yield from self.decoding_chunks()

    def _train_chunks(self, seed: int, epoch: int) -> Iterator[Chunk]:
        config, rng = self.config, np.random.default_rng([seed, epoch])
        german, english = self._data.german["train"], self._data.english["train"]
        chosen = rng.permutation(len(german))[: config.epoch_steps * config.batch]
        lengths = sentences.lengths(german[chosen], english[chosen])
        size = config.chunk_steps * config.batch
        for places, bucket in sentences.permuted(rng, lengths, size, config.buckets):
            rows = chosen[places]
            shape = (config.chunk_steps, config.batch, bucket)
            chunk = sentences.pairs(german[rows], english[rows], bucket)
            yield {name: a.reshape(shape) for name, a in chunk.items()}

    def _validation_chunks(self) -> Iterator[Chunk]:
        """Batches of similar length; the last one is filled up with pairs without a target."""
        batch, pairs = self.config.batch, self.config.validation_pairs
        german, english = self._data.german["val"][:pairs], self._data.english["val"][:pairs]
        lengths = sentences.lengths(german, english)
        for rows, bucket in sentences.from_short_to_long(lengths, batch, self.config.buckets):
            chunk = sentences.pairs(german[rows], english[rows], bucket)
            yield {n: sentences.filled(a, batch, n != "targets") for n, a in chunk.items()}

    def decoding_chunks(self) -> Iterator[Chunk]:
        """The test sentences in batches of similar length, ``source`` (1, decode_batch, S)."""
        german, batch = self._data.german["test"], self.config.decode_batch
        for rows, bucket in self._test_batches():
            source = sentences.ended(german[rows], bucket)
            yield {"source": sentences.filled(source, batch, True)}

    def _test_batches(self) -> Iterator[tuple[Array, int]]:
        """Rows of the test split and the bucket of each batch of them."""
        lengths = sentences.lengths(self._data.german["test"][: self.config.test_pairs])
        batch, buckets = self.config.decode_batch, self.config.buckets
        return sentences.from_short_to_long(lengths, batch, buckets)

    def verification_chunks(self, seed: int) -> Iterator[Chunk]:
        """Chunks of two buckets only: every further shape takes seconds to compile."""
        few, pairs = self.config.buckets[:2], BASE_PAIRS if self.variant == "base" else None
        for chunk in self.chunks("train", seed):
            if chunk["source"].shape[2] in few:
                yield {name: a[:, :pairs] for name, a in chunk.items()}

    def first_predicted(self, initial: State) -> State:
        """Words that are never written are the likeliest there: who writes them differs."""
        bias = initial.params["output.bias"].copy()
        bias[[PAD, BOS, UNKNOWN]] += LIKELIEST
        return replace(initial, params={**initial.params, "output.bias": bias})

    def evaluation_kinds(self) -> Iterator[tuple[str, Chunk]]:
        pairs = self.config.validation_pairs
        german, english = (a["val"][:pairs] for a in (self._data.german, self._data.english))
        return translation.kinds(self.config, german, english, len(self._data.vocabularies[1]))

    def dropouts(self, chunk: Chunk) -> Mapping[str, Dropout]:
        c = self.config
        real = {"encoder": chunk["source"] != PAD, "decoder": chunk["targets"] != PAD}
        layers = dropout_layers(c.layers) if c.dropout else ()
        return {name: Dropout(c.dropout, real[stack], c.width) for stack, name in layers}

    def narrow(self) -> Task:
        """``base`` has half a million ReLUs, of which some are near 0, and takes long besides."""
        if self.variant != "base":
            return self
        return Transformer(config(self.profile, None), self.profile, None, self._data)

    def shapes(self, seed: int) -> Iterator[Chunk]:
        seen = set()
        for chunk in self.chunks("train", seed):
            length = chunk["source"].shape[2]
            if length not in seen:
                seen.add(length)
                yield chunk

    def samples(self, chunk: Chunk) -> int:
        return int((chunk["targets"] != PAD).sum())

    def operations(self, chunk: Chunk) -> float:
        """Operations for the real words, see ``encoder_decoder``. Padding need not be computed."""
        c, (source, target) = self.config, (chunk[n] != PAD for n in ("source", "targets"))
        words = len(self._data.vocabularies[1])
        return operations.encoder_decoder(
            source.sum(-1), target.sum(-1), c.width, c.hidden, c.layers, words
        ) + len(target) * operations.update(self.optimizer, self.params)

    def search(self, predict: Predict) -> Iterator[tuple[Chunk, Tree]]:
        """With a beam, translations of the test sentences by beam search."""
        if self.config.beam > 1:
            for chunk in self.decoding_chunks():
                yield chunk, translation.beam_search(self.config, chunk, predict)

    def score(self, results: Iterable[tuple[Chunk, Tree]]) -> Mapping[str, float]:
        nats, targets, decoded = 0.0, 0, []
        for chunk, outputs in results:
            if "targets" in chunk:
                nats += float(outputs["nats"].sum(dtype=np.float64))
                targets += self.samples(chunk)
            else:
                decoded += [self._sentence(numbers) for numbers in outputs["tokens"][0]]
        order = np.concatenate([rows for rows, _ in self._test_batches()])
        references = [self._data.references[row] for row in order]
        return {
            "val_nats": nats / targets,
            # behind the last sentence come those that filled its batch up
            "bleu": translation.bleu(decoded[: len(order)], references),
        }

    def _sentence(self, numbers: Array) -> str:
        """The English text of words by number, to the end mark or padding."""
        words = self._data.vocabularies[1]
        return " ".join(words[number] for number in numbers if number not in (PAD, EOS))

    def texts(self, predict: Predict) -> Mapping[str, str]:
        """Translations by what was translated: of the sentence asked for and some of the test."""
        sources = [
            self._shown(),
            *(sentences.words(row) for row in self._data.german["test"][:SHOWN]),
        ]
        translations = self._translations(sources, predict)
        german = self._data.vocabularies[0]
        return {
            " ".join(german[number] for number in source): self._sentence(translated)
            for source, translated in zip(sources, translations, strict=True)
        }

    def heatmaps(self, predict: Predict) -> Mapping[str, Heatmap]:
        """Attention weights, by layer and head, while the sentence asked for is translated."""
        source = np.append(self._shown(), EOS)
        (translated,) = self._translations([source[:-1]], predict)
        translated = sentences.words(translated)
        inputs = np.concatenate([[BOS], translated[translated != EOS]])
        chunk = {"source": source[None, None], "inputs": inputs[None, None]}
        outputs = predict({name: a.astype(np.int32) for name, a in chunk.items()})
        german, english = (
            tuple(words[number] for number in numbers)
            for words, numbers in zip(self._data.vocabularies, (source, inputs), strict=True)
        )
        axes = {"encoder": (german, german), "decoder": (english, english)}
        axes["cross"] = (english, german)
        return {
            f"{kind}, layer {layer + 1}, head {head + 1}": Heatmap(*labels, weights)
            for kind, labels in axes.items()
            for layer, heads in enumerate(outputs[f"attention.{kind}"][0, 0])
            for head, weights in enumerate(heads)
        }

    def _shown(self) -> Array:
        """The words (n,) of the sentence whose attention is shown."""
        if not self.config.sentence:
            return sentences.words(self._data.german["test"][0])
        words = multi30k.tokens(self.config.sentence)[: self.config.buckets[-1] - 1]
        numbers: Array = multi30k.encode([words], self._data.vocabularies[0])[0]
        return numbers

    def _translations(self, sources: list[Array], predict: Predict) -> Array:
        """Greedy translations (n, words) of a few sentences, in a shape that is known already."""
        longest = max(map(len, sources))
        bucket = sentences.bucket_of(longest + 1, self.config.buckets)
        rows = np.zeros((len(sources), max(longest, bucket)), np.int32)
        for row, source in zip(rows, sources, strict=True):
            row[: len(source)] = source
        filled = sentences.filled(
            sentences.ended(rows, bucket), self.config.decode_batch, marked=True
        )
        tokens: Array = predict({"source": filled})["tokens"][0]
        return tokens[: len(sources)]


def config(profile: str, variant: str | None) -> TransformerConfig:
    """The constants of a profile."""
    constants = replace(PROFILES[profile], dropout=0.1 if variant == "dropout" else 0.0)
    if variant != "base":
        return constants
    schedule = constants.optimizer.schedule
    assert isinstance(schedule, Linear)
    optimizer = _optimizer(schedule.total, schedule.warmup, rate=5e-4)
    return replace(constants, optimizer=optimizer, **BASE)


def load(
    constants: TransformerConfig, profile: str, source: DataSource, variant: str | None
) -> Transformer:
    """The task on real or generated data."""
    return Transformer(constants, profile, variant, multi30k.load(source))
