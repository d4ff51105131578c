"""Findings: what a check looked at, what it found, and why; for people, for CI and as exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from suite.system.files import write_text
from tasks.paths import because
from tasks.task import RequestError


@dataclass(frozen=True)
class Finding:
    """One thing that was checked, such as ``fashion_mlp numpy:eager: test_accuracy``."""

    name: str
    verdict: str
    """In a word or two, such as ``same``, ``slower`` or ``above its band``."""
    reason: str
    """Why, with the numbers."""
    passed: bool | None = True
    """None where nothing could be said: it counts neither way."""

    @property
    def place(self) -> str:
        """The part of its name that says of which task and backend it is, if it is of one."""
        return self.name.rpartition(": ")[0]

    @property
    def what(self) -> str:
        """The quantity that was checked there."""
        return self.name.rpartition(": ")[2]


@dataclass(frozen=True)
class Findings:
    """All that one check found, under its title."""

    title: str
    found: tuple[Finding, ...]
    about: tuple[str, ...] = ()
    """Lines that say what was compared with what."""

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Those that did not pass."""
        return tuple(f for f in self.found if f.passed is False)

    @property
    def summary(self) -> str:
        """How many checks passed: ``all 20 checks passed``, ``2 of 20 checks failed``."""
        count, failed = len(self.found), len(self.failed)
        nothing = sum(f.passed is None for f in self.found)
        if failed:
            said = f"{failed} of {count} checks failed"
        else:
            said = f"{f'{count - nothing} of {count}' if nothing else f'all {count}'} checks passed"
        return f"{said}, {nothing} without a verdict" if nothing else said

    @property
    def exit_code(self) -> int:
        """0 if something was found and none of it failed, else 1."""
        return 0 if any(f.passed for f in self.found) and not self.failed else 1

    def markdown(self) -> str:
        """The failed findings, each with its reason, then a table of all, as Markdown."""
        lines = [f"# {plain(self.title)}", ""]
        lines += [line for text in self.about for line in (plain(text), "")]
        lines += [f"{self.summary.capitalize()}.", ""]
        lines += [f"- **{plain(f.name)}**: {plain(f.reason)}" for f in self.failed]
        lines += [""] if self.failed else []
        lines += ["| | checked | verdict | reason |", "|---|---|---|---|"]
        lines += [
            f"| {_MARKS[f.passed]} | {plain(f.name)} | {plain(f.verdict)} | {plain(f.reason)} |"
            for f in self.found
        ]
        return "\n".join(lines) + "\n"

    def junit(self) -> str:
        """JUnit XML: a test suite of the title with a test case for every finding."""
        suite = ElementTree.Element(
            "testsuite",
            name=_printable(self.title),
            tests=str(len(self.found)),
            failures=str(len(self.failed)),
            errors="0",
            skipped=str(sum(f.passed is None for f in self.found)),
        )
        for finding in self.found:
            case = ElementTree.SubElement(
                suite, "testcase", classname=_printable(self.title), name=_printable(finding.name)
            )
            said = _printable(f"{finding.verdict}: {finding.reason}")
            if finding.passed:
                ElementTree.SubElement(case, "system-out").text = said
            else:
                kind = "skipped" if finding.passed is None else "failure"
                ElementTree.SubElement(case, kind, message=said)
        suites = ElementTree.Element("testsuites")
        suites.append(suite)
        ElementTree.indent(suites)
        return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"

    def write(self, markdown: Path | None, junit: Path | None) -> None:
        """Writes what is asked for. RequestError if it cannot be written."""
        for path, text in ((markdown, self.markdown()), (junit, self.junit())):
            try:
                if path:
                    write_text(path, text)
            except OSError as error:
                raise RequestError(f"{path} cannot be written {because(error)}") from None


_MARKS = {True: "✅", False: "❌", None: "⚪"}


def plain(text: str) -> str:
    """Text on one line that Markdown takes for text. An underscore within a word is one already."""
    for special in ("\\", "`", "*", "<", "|"):
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())


def _printable(text: str) -> str:
    """Without the characters that XML cannot have."""
    return "".join(c for c in text if c in "\t\n" or c >= " ")
