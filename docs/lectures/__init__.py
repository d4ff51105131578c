"""The chapter for teachers: each concept with its formula, its implementations and a picture.

Concepts are data; ``docs.handbook.lectures`` makes pages of them, with code from the sources.
"""
