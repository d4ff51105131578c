"""The transformer in every backend: equal steps, masks that hide, decoding with a cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import backends
import tasks
from backends.program import Program
from suite.session.equivalence import compare
from suite.worker.trace import trace
from tasks import datasets, translation
from tasks.datasets import multi30k
from tasks.datasets.multi30k import BOS, EOS, PAD, UNKNOWN
from tasks.task import Array, Chunk, Envelope, State, Tree
from tasks.transformer import Transformer
from tests.backends.conftest import Call
from tests.backends.programs import built, kept
from tests.tasks.tiny_transformer import CONFIG, ENGLISH, GERMAN, STEPS, Scored, tiny_task

SEED = 3
OTHERS = [backend for backend in backends.NAMES if backend != "numpy"]
every_backend = pytest.mark.parametrize("backend", backends.NAMES)
LENGTHS = np.array([[4], [6], [2]])  # of three sentences, end mark included


def build(backend: str, task: Transformer, state: State, seed: int | None = None) -> Program:
    """The one that is kept."""
    return kept(backend, ("two layers", task.variant), task, state, seed)


def initial() -> State:
    """With biases and norms that are not 0 and 1, so that it shows when one is forgotten."""
    rng = np.random.default_rng(4)
    state = tiny_task().initial(SEED).astype("float64")
    params = {name: leaf + 0.3 * rng.normal(size=leaf.shape) for name, leaf in state.params.items()}
    return State(params, state.slots, state.buffers)


def one_layer(backend: str) -> tuple[Transformer, Program]:
    """The program that is trained, in two shapes: each compiles in half the time of two layers."""
    task = tiny_task(None, replace(CONFIG, layers=1), Scored)
    state = task.initial(SEED).astype("float64")
    return task, kept(backend, "one layer", task, state, None)


def traced(backend: str) -> Tree:
    task, program = one_layer(backend)
    return trace(task, program, SEED, (STEPS,))


def predicted(backend: str, state: State, chunks: list[Chunk]) -> list[dict[str, Array]]:
    program = build(backend, tiny_task(), state)
    return [dict(program.predict(program.place(chunk))) for chunk in chunks]


def sentences(words: int, length: int, seed: int) -> Array:
    """Three sentences (1, 3, length) of the lengths LENGTHS."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(UNKNOWN, words, (3, length), dtype=np.int32)
    numbers = np.where(np.arange(length) == LENGTHS - 1, EOS, numbers)
    return np.where(np.arange(length) < LENGTHS, numbers, PAD).astype(np.int32)[None]


def looked_at(seed: int = 0) -> dict[str, Array]:
    inputs = sentences(ENGLISH, 6, seed + 1)
    inputs[:, :, 0] = BOS
    return {"source": sentences(GERMAN, 6, seed), "inputs": inputs}


@pytest.mark.parametrize("backend", OTHERS)
def test_it_trains_as_numpy_does(call: Call, backend: str) -> None:
    """Without dropout; with its masks, test_dropout shows it. Two layers' gradients are below."""
    oracle = call("numpy", "float64", traced)
    envelope = Envelope(steps=STEPS, loss=1e-12, gradient=1e-12, state=1e-9)
    findings = compare(call(backend, "float64", traced), oracle, envelope)
    assert all(f.passed for f in findings), findings


@every_backend
def test_the_loss_is_the_smoothed_cross_entropy_of_the_real_targets(
    call: Call, backend: str
) -> None:
    look = looked_at()
    targets = sentences(ENGLISH, 6, 5)
    value, _, logits = call(backend, "float64", loss_and_logits, initial(), look, targets)
    z = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    picked = np.take_along_axis(z, targets[..., None], axis=-1)[..., 0]
    smoothed = 0.9 * picked + 0.1 * z.mean(axis=-1)
    assert value == pytest.approx(-smoothed[targets != PAD].mean(), rel=1e-12)


def loss_and_logits(
    backend: str, state: State, look: Chunk, targets: Array
) -> tuple[float, Tree, Array]:
    """The loss, its gradients, and the logits."""
    program = build(backend, tiny_task(), state)
    value, gradients = program.gradients(program.place({**look, "targets": targets}))
    return value, dict(gradients), program.predict(program.place(look))["logits"]


@pytest.mark.parametrize("backend", OTHERS)
def test_gradients_of_two_layers_are_numpys(call: Call, backend: str) -> None:
    given = initial(), looked_at(), sentences(ENGLISH, 6, 5)
    _, expected, _ = call("numpy", "float64", loss_and_logits, *given)
    _, found, _ = call(backend, "float64", loss_and_logits, *given)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        error = 1e-10 * np.abs(gradient).max()
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=error, err_msg=name)


@every_backend
def test_nats_are_the_plain_cross_entropy_of_every_real_target(call: Call, backend: str) -> None:
    look, targets = looked_at(), sentences(ENGLISH, 6, 5)
    asked, seen = call(
        backend, "float64", predicted, initial(), [{**look, "targets": targets}, look]
    )
    z = seen["logits"] - np.log(np.exp(seen["logits"]).sum(axis=-1, keepdims=True))
    expected = -np.take_along_axis(z, targets[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(asked["nats"], expected * (targets != PAD), rtol=1e-11, atol=1e-13)


@every_backend
def test_what_is_padded_has_no_influence(call: Call, backend: str) -> None:
    look = looked_at()
    longer = {name: np.pad(a, ((0, 0), (0, 0), (0, 3))) for name, a in look.items()}
    short, long = call(backend, "float64", predicted, initial(), [look, longer])
    real = np.arange(6) < LENGTHS
    np.testing.assert_allclose(
        long["logits"][0, :, :6][real], short["logits"][0][real], rtol=1e-11, atol=1e-13
    )
    for kind in ("encoder", "cross"):
        weights = long[f"attention.{kind}"][0]  # (n, layers, heads, queries, keys)
        hidden = weights.transpose(0, 4, 1, 2, 3)[np.arange(9) >= LENGTHS]
        assert hidden.size
        assert not hidden.any()


@every_backend
def test_a_word_changes_nothing_before_it_and_something_from_there_on(
    call: Call, backend: str
) -> None:
    look = looked_at()
    inputs = look["inputs"].copy()
    inputs[0, 1, 3] = UNKNOWN if inputs[0, 1, 3] != UNKNOWN else UNKNOWN + 1
    before, after = call(
        backend, "float64", predicted, initial(), [look, {**look, "inputs": inputs}]
    )
    changed = np.abs(after["logits"] - before["logits"])[0].max(axis=-1)  # (3, 6)
    assert not changed[:, :3].any()
    assert (changed[1, 3:] > 1e-6).all()
    assert not changed[[0, 2]].any()


@pytest.mark.parametrize("backend", OTHERS)
def test_outputs_are_numpys(call: Call, backend: str) -> None:
    chunks = [looked_at(), {**looked_at(), "targets": sentences(ENGLISH, 6, 5)}, *greedy_chunks()]
    expected = call("numpy", "float64", predicted, initial(), chunks)
    found = call(backend, "float64", predicted, initial(), chunks)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            np.testing.assert_allclose(ours[name], array, rtol=1e-10, atol=1e-12, err_msg=name)


@every_backend
def test_attention_weights_sum_to_1(call: Call, backend: str) -> None:
    (seen,) = call(backend, "float64", predicted, initial(), [looked_at()])
    config = tiny_task().config
    for kind in ("encoder", "decoder", "cross"):
        weights = seen[f"attention.{kind}"]
        assert weights.shape == (1, 3, config.layers, config.heads, 6, 6)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-12)


def greedy_chunks() -> list[Chunk]:
    """Sources of two shapes; one of the sentences is empty but for its end mark."""
    sources = [sentences(GERMAN, length, length) for length in (6, 8)]
    sources[1][0, 2] = PAD
    sources[1][0, 2, 0] = EOS
    return [{"source": source} for source in sources]


@every_backend
def test_decoding_with_the_cache_is_decoding_without_it(call: Call, backend: str) -> None:
    chunks = greedy_chunks()
    for state in (initial(), without_end(initial())):
        cached = call(backend, "float64", predicted, state, chunks)
        plain = call(backend, "float64", decoded_without_cache, state, chunks)
        for found, expected in zip(cached, plain, strict=True):
            np.testing.assert_array_equal(found["tokens"], expected)


def without_end(state: State) -> State:
    """The end mark is never the most probable word, so decoding goes on to its limit; words that
    are never written would be."""
    bias = state.params["output.bias"].copy()
    bias[EOS], bias[[PAD, BOS, UNKNOWN]] = -100, 100
    return State({**state.params, "output.bias": bias}, state.slots, state.buffers)


def decoded_without_cache(backend: str, state: State, chunks: list[Chunk]) -> list[Array]:
    """Greedy decoding from the logits of whole beginnings, as the specification reads."""
    task, found = tiny_task(), []
    program = build(backend, task, state)
    extra, limit = task.config.decode_extra, task.config.decode_limit
    for chunk in chunks:
        (source,) = chunk["source"]
        allowed = translation.limits(source, extra, limit)
        tokens = np.zeros((len(source), min(source.shape[1] - 1 + extra, limit)), np.int32)
        ended = np.zeros(len(source), bool)
        for place in range(tokens.shape[1]):
            # what is not written yet is padding, behind the place that is looked at
            inputs = np.concatenate([np.full((len(source), 1), BOS, np.int32), tokens], axis=1)
            look = {"source": source[None], "inputs": inputs[None]}
            logits = program.predict(program.place(look))["logits"][0, :, place].copy()
            logits[:, [PAD, BOS, UNKNOWN]] = -np.inf
            tokens[:, place] = np.where(ended | (place >= allowed), PAD, logits.argmax(axis=1))
            ended |= tokens[:, place] == EOS
        found.append(tokens[None])
    return found


@every_backend
def test_steps_of_decoding_give_the_logits_of_whole_beginnings(call: Call, backend: str) -> None:
    steps, whole = call(backend, "float64", stepped, initial())
    np.testing.assert_allclose(steps, whole, rtol=1e-11, atol=1e-13)


def stepped(backend: str, state: State) -> tuple[Array, Array]:
    """Logits (3, 6, words) word by word, and those of all words at once."""
    config, look = tiny_task().config, looked_at()
    program = build(backend, tiny_task(), state)
    whole = program.predict(program.place(look))
    shape = (1, 3, config.layers, config.decode_limit, config.width)
    fixed = {"source": look["source"], "memory": whole["memory"]}
    cache = dict.fromkeys(("keys", "values"), np.zeros(shape))
    logits = []
    for place in range(6):
        last, here = look["inputs"][:, :, place], np.array([place], np.int32)
        outputs = program.predict(program.place({**fixed, **cache, "last": last, "place": here}))
        cache = {name: outputs[name] for name in cache}
        logits.append(outputs["logits"][0])
    return np.stack(logits, axis=1), whole["logits"][0]


@every_backend
def test_a_beam_of_one_is_greedy_and_a_wider_one_finds_what_is_more_probable(
    call: Call, backend: str
) -> None:
    greedy, one, four = call(backend, "float64", beams, initial())
    np.testing.assert_array_equal(
        one["tokens"][0], greedy["tokens"][0][:, : one["tokens"].shape[2]]
    )
    assert not np.array_equal(four["tokens"], one["tokens"])


def beams(backend: str, state: State) -> list[Tree]:
    """Greedily, and by beams of 1 and 4, from the same sources."""
    task, (chunk, _) = tiny_task(), greedy_chunks()
    program = build(backend, task, state)

    def predict(chunk: Chunk) -> Tree:
        return program.predict(program.place(chunk))

    widths = [replace(task.config, beam=width) for width in (1, 4)]
    return [predict(chunk), *(translation.beam_search(w, chunk, predict) for w in widths)]


@every_backend
def test_every_shape_is_compiled_once(call: Call, backend: str) -> None:
    first, again = call(backend, "float64", compilations)
    assert again == first
    if backend in ("numpy", "torch"):
        assert first == 0
    else:
        assert first >= 4  # those of other tests, whose program it is, among them


def compilations(backend: str) -> tuple[int, int]:
    """After training on two shapes and two kinds of prediction, once and three times."""
    task, trained = one_layer(backend)
    asked = build(backend, tiny_task(), initial())
    train = list(task.shapes(SEED))
    assert len(train) == 2
    counts = []
    for _ in range(3):
        for chunk in train:
            trained.train(trained.place(chunk))
        for chunk in (looked_at(), greedy_chunks()[0]):
            asked.predict(asked.place(chunk))
        counts.append(trained.compilations() + asked.compilations())
    return counts[0], counts[2]


def test_greedy_translations_of_100_real_sentences_are_the_same_in_every_backend(
    call: Call,
) -> None:
    if datasets.missing(multi30k.SOURCE):
        pytest.skip(f"no Multi30k in {datasets.data_directory()}")
    state = call("torch", "float32", trained_a_little).astype("float64")
    found = {b: call(b, "float64", translated, state) for b in backends.NAMES}
    assert len(found["numpy"]) == 100
    assert len(set(found["numpy"])) > 20  # it has learned to tell sentences apart
    for backend in OTHERS:
        assert found[backend] == found["numpy"], backend


def trained_a_little(backend: str) -> State:
    task: Any = tasks.load("transformer", "full", "real")
    # without a warm-up a quarter of the pairs is enough to learn to tell sentences apart
    task.optimizer = replace(task.optimizer, schedule=None)
    program = built(backend, task, task.initial(SEED), None)
    for _, chunk in zip(range(40), task.verification_chunks(SEED), strict=False):
        program.train(program.place({name: a[:, :16] for name, a in chunk.items()}))
    return program.state()


def translated(backend: str, state: State) -> list[bytes]:
    task: Any = tasks.load("transformer", "full", "real")
    program = built(backend, task, state, None)
    (source,) = next(task.decoding_chunks())["source"]
    tokens = program.predict(program.place({"source": source[None, :100]}))["tokens"]
    return [row.tobytes() for row in tokens[0]]
