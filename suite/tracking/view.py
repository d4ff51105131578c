"""The view of MLflow's page of runs: cells without their sessions, with the columns that matter.

MLflow (3.17) keeps a view that is shared as a tag of the experiment, and finds it by the key in the
page's address. Runs are nested there only while they are in the order of their time, so cells in
the order of their sessions need no unfolding.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from suite.tracking.entries import SESSION_TAG, speed_name

KEY = "tetragrad"
TAG = f"mlflow.sharedViewState.{KEY}"
ADDRESS = f"&viewStateShareKey={KEY}"
"""The end of the address of a page that is to show it."""


def state(metrics: Iterable[str], units: Iterable[str]) -> str:
    """The tag's text: cells of the latest session first, with ``metrics``, speeds in ``units``."""
    session = f"tags.`{SESSION_TAG}`"
    columns = [
        "tags.`verified`",
        *(f"metrics.`{name}`" for name in (*metrics, *map(speed_name, units))),
        *("metrics.`peak_memory_bytes`", "params.`profile`", "tags.`data`", session),
    ]
    return json.dumps(
        {
            "searchFilter": "tags.`outcome` LIKE '%'",  # what sessions' own runs have not
            "orderByKey": session,
            "orderByAsc": False,
            "selectedColumns": columns,
            "columnOrder": columns,
            "columnWidths": {name: max(90, 8 * len(name.split("`")[1]) + 30) for name in columns},
        }
    )
