"""What a benchmark must reach, one line each, and tables above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    figure: str
    goal: str
    holds: bool

    def line(self) -> str:
        return f"BAR {self.name} {self.figure} {self.goal} {'ok' if self.holds else 'short'}"


def exit_code(bars: Sequence[Bar]) -> int:
    """0 only if there are bars and all of them hold."""
    return 0 if bars and all(bar.holds for bar in bars) else 1


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Aligned text; the first `left` columns flush left, figures flush right."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])
