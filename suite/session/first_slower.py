"""``tetragrad compare --bisect``: the commit that made something slower."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from suite.records.findings import Finding
from suite.session.bisect import Answer, first_showing
from suite.system import revisions
from suite.system.revisions import Side


def first_slower(
    commits: Sequence[str],
    last: Sequence[Finding],
    compared: Callable[[Side, str], Finding],
    say: Callable[[str], None],
) -> list[Finding]:
    """The findings on the ``last`` revision, with the commit that made the slower one so.

    Of several that are slower, the first is looked for. ``commits`` lie before it, oldest first;
    ``compared`` holds one of them against the base, in the task and backend of a finding's name. A
    commit that shows nothing for certain, or cannot be run, is left out and told.
    """
    slow = [finding for finding in last if finding.verdict == "slower"]
    if not slow:
        return list(last)
    looked_at: set[str] = set()
    name = slow[0].name

    def test(at: int) -> Answer:
        commit = commits[at]
        with revisions.checked_out(commit) as tree:
            own = compared(Side(revisions.short(commit), tree), name)
        looked_at.add(commit)
        say(f"  {revisions.titled(commit)}: {own.verdict} ({own.reason})")
        return {"slower": True, "same": False, "faster": False}.get(own.verdict)

    _, bad, untold = first_showing(len(commits), test)
    culprit = revisions.titled(commits[bad]) if bad < len(commits) else "the last revision"
    between = ", ".join(revisions.short(commits[at]) for at in untold)
    doubt = f" (or one of {between}, of which it cannot be told)" if untold else ""
    said = f"since {culprit}{doubt}, {len(looked_at)} commits timed: {slow[0].reason}"
    return [replace(f, reason=said) if f.name == name else f for f in last]
