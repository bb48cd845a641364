"""Findings as GitHub workflow commands: annotations on the lines of a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unstall.model.finding import Finding, Severity
from unstall.model.report import Report
from unstall.report.audit import headline, place_of, sentence
from unstall.report.chain import chain_of, shown

MOST_OF_A_KIND = 10
"""GitHub shows no more annotations of one kind from one step."""

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report) -> str:
    """Without a final newline. What would not be shown as an annotation is a plain line of the log."""
    shown_: list[str] = []
    rest: list[str] = []
    for severity, command in _COMMANDS.items():
        found = [each for each in report.findings if each.severity is severity]
        shown_ += [annotation(command, each) for each in found[:MOST_OF_A_KIND]]
        rest += [_line(each) for each in found[MOST_OF_A_KIND:]]
    said = [f"::error title=unstall::{data(text)}" for text in report.objections]
    if rest:
        said.append(f"GitHub shows {MOST_OF_A_KIND} annotations of a kind; the others are:")
    told = [*report.remarks, *report.gaps]
    return "\n".join([*shown_, *said, *rest, *map(plain, told), plain(headline(report))])


def annotation(command: str, finding: Finding) -> str:
    """On the line of its site."""
    given = {"title": f"{finding.code} {finding.title}"}
    if finding.site is not None:
        given = {"file": finding.site.file, "line": str(max(1, finding.site.line))} | given
    return f"::{command} {_properties(given)}::{data(_message(finding))}"


def _message(finding: Finding) -> str:
    parts: Sequence[str] = (
        sentence(finding),
        shown(chain_of(finding)) if finding.site else "",
        f"Remedy: {finding.remedy.summary}",
    )
    return "\n".join(part for part in parts if part)


def _line(finding: Finding) -> str:
    return plain(f"{finding.severity} {place_of(finding)} {finding.code} {sentence(finding)}")


def _properties(given: Mapping[str, str]) -> str:
    return ",".join(
        f"{name}={data(text).replace(':', '%3A').replace(',', '%2C')}"
        for name, text in given.items()
    )


def data(text: str) -> str:
    """What stands in a command; as it is, a line break would end it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def plain(text: str) -> str:
    """A line of the log that is no command, whatever it holds."""
    return " ".join(text.split()).replace("::", ": :").replace("##[", "## [")
