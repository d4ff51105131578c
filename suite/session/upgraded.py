"""The findings on an upgrade as one table: a row for every task and backend."""

from __future__ import annotations

from collections.abc import Iterator

from suite.records.findings import Finding, Findings, plain


class Upgraded(Findings):
    """Findings on an upgrade. All that is the same is one line."""

    @property
    def telling(self) -> tuple[Finding, ...]:
        """Those that are not the same: what there is to be read."""
        return tuple(f for f in self.found if not (f.passed and f.verdict.startswith("same")))

    def markdown(self) -> str:
        """The changes, a table of verdicts, and a line for each that is not the same."""
        lines = [f"# {plain(self.title)}", "", *map(plain, self.about), ""]
        if not self.telling:
            return "\n".join([*lines, f"All the same: {len(self.found)} checked."]) + "\n"
        lines += [*self._table(), ""]
        lines += [
            f"- **{plain(f.name)}** {plain(f.verdict)}: {plain(f.reason)}" for f in self.telling
        ]
        return "\n".join(lines) + "\n"

    def _table(self) -> Iterator[str]:
        """By task and backend, what was checked there."""
        rows: dict[str, dict[str, str]] = {}
        for finding in self.found:
            rows.setdefault(finding.place, {})[finding.what] = finding.verdict
        columns = list(dict.fromkeys(what for row in rows.values() for what in row))
        yield f"| | {' | '.join(columns)} |"
        yield f"|---{'|---' * len(columns)}|"
        for place, row in rows.items():
            yield f"| {plain(place)} | {' | '.join(plain(row.get(w, '-')) for w in columns)} |"
