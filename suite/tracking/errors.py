"""Errors of MLflow's stores, in words that say what to do and keep passwords to themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from suite.tracking.remedies import remedy


class TrackingError(Exception):
    """MLflow could not be reached or refused; the record is safe on disk."""


class ExperimentDeleted(TrackingError):
    """A task's experiment was deleted by hand: nothing can be sent there, but to others."""


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """MLflow's stores raise errors of many libraries: they all become TrackingError."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        said = f"{uri}: {type(error).__name__}: {first_line}"
        told = "; ".join(filter(None, (said, remedy(uri, str(error)))))
        raise TrackingError(without_secrets(told)) from error


def without_secrets(text: str) -> str:
    """``text`` with user, password and query values of every address in it struck out."""
    text = re.sub(r"//[^/\s]*@", "//***@", text)
    return re.sub(r"([?&][^=&\s]+=)[^&\s)'\"]+", r"\1***", text)
