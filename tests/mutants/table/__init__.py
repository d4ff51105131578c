"""The table of planted mistakes: the classic differences between frameworks."""

from __future__ import annotations

from tests.mutants.table import (
    attention,
    autoencoder,
    clipping,
    dropout,
    engines,
    fashion_mlp,
    fewshot,
    imdb_text,
    lstm,
    points,
    transformer,
    translation,
    updates,
)

TABLE = (
    *fashion_mlp.MUTANTS,
    *imdb_text.MUTANTS,
    *dropout.MUTANTS,
    *autoencoder.MUTANTS,
    *lstm.MUTANTS,
    *transformer.MUTANTS,
    *attention.MUTANTS,
    *translation.MUTANTS,
    *fewshot.MUTANTS,
    *points.MUTANTS,
    *updates.MUTANTS,
    *clipping.MUTANTS,
    *engines.MUTANTS,
)
