"""Embeddings, autoencoders and metric learning."""

from __future__ import annotations

from docs.lectures.concept import Concept, Part
from docs.lectures.pictures import representations as pictures

EMBEDDINGS = Concept(
    "embeddings",
    "Texts and embeddings",
    "A network needs numbers. "
    "A bag of words has an entry for every word of the vocabulary. "
    "It tells which words there are, not where. "
    "An embedding gives each word a point in a space of few dimensions. "
    "It is learnt, so that words of like use lie near each other.",
    (
        Part(
            "A bag of words",
            "`x` has one entry per word of the vocabulary, nearly all of them 0. "
            "So the product with the weights is a sum of the rows of the words that occur.",
            r"y = x W + b = \sum_{j \in \text{words}} x_j W_j + b",
            {
                "numpy": ("text.py::bag_dense", "text.py::bag_dense_backward"),
                "torch": ("text.py::_bag_sum",),
                "tensorflow": ("text.py::bag_sum",),
                "jax": ("imdb_text.py::_bag",),
            },
        ),
        Part(
            "An embedding, and the maximum over words",
            "`E` has a row for each word. A channel of the result is that of the word where it is "
            "largest, and the gradient goes to that word alone.",
            r"y_{c} = \max_{j} E_{w_j, c}",
            {
                "numpy": ("text.py::embedding_max", "text.py::embedding_max_backward"),
                "torch": ("text.py::EmbeddingMax.forward", "text.py::winners"),
                "tensorflow": ("text.py::embedding_max",),
                "jax": ("imdb_text.py::_maximum", "imdb_text.py::_to_winners"),
            },
        ),
        Part(
            "Word2Vec: skip-gram with negative sampling",
            "An embedding can be learnt without labels. "
            "`v` is the vector of a word, `u` that of a word near it. "
            "The model tells the neighbour `o` of a word `c` from random words `k`.",
            r"L = -\log \sigma(u_o \cdot v_c) - \sum_{k} \log \sigma(-u_k \cdot v_c)",
            {
                "numpy": ("text.py::pair_logits", "text.py::negative_sampling"),
                "torch": ("text.py::PairLogits.forward", "skipgram.py::loss"),
                "tensorflow": ("skipgram.py::SkipGram.call", "skipgram.py::loss"),
                "jax": ("skipgram.py::forward", "skipgram.py::loss"),
            },
        ),
    ),
    pictures.embeddings,
    (
        "Why is an embedding the same as a dense layer on one-hot vectors, and why is it faster?",
        "The last 50 words of a review or all of its words: what does each model not see?",
    ),
)

AUTOENCODERS = Concept(
    "autoencoders",
    "Autoencoders",
    "An autoencoder learns to give its input back through a narrow layer, the code. "
    "It needs no labels. "
    "Its codes can be clustered. "
    "A penalty that draws each code to the centre of its cluster makes that easier.",
    (
        Part(
            "The forward pass",
            "`f` is the encoder, `d` the decoder. Here codes have a fixed length.",
            r"z = \sqrt{k} \, \frac{f(x)}{\lVert f(x) \rVert}, \qquad \hat x = d(z)",
            {
                "numpy": ("autoencoder.py::forward", "autoencoder.py::_normalized"),
                "torch": ("autoencoder.py::_Autoencoder", "autoencoder.py::_layers"),
                "tensorflow": ("autoencoder.py::_Normalized", "autoencoder.py::build"),
                "jax": ("autoencoder.py::_codes_and_errors", "autoencoder.py::_normalized"),
            },
        ),
        Part(
            "The loss",
            "The second sum is there once the clusters are known; "
            "`c` is the centre of the cluster that the sample belongs to.",
            r"L = \frac{1}{n} \sum_i \lVert x_i - \hat x_i \rVert^2 "
            r"+ \frac{\lambda}{n} \sum_i \lVert z_i - c_{a(i)} \rVert^2",
            dict.fromkeys(("numpy", "torch", "tensorflow", "jax"), ("autoencoder.py::loss",)),
        ),
    ),
    pictures.autoencoders,
    (
        "A document prints the penalty with a minus sign. What would that loss reward?",
        "Ten numbers for 784 pixels: which share of the pixels' variance do they keep?",
    ),
)

METRICS = Concept(
    "metric-learning",
    "Metric learning",
    "A classifier knows the classes that it was trained on. "
    "Metric learning trains an embedding in which samples of one class lie near each other, "
    "so that a new class needs a few samples only. "
    "A new sample then belongs to the class of its nearest neighbour.",
    (
        Part(
            "Siamese: pairs",
            "Both images go through the same network. The head says from the difference of their "
            "embeddings whether they are of one class.",
            r"p(\text{same}) = \sigma(w^\top |e_1 - e_2| + b)",
            {
                "numpy": (
                    "contrastive.py::distances",
                    "contrastive.py::distances_backward",
                    "contrastive.py::pair_cross_entropy",
                    "contrastive.py::pair_cross_entropy_backward",
                ),
                **dict.fromkeys(("torch", "tensorflow", "jax"), ("fewshot.py::loss",)),
            },
        ),
        Part(
            "Triplets",
            "Anchor `a` and positive `p` are of one class, the negative `n` is of another. "
            "The mean is over the triplets whose loss is not 0.",
            r"L = \operatorname{mean} \max\left(0, \lVert e_a - e_p \rVert^2 "
            r"- \lVert e_a - e_n \rVert^2 + m\right)",
            {
                "numpy": ("contrastive.py::triplet_loss", "contrastive.py::triplet_loss_backward"),
                **dict.fromkeys(("torch", "tensorflow", "jax"), ("fewshot.py::_triplet_loss",)),
            },
        ),
    ),
    pictures.metrics,
    (
        "What would happen without the margin m?",
        "Why are embeddings scaled to length 1?",
    ),
)
