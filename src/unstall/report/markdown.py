"""Findings as Markdown, for a comment on a pull request or the summary of a job."""

from __future__ import annotations

from collections.abc import Iterator

from unstall.model.report import Report
from unstall.report.audit import (
    Group,
    also,
    entered,
    headline,
    hidden,
    place_of,
    sections,
    sentence,
    time_outs_of,
)
from unstall.report.chain import chain_of, shown

MOST_CHARACTERS = 60_000
"""A comment on GitHub takes 65,536."""


def render(report: Report) -> str:
    """Without a final newline; what does not fit is counted at the end."""
    urgent, notes, startup = sections(report.findings)
    time_outs = time_outs_of(report)
    parts = [f"### unstall: {plain(headline(report))}"]
    if urgent:
        parts.append(_table(urgent))
    tail = [part for part in (_brief("Notes", notes), _brief("Start-up", startup)) if part]
    tail.append("\n".join(_summary(report)))
    room = MOST_CHARACTERS - sum(map(len, (*parts, *tail)))
    left = len(urgent)
    for group in urgent:
        detail = _detail(group, time_outs.get(group.first.fingerprint, ""))
        if (room := room - len(detail)) < 0:
            break
        parts.append(detail)
        left -= 1
    if left:
        parts.append(f"_{left} more do not fit here._")
    return "\n\n".join(part for part in (*parts, *tail) if part)[: MOST_CHARACTERS + 2_000]


def _table(groups: tuple[Group, ...]) -> str:
    rows = ["| | where | what | from |", "|---|---|---|---|"]
    rows += [
        f"| {_SIGNS[group.first.severity]} | {code(place_of(group.first))} | {group.first.code} "
        f"{plain(group.first.title)} | {plain(entered(group, most=2))} |"
        for group in groups[:_MOST_ROWS]
    ]
    more = [f"_and {len(groups) - _MOST_ROWS} more_"] if len(groups) > _MOST_ROWS else []
    return "\n".join(rows) + "".join(f"\n\n{text}" for text in more)


_MOST_ROWS = 30
_SIGNS = {"error": "🔴", "warning": "🟡", "note": "🔵"}


def _detail(group: Group, time_out: str) -> str:
    finding = group.first
    rows = [f"**Chain** {code(shown(chain_of(finding)))}" if finding.site else ""]
    rows += [f"**Also** {code(text)}" for text in (also(group) if finding.site else ())]
    if group.entries:
        rows.append(f"**Entries** {plain(entered(group, most=10))}")
    if time_out:
        rows.append(f"**Time-out** {plain(time_out)}")
    rows.append(f"**Remedy** {plain(finding.remedy.summary)}")
    if finding.confidence != "certain":
        rows.append(f"_{finding.confidence}, not certain_")
    body = "\n".join(f"- {row}" for row in rows if row)
    head = f"{finding.code} {plain(finding.title)}: <code>{_html(place_of(finding))}</code>"
    return (
        f"<details><summary>{head}</summary>\n\n{plain(sentence(finding))}\n\n{body}\n\n</details>"
    )


def _brief(title: str, groups: tuple[Group, ...]) -> str:
    if not groups:
        return ""
    rows = [
        f"- {code(place_of(group.first))} {group.first.code} {plain(sentence(group.first))}"
        for group in groups[:_MOST_ROWS]
    ]
    if len(groups) > _MOST_ROWS:
        rows.append(f"- and {len(groups) - _MOST_ROWS} more")
    body = "\n".join(rows)
    return f"<details><summary>{title} ({len(groups)})</summary>\n\n{body}\n\n</details>"


def _summary(report: Report) -> Iterator[str]:
    if any(report.hidden.values()):
        yield f"- not shown: {plain(hidden(report.hidden))}"
    if report.waived:
        yield f"- waived: {len(report.waived)}"
    for text in (*report.objections, *report.remarks, *report.gaps):
        yield f"- {plain(text)}"


def code(text: str) -> str:
    """Inside backticks nothing is markup but they themselves, and the bar of a table."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"


_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]|#"})


def plain(text: str) -> str:
    return _html(" ".join(text.split())).translate(_SPECIAL)


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
