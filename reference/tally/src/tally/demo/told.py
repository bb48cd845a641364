"""What the runs came to, side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PODS = 3
COLUMNS = (
    "stage", "billing", "offered", "served", "p50", "p95", "p99", "witness p99", "loop lag p99",
    "stalls", "victims", "verdict",
)  # fmt: skip

SPENT = """\
In the offloaded stage each call that hangs keeps one of the forty threads that all share. They lasted here;
20 events a second spend them in six seconds: tally demo --stage offloaded --rate 20"""


@dataclass(frozen=True, slots=True)
class Played:
    """What `unstall prove` said of one stage."""

    stage: str
    run: Mapping[str, Any]
    """As docs/reference/run-json.md describes it."""
    text: str

    @property
    def verdict(self) -> str:
        """Under the fault. A key of the run itself is left out when it says nothing."""
        verdict: str = self.run["figures"][-1]["verdict"]
        return verdict


def told(played: Sequence[Played]) -> str:
    """The table, what each verdict rests on, and whose fault the worst was."""
    parts = [table(played), "\n".join(line for each in played for line in _because(each))]
    if block := culprit(played):
        parts.append(f"The culprit of the blocking stage:\n\n{block}")
    if any(each.stage == "offloaded" and each.verdict == "isolated" for each in played):
        parts.append(SPENT)
    return "\n\n".join(parts)


def table(played: Sequence[Played]) -> str:
    rows = [COLUMNS, *(row for each in played for row in _rows(each))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(COLUMNS) - 1
    lines = [
        "  ".join(
            cell.ljust(width) if place in (0, 1, last) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def culprit(played: Sequence[Played]) -> str:
    """The first finding of the blocking stage, in unstall's own words."""
    texts = [each.text for each in played if each.stage == "blocking"]
    blocks = (block for text in texts for block in text.split("\n\n"))
    return next((block.rstrip() for block in blocks if re.match(r"US\d{3} ", block)), "")


def _rows(played: Played) -> Iterator[tuple[str, ...]]:
    for phase in played.run["figures"]:
        ingest = next(each for each in phase["streams"] if each["name"] == "ingest")
        times = (*(ingest[f"p{q}_ms"] for q in (50, 95, 99)), _p99(phase), phase["lag_p99_ms"])
        yield (
            "" if phase["fault"] else played.stage,
            f"1 of {PODS} hangs" if phase["fault"] else "well",
            str(ingest["due"]),
            str(ingest["due"] - ingest["dropped"] - ingest["errors"]),
            *map(_time, times),
            str(phase["stalls"]),
            f"{phase['victims']}{'+' if phase['victims_at_least'] else ''}",
            phase["verdict"],
        )


def _p99(phase: Mapping[str, Any]) -> float | None:
    found: float | None = phase["witness"]["p99_ms"] if phase["witness"] else None
    return found


def _because(played: Played) -> Iterator[str]:
    for phase in played.run["figures"]:
        if phase["fault"]:
            yield f"{played.stage} {phase['verdict']}: {phase['because']}"


def _time(ms: float | None) -> str:
    if ms is None:
        return "-"
    return f"{ms / 1e3:.2f} s" if ms >= 1_000 else f"{ms:.1f} ms"
