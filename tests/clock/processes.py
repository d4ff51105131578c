"""Differences of two processes of one build: ``python -m tests.clock.processes [TASK] [BACKEND]``.

Times pairs of the same for so long that chance within a pair is small, and takes that off what the
pairs' ratios vary by. What is left is ``timings.PROCESS``.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from suite.records.record import Record
from suite.session.race import Race
from tests.clock.trials import now, quick_cell

PAIRS = 12
SECONDS = 25.0
NEVER_SURE = 1 - 1e-12


def main() -> None:
    name, backend = (*sys.argv[1:], *("fashion_mlp", "numpy")[len(sys.argv) - 1 :])
    cell = quick_cell(name, backend)
    logs, errors = [], []
    for pair in range(PAIRS):
        records = [Record("pair", replace(cell, seed=pair), now(), verified=True) for _ in range(2)]
        race = Race(records, 3600, SECONDS, lambda record, event: None, confidence=NEVER_SURE)
        race.time()
        assert race.timing
        first, second = (np.array(c.seconds) for c in race.timing.contestants)
        own = np.log(first / second)
        logs.append(float(np.median(own)))
        # of a median, from the quartiles, as if normal
        quarter, three_quarters = np.quantile(own, [0.25, 0.75])
        errors.append(float(1.2533 * (three_quarters - quarter) / 1.349 / np.sqrt(len(own))))
        print(f"{pair:3} {np.exp(logs[-1]):.4f} +- {errors[-1]:.4f}, {len(own)} rounds", flush=True)
    within = float(np.mean(np.square(errors)))
    between = max(0.0, float(np.mean(np.square(logs))) - within)
    print(
        f"{name} in {cell.backend_label}: pairs differ by {between**0.5:.2%} (standard deviation) "
        f"beyond the {within**0.5:.2%} of chance within one"
    )


if __name__ == "__main__":
    main()
