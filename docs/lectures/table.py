"""All concepts, in the order in which they are taught."""

from __future__ import annotations

from docs.lectures.networks import ACTIVATIONS, LAYERS, LOSSES
from docs.lectures.representations import AUTOENCODERS, EMBEDDINGS, METRICS
from docs.lectures.sequences import ATTENTION, RECURRENCE
from docs.lectures.training import CURVE, DESCENT, NORMALISATION, REGULARISATION

CONCEPTS = (
    LAYERS,
    ACTIVATIONS,
    LOSSES,
    DESCENT,
    REGULARISATION,
    NORMALISATION,
    CURVE,
    EMBEDDINGS,
    RECURRENCE,
    ATTENTION,
    AUTOENCODERS,
    METRICS,
)
