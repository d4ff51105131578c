"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

# machines are shared and slow at times: a deadline would fail tests for that
settings.register_profile("tetragrad", deadline=None, derandomize=True, database=None)
settings.load_profile("tetragrad")
