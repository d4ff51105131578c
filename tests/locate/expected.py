"""The operation that each planted mistake is in, as a regular expression of what is to be said."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

LOSS = r"begins at (step \d+, )?loss, forwards"
EVALUATION = r"it is in evaluation"
BETWEEN = r"it is between steps"
UPDATE = r"begins at (step \d+, )?\S+, its update"
STATE = (
    r"begins at (step 2, carry\.(hidden|cell), forwards|buffers/carry\.(hidden|cell), its update)"
)
NORMS = r"(encoder|decoder)\.(\d\.(self|cross|feedforward)\.)?norm"
EMBEDDING = r"begins at (encoder|decoder)\.embedding, forwards"
ATTEND = r"begins at (encoder|decoder)\.\d\.(self|cross)\.attend, forwards"
CONVOLUTION = r"begins at conv1, forwards"
LSTM = r"begins at lstm, forwards"
RNN = r"begins at rnn, forwards"
RECURRENT = (
    r"begins at (lstm|rnn)\.(kernel|recurrent|bias)|begins at embedding\.kernel, its gradient"
)
TIED = r"begins at decoder\.embedding\.kernel, its gradient"

BY_NAME = {
    "activation: another one": r"begins at hidden_activation, forwards",
    "cross-entropy: of probabilities taken for logits": LOSS,
    "cross-entropy: sum for mean": LOSS,
    "cross-entropy: sum over the characters": LOSS,
    "cross-entropy: of a probability taken for a logit": LOSS,
    "cross-entropy: gradient not divided by n": r"begins at output, backwards",
    "gradient: sum for mean": r"begins at output, backwards",
    "gradient: a bias with the wrong sign": r"begins at output\.bias, its gradient",
    "dense: no bias": r"begins at (output|loss), forwards.*output",
    "L2: with a half": LOSS + r"|begins at (bag|hidden)\.kernel, its gradient",
    "L2: on biases too": r"begins at step 2, (loss, forwards|(bag|hidden)\.bias, its gradient)",
    "L2: on the output's kernel too": LOSS + r"|begins at output\.kernel, its gradient",
    "L2: in the gradients, not in the loss": LOSS,
    "batch norm: epsilon 1e-5": r"begins at bag_norm, forwards",
    "batch norm: momentum's meaning": r"begins at buffers/bag_norm\.(mean|variance), its update",
    "batch norm: unbiased running variance": r"begins at buffers/bag_norm\.variance, its update",
    "batch norm: unbiased variance in normalising": r"begins at bag_norm, forwards",
    "batch norm: before the activation": r"begins at hidden_(activation|norm), forwards",
    "gradient: not through the batch's variance": r"begins at hidden_activation, backwards",
    "bag of words: mean for sum": r"begins at bag, forwards",
    "pooling: mean for maximum": r"begins at embedding, forwards",
    "pooling: the padding's row left out": r"begins at embedding, forwards",
    "negative sampling: mean over the random words": LOSS,
    "pairs: neighbours from the words' own table": r"begins at logits, forwards",
    "gradient: of a row that is chosen several times, one choice alone": r"begins at "
    r"(embedding\.kernel|context\.table), its gradient",
    "gradient: to a wrong word": r"begins at embedding\.kernel, its gradient",
    "dropout: nothing is scaled up": r"begins at bag_dropout, forwards",
    "dropout: given masks are not scaled up": r"begins at bag_dropout, forwards",
    "dropout: behind the hidden layer": r"begins at hidden, forwards.*embedding_dropout|"
    r"begins at embedding_dropout, forwards|begins at (hidden|output), forwards",
    "dropout: not behind the first layer": r"begins at (bag_dropout|hidden), forwards.*",
    "dropout: none of the embeddings": r"begins at \S+\.(embedding_dropout|0\.self\.norm), forw",
    "dropout: of the residual too": r"begins at encoder\.0\.self(_dropout)?, forwards",
    "code: its scale is missing": r"begins at codes, forwards",
    "code: epsilon added to the norm": r"begins at codes, forwards",
    "code: the smallest norm is another": EVALUATION + r", faint/codes",
    "code: not normalised": r"begins at codes, forwards",
    "code: a ReLU before it": r"begins at (encoder\.output|codes), forwards",
    "gradient: not through the norm": r"begins at encoder\.output, backwards",
    "gradient: not of the penalty": r"begins at codes, backwards",
    "squared error: mean over the pixels": LOSS,
    "squared error: with a half": LOSS,
    "squared error: half of it": LOSS,
    # of an answer that is 0 the loss is 0 either way
    "perceptron: an answer of 0 is no mistake": r"begins at (output, backwards|buffers/count)",
    "penalty: with a minus sign": LOSS,
    "penalty: with a half": LOSS,
    "output: a sigmoid": r"begins at (decoder\.output|loss), forwards",
    "gates: another order": LSTM,
    "gates: 1 more in the forget gate": LSTM,
    "gates: the candidate's is a sigmoid": LSTM,
    "gates: no tanh on the cell": LSTM,
    "bias: two of them": r"begins at (params/)?(lstm|rnn)\.bias, its |step 2, (lstm|rnn), forwards",
    "recurrence: another activation": RNN,
    "gradient: the slope of tanh is of what comes before it": RECURRENT,
    "bias: the second one as torch draws it": LSTM,
    "state: not carried": STATE,
    "state: the cell is not carried": STATE,
    "state: not reset": r"begins at step \d+, carry\.hidden, forwards",
    "state: reset in every step": STATE,
    "state: not detached": r"crashed",
    "state: that after the first character is carried": STATE,
    "gradient: not from step to step": RECURRENT,
    "gradient: not along the cell": RECURRENT,
    "gradient: not of the embedding": r"begins at embedding\.kernel, its gradient",
    "layer norm: epsilon 1e-6 in the last ones": r"begins at encoder\.norm, forwards|"
    r"begins at decoder\.norm, forwards",
    "layer norm: none behind the encoder": r"encoder\.norm|begins at decoder\.0\.cross\.key",
    "layer norm: the residual is taken behind it": r"begins at encoder\.0\.feedforward, forwards",
    "activation: GELU": r"begins at encoder\.0\.feedforward\.hidden_activation, forwards",
    "embedding: not scaled": EMBEDDING,
    "causal mask: off by one": r"begins at decoder\.0\.self\.attend, forwards",
    "padding mask: none": r"begins at encoder\.0\.self\.attend, forwards",
    "padding mask: none in the encoder": r"begins at encoder\.0\.self\.attend, forwards",
    "padding mask: none in cross-attention": r"begins at decoder\.0\.cross\.attend, forwards",
    "attention: scores not scaled": ATTEND,
    "attention: scaled by the width of all heads": ATTEND,
    "attention: heads take every fourth column": ATTEND,
    "attention: the bias of the keys is trained": (
        r"\S+\.key\.bias, its gradient|it is in float32 alone"
    ),
    "gradient: of the scores, without their scale": r"cross\.(query|key), backwards",
    "gradient: not through the encoder": r"begins at encoder\.norm, backwards",
    "gradient: not along the residual": r"begins at decoder\.1\.(cross|self), backwards",
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
    "flatten: channels first": r"begins at dense, forwards",
    "gradient: one of nine taps is missing": r"begins at conv3_activation, backwards",
    "embeddings: not normalised": r"begins at embeddings, forwards",
    "embeddings: the smallest norm is another": r"begins at embeddings, forwards",
    "embeddings: epsilon added to the norm": r"begins at embeddings, forwards",
    "pairs: all weigh the same": LOSS,
    "pairs: squared differences": r"begins at difference, forwards",
    "gradient: of different pairs, sum for mean": r"begins at similarity, backwards",
    "gradient: to the first of a pair alone": r"begins at embeddings, backwards",
    "gradient: not through the negatives": r"begins at embeddings, backwards",
    "triplets: margin 1": LOSS,
    "triplets: distances not squared": LOSS,
    "triplets: mean over all, not over the active ones": LOSS,
    "triplets: an anchor is its own positive": LOSS,
    "entropy: it is raised, not lowered": LOSS,
    "entropy: no gradient through the probabilities": r"begins at head, backwards",
    "evaluation: the heads of another episode": EVALUATION,
    "schedule: once a chunk": BETWEEN,
    "train: every second step is skipped, its loss repeated": BETWEEN,
    "gradients: they move the running statistics": r"begins at buffers/bag_norm\.(mean|variance)",
    "batch norm: epsilon 1e-5 in evaluation": EVALUATION,
}
BY_KIND = {
    "layer norm: ": rf"begins at {NORMS}, forwards",
    "sinusoids: ": EMBEDDING,
    "predict: ": EVALUATION,
    "RMSprop: ": UPDATE,
    "Adam: ": UPDATE,
    "schedule: ": UPDATE,
    "clip: ": UPDATE,
}
"""By the beginning of the name, of those that have no line of their own."""


def operation(mutant: Mutant) -> str | None:
    """The words of a good message. None for mistakes that no step shows, which statistics find."""
    if mutant.name in BY_NAME:
        return BY_NAME[mutant.name]
    kinds = (said for start, said in BY_KIND.items() if mutant.name.startswith(start))
    return next(kinds, None)
