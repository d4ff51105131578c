"""Packages outside the house, installed by pip and proved as their users would do it."""
