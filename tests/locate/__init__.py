"""Planted mistakes once more: does ``verify`` name the operation that each of them is in?

``python -m tests.locate --help``.
"""
