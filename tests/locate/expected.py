"""The operation that each planted mistake is in, as a regular expression of what is to be said."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

LOSS = r"first, loss, forwards"
EVALUATION = r"it is in evaluation"
BETWEEN = r"it is between steps"
UPDATE = r"first, (step \d+, )?\S+, its update"
STATE = r"first, (step 2, carry\.(hidden|cell), forwards|buffers/carry\.(hidden|cell), its update)"
NORMS = r"(encoder|decoder)\.(\d\.(self|cross|feedforward)\.)?norm"
EMBEDDING = r"first, (encoder|decoder)\.embedding, forwards"
ATTEND = r"first, (encoder|decoder)\.\d\.(self|cross)\.attend, forwards"
CONVOLUTION = r"first, conv1, forwards"
LSTM = r"first, lstm, forwards"
RECURRENT = r"first, lstm\.(kernel|recurrent|bias)|first, embedding\.kernel, its gradient"
TIED = r"first, decoder\.embedding\.kernel, its gradient"

BY_NAME = {
    "activation: another one": r"first, hidden_activation, forwards",
    "cross-entropy: of probabilities taken for logits": LOSS,
    "cross-entropy: sum for mean": LOSS,
    "cross-entropy: sum over the characters": LOSS,
    "cross-entropy: of a probability taken for a logit": LOSS,
    "cross-entropy: gradient not divided by n": r"first, output, backwards",
    "gradient: sum for mean": r"first, output, backwards",
    "gradient: a bias with the wrong sign": r"first, output\.bias, its gradient",
    "dense: no bias": r"first, (output|loss), forwards.*output",
    "L2: with a half": LOSS + r"|first, (bag|hidden)\.kernel, its gradient",
    "L2: on biases too": r"first, step 2, (loss, forwards|(bag|hidden)\.bias, its gradient)",
    "L2: on the output's kernel too": LOSS + r"|first, output\.kernel, its gradient",
    "L2: in the gradients, not in the loss": LOSS,
    "batch norm: epsilon 1e-5": r"first, bag_norm, forwards",
    "batch norm: momentum's meaning": r"first, buffers/bag_norm\.(mean|variance), its update",
    "batch norm: unbiased running variance": r"first, buffers/bag_norm\.variance, its update",
    "batch norm: unbiased variance in normalising": r"first, bag_norm, forwards",
    "batch norm: before the activation": r"first, hidden_(activation|norm), forwards",
    "gradient: not through the batch's variance": r"first, hidden_activation, backwards",
    "bag of words: mean for sum": r"first, bag, forwards",
    "pooling: mean for maximum": r"first, embedding, forwards",
    "pooling: the padding's row left out": r"first, embedding, forwards",
    "gradient: to a wrong word": r"first, embedding\.kernel, its gradient",
    "dropout: nothing is scaled up": r"first, bag_dropout, forwards",
    "dropout: given masks are not scaled up": r"first, bag_dropout, forwards",
    "dropout: behind the hidden layer": r"first, hidden, forwards.*embedding_dropout|"
    r"first, embedding_dropout, forwards|first, (hidden|output), forwards",
    "dropout: not behind the first layer": r"first, (bag_dropout|hidden), forwards.*",
    "dropout: none of the embeddings": r"first, \S+\.(embedding_dropout|0\.self\.norm), forw",
    "dropout: of the residual too": r"first, encoder\.0\.self(_dropout)?, forwards",
    "code: its scale is missing": r"first, codes, forwards",
    "code: epsilon added to the norm": r"first, codes, forwards",
    "code: the smallest norm is another": r"first, codes, forwards",
    "code: not normalised": r"first, codes, forwards",
    "code: a ReLU before it": r"first, (encoder\.output|codes), forwards",
    "gradient: not through the norm": r"first, encoder\.output, backwards",
    "gradient: not of the penalty": r"first, codes, backwards",
    "squared error: mean over the pixels": LOSS,
    "squared error: with a half": LOSS,
    "penalty: with a minus sign": LOSS,
    "penalty: with a half": LOSS,
    "output: a sigmoid": r"first, (decoder\.output|loss), forwards",
    "gates: another order": LSTM,
    "gates: 1 more in the forget gate": LSTM,
    "gates: the candidate's is a sigmoid": LSTM,
    "gates: no tanh on the cell": LSTM,
    "bias: two of them": r"first, (params/)?lstm\.bias, its |step 2, lstm, forwards",
    "bias: the second one as torch draws it": LSTM,
    "state: not carried": STATE,
    "state: the cell is not carried": STATE,
    "state: not reset": r"first, step \d+, carry\.hidden, forwards",
    "state: reset in every step": STATE,
    "state: not detached": r"crashed",
    "state: that after the first character is carried": STATE,
    "gradient: not from step to step": RECURRENT,
    "gradient: not along the cell": RECURRENT,
    "gradient: not of the embedding": r"first, embedding\.kernel, its gradient",
    "layer norm: epsilon 1e-6 in the last ones": r"first, encoder\.norm, forwards|"
    r"first, decoder\.norm, forwards",
    "layer norm: none behind the encoder": r"encoder\.norm|first, decoder\.0\.cross\.key",
    "layer norm: the residual is taken behind it": r"first, encoder\.0\.feedforward, forwards",
    "activation: GELU": r"first, encoder\.0\.feedforward\.hidden_activation, forwards",
    "embedding: not scaled": EMBEDDING,
    "causal mask: off by one": r"first, decoder\.0\.self\.attend, forwards",
    "padding mask: none": r"first, encoder\.0\.self\.attend, forwards",
    "padding mask: none in the encoder": r"first, encoder\.0\.self\.attend, forwards",
    "padding mask: none in cross-attention": r"first, decoder\.0\.cross\.attend, forwards",
    "attention: scores not scaled": ATTEND,
    "attention: scaled by the width of all heads": ATTEND,
    "attention: heads take every fourth column": ATTEND,
    "attention: the bias of the keys is trained": r"first, \S+\.key\.bias, its gradient",
    "gradient: of the scores, without their scale": r"cross\.(query|key), backwards",
    "gradient: not through the encoder": r"first, encoder\.norm, backwards",
    "gradient: not along the residual": r"first, decoder\.1\.(cross|self), backwards",
    "label smoothing: not over the padding's class": LOSS,
    "label smoothing: over the other classes": LOSS,
    "label smoothing: none": LOSS,
    "loss: mean over the padding too": LOSS,
    "loss: of the padding too": LOSS,
    "tied weights: no gradient of the logits": TIED,
    "tied weights: no gradient of the embedding": TIED,
    "convolution: padded right and below alone": CONVOLUTION,
    "convolution: windows begin one pixel later": CONVOLUTION,
    "convolution: the border repeats the picture's": CONVOLUTION,
    "convolution: kernels turned round": CONVOLUTION,
    "flatten: channels first": r"first, dense, forwards",
    "gradient: one of nine taps is missing": r"first, conv3_activation, backwards",
    "embeddings: not normalised": r"first, embeddings, forwards",
    "embeddings: the smallest norm is another": r"first, embeddings, forwards",
    "embeddings: epsilon added to the norm": r"first, embeddings, forwards",
    "pairs: all weigh the same": LOSS,
    "pairs: squared differences": r"first, difference, forwards",
    "gradient: of different pairs, sum for mean": r"first, similarity, backwards",
    "gradient: to the first of a pair alone": r"first, embeddings, backwards",
    "gradient: not through the negatives": r"first, embeddings, backwards",
    "triplets: margin 1": LOSS,
    "triplets: distances not squared": LOSS,
    "triplets: mean over all, not over the active ones": LOSS,
    "triplets: an anchor is its own positive": LOSS,
    "schedule: once a chunk": BETWEEN,
    "train: every second step is skipped, its loss repeated": BETWEEN,
    "gradients: they move the running statistics": r"first, buffers/bag_norm\.(mean|variance)",
    "batch norm: epsilon 1e-5 in evaluation": EVALUATION,
}
BY_KIND = {
    "layer norm: ": rf"first, {NORMS}, forwards",
    "sinusoids: ": EMBEDDING,
    "predict: ": EVALUATION,
    "RMSprop: ": UPDATE,
    "Adam: ": UPDATE,
    "schedule: ": UPDATE,
    "clip: ": UPDATE,
}
"""By the beginning of the name, of those that have no line of their own."""


def operation(mutant: Mutant) -> str | None:
    """What a good message says. None for mistakes that no step shows, which statistics find."""
    if mutant.name in BY_NAME:
        return BY_NAME[mutant.name]
    kinds = (said for start, said in BY_KIND.items() if mutant.name.startswith(start))
    return next(kinds, None)
