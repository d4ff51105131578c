"""Pages of the documentation that are made from the program: commands, records, metrics, mistakes.

``nox -s docs`` builds them together with the pages that lie in ``docs/``.
"""
