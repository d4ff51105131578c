"""Arrays whose bits are the same on every processor, in every build of NumPy.

IEEE 754 rounds +, -, *, / and square roots correctly; all else, such as ``pow``, ``exp``, ``sin``,
matrix products and random numbers that are made by them (``normal``, ``lognormal``), depends on the
processor's vector units and on the mathematical library. Data is made by the former alone. A sum
stands in one order, a product and a sum are never one operation (which ``rng.uniform`` is on some).
"""

from __future__ import annotations

import numpy as np

from tasks.task import Array

DIGIT = 12
"""Binary digits of an exponent that are looked up at once."""


def uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> Array:
    """Uniform numbers in [low, high), float64: the bits of ``rng.uniform`` where that is exact."""
    drawn: Array = rng.random(shape)
    drawn *= high - low
    drawn += low
    return drawn


def bell(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Means of twelve uniform numbers: about normal, mean 1/2, deviation 1/12, all in [0, 1)."""
    total = np.zeros(shape)
    for _ in range(12):
        total += rng.random(shape)
    total /= 12
    return total


def powers(base: float, exponents: Array) -> Array:
    """``base ** exponents`` in float64, to some units in the last place, of exponents in [0, 1).

    An exponent is a sum of binary digits 2^-j, its power the product of the roots ``base^(2^-j)``,
    which are square roots of each other. Products of DIGIT roots are looked up.
    """
    found, rest = np.ones(exponents.shape), exponents.astype(np.float64)
    while rest.any():
        table = np.ones(1)
        for _ in range(DIGIT):
            base = np.sqrt(base)
            table = np.stack([table, table * base], axis=1).reshape(-1)
        rest *= len(table)
        digit = rest.astype(np.intp)
        rest -= digit
        found *= table[digit]
    return found


def sine_and_cosine(angles: Array) -> tuple[Array, Array]:
    """Sine and cosine of small angles [radians], up to 0.2, to the last place or two.

    They are computed by their Taylor series.
    """
    square = angles * angles
    sine, cosine = np.ones_like(angles), np.ones_like(angles)
    for n in range(12, 0, -2):
        sine = 1 - square / (n * (n + 1)) * sine
        cosine = 1 - square / (n * (n - 1)) * cosine
    return angles * sine, cosine
