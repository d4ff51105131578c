"""Settings for every test."""

from __future__ import annotations

import signal

from hypothesis import settings

from suite.system import git

# machines are shared and slow at times: a deadline would fail tests for that
settings.register_profile("tetragrad", deadline=None, derandomize=True, database=None)
settings.load_profile("tetragrad")

# a shell's background job ignores Ctrl-C, and so would the programs that the tests interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

# what a hook is told of its repository: the tests' own commits would go there
git.forget_hook()
