"""Recurrence and attention."""

from __future__ import annotations

from docs.lectures.concept import Concept, Part
from docs.lectures.pictures import sequences as pictures

RECURRENCE = Concept(
    "recurrence",
    "Recurrent networks",
    "A recurrent network reads a sequence step by step and keeps a state. "
    "The gradient goes back through all steps. Each multiplies it by a factor of the same kind: "
    "it vanishes or explodes with the distance. "
    "The LSTM has a second path, the cell, along which a gradient gets further.",
    (
        Part(
            "The plain network",
            "`h` is the state, `x` what the input adds to it.",
            r"h_t = \tanh(x_t W + h_{t-1} U + b)",
            {
                "numpy": ("recurrent.py::rnn", "recurrent.py::rnn_backward"),
                "torch": ("recurrent.py::RNN",),
                "tensorflow": ("rnn.py::step", "rnn.py::_unrolled"),
                "jax": ("recurrent.py::rnn_step", "recurrent.py::_rnn_forward"),
            },
        ),
        Part(
            "The LSTM",
            "The gates i, f and o say how much is written, kept and read; `g` is what is written.",
            r"i, f, o = \sigma(a^{i,f,o}), \quad g = \tanh a^g, \qquad "
            r"c_t = f c_{t-1} + i g, \qquad h_t = o \tanh c_t",
            {
                "numpy": ("recurrent.py::lstm",),
                "torch": ("recurrent.py::LSTM",),
                "tensorflow": ("recurrent.py::step",),
                "jax": ("recurrent.py::step", "recurrent.py::_forward"),
            },
        ),
    ),
    pictures.recurrence,
    (
        "By which factor does the gradient shrink per step in the plain network?",
        "Why does a forget gate near 1 keep a gradient alive?",
    ),
)

ATTENTION = Concept(
    "attention",
    "Attention",
    "Attention compares a query with the keys of all positions. "
    "It takes the mean of their values, weighted by how well query and key match. "
    "Every position is one step away from every other, and all are computed at once. "
    "As order is lost by that, positions are added to the inputs.",
    (
        Part(
            "Scaled dot-product attention",
            "`Q`, `K` and `V` are linear functions of the inputs, for each head its own. "
            "A mask of minus infinity hides padding, and in a decoder what comes later.",
            r"\operatorname{attention}(Q, K, V) = "
            r"\operatorname{softmax}\left(\frac{Q K^\top}{\sqrt{d}} + \text{mask}\right) V",
            {
                "numpy": ("attention.py::attention", "attention.py::attention_backward"),
                "torch": ("attention.py::DotProductAttention",),
                "tensorflow": ("attention.py::Attention.call",),
                "jax": ("attention.py::attend",),
            },
        ),
        Part(
            "Positions",
            "Waves of many lengths, added to the embeddings of the words.",
            r"P_{p, 2i} = \sin\left(p / 10000^{2i / d}\right), \qquad "
            r"P_{p, 2i+1} = \cos\left(p / 10000^{2i / d}\right)",
            {
                "numpy": ("attention.py::positions",),
                "torch": ("attention.py::Embedding",),
                "tensorflow": ("attention.py::positions",),
                "jax": ("attention.py::sinusoids",),
            },
        ),
    ),
    pictures.attention,
    (
        "Why are the products divided by the root of d?",
        "The report of a run of `transformer` has its attention maps: at which words of the source "
        "does the decoder look for a word that has no counterpart?",
    ),
)
