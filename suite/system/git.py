"""Git, asked about the repository that tracks this source and about no other.

The standard library only: `noxfile.py` uses it where nothing is installed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder of this source: of ``suite``, ``backends`` and ``tasks``."""

# Where a user's settings are and how a remote is reached. Every other name that begins with GIT_ is
# what git tells a hook, an alias or a helper of one repository and one operation.
_KEPT = (
    *("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"),
    *("GIT_SSH", "GIT_SSL_", "GIT_HTTP_", "GIT_PROXY_", "GIT_ASKPASS"),
)
_OURS = {
    "LC_ALL": "C",  # its words are looked into, and shown among ours
    "GIT_OPTIONAL_LOCKS": "0",  # a commit of the user's must not meet a lock of ours
    "GIT_TERMINAL_PROMPT": "0",
}
_TRACKED = "suite/__init__.py"
"""A file of this source, of every revision."""


class GitError(Exception):
    """Git did not do what it was asked to: why, in its own words, on one line."""


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what git tells a hook of the repository that the hook runs for.

    Of the settings in GIT_CONFIG_COUNT only ``safe.directory`` stays: containers set it there.
    """
    kept = {k: v for k, v in environment.items() if k.startswith(_KEPT) or k[:4] != "GIT_"}
    keys = (name for name, value in environment.items() if value.lower() == "safe.directory")
    values = [name.replace("_KEY_", "_VALUE_") for name in keys if name[:15] == "GIT_CONFIG_KEY_"]
    for number, name in enumerate(values):
        kept["GIT_CONFIG_COUNT"] = str(number + 1)
        kept[f"GIT_CONFIG_KEY_{number}"] = "safe.directory"
        kept[f"GIT_CONFIG_VALUE_{number}"] = environment.get(name, "")
    return kept


def forget_hook() -> None:
    """Cleans this process's environment, for programs that start git themselves."""
    environment = cleaned(os.environ)
    os.environ.clear()
    os.environ.update(environment)


def ask(*arguments: str, timeout: float | None = None) -> str:
    """The output of git in the source's folder, stripped. GitError if it fails.

    ``timeout`` [s] bounds the time that it takes.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            env={**cleaned(os.environ), **_OURS},
        )
    except OSError as error:
        raise GitError(f"git cannot be started: {error}") from None
    except subprocess.TimeoutExpired:
        raise GitError(f"git {arguments[0]} was not done after {timeout:g} s") from None
    if done.returncode:
        words = " ".join(done.stderr.split())
        raise GitError(words or f"git {arguments[0]} ended with exit code {done.returncode}")
    return done.stdout.strip()


def require_tracked(timeout: float | None = None) -> None:
    """GitError unless a repository tracks this source.

    An installed source may lie in somebody's repository, in ``project/.venv``: the commits there
    say nothing of it.
    """
    repository = ask("rev-parse", "--show-toplevel", timeout=timeout)
    if not ask("ls-files", "--", _TRACKED, timeout=timeout):
        raise GitError(f"the git repository {repository} does not track this source, {ROOT}")
