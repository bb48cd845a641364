"""Head lines, labelled rows and tables as they stand on a terminal: wrapped, and coloured if wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from unstall.model.finding import Severity
from unstall.model.report import Verdict
from unstall.report.units import clean

WIDTH = 100
_INDENT = "  "
_LABEL_WIDTH = 10

_COLOURS = {
    "": "\033[0m",
    "bold": "\033[1m",
    "dim": "\033[2m",
    "bad": "\033[31m",
    "good": "\033[32m",
    "fair": "\033[33m",
    Severity.ERROR: "\033[1;31m",
    Severity.WARNING: "\033[1;33m",
    Severity.NOTE: "\033[1;36m",
    Verdict.FINDINGS: "\033[1;31m",
    Verdict.CLEAN: "\033[1;32m",
    Verdict.NOT_ENOUGH_DATA: "\033[1;33m",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled sentence; wrapped under itself."""

    label: str
    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A head line and its rows; `mark` stands at the right edge of the head."""

    head: str
    rows: tuple[Row, ...]
    mark: str = ""
    lead: str = ""
    """A sentence below the head."""


def lines_of(block: Block, colour: bool, style: str = "bold", width: int = WIDTH) -> list[str]:
    lines = []
    if block.head:
        room = width - len(block.mark) - 2 if block.mark else width - len(_INDENT)
        first, *rest = wrapped(block.head, room)
        gap = " " * (width - len(first) - len(block.mark)) if block.mark else ""
        lines.append(paint(first, style, colour) + gap + paint(block.mark, block.mark, colour))
        lines += [_INDENT + paint(line, style, colour) for line in rest]
    if block.lead:
        lines += [_INDENT + line for line in wrapped(block.lead, width - len(_INDENT))]
    for row in block.rows:
        lines += _row(row, colour, width)
    return lines


def table_of(lines: Sequence[str], colour: bool) -> list[str]:
    head, *rows = lines
    return [paint(head, "dim", colour), *rows]


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`; a name longer than that is cut, never at its hyphens."""
    return wrap(clean(text), width, break_on_hyphens=False) or [""]


def hanging(texts: Iterable[str], width: int) -> list[str]:
    """Each text on a line of its own; what does not fit stands below it, further in."""
    return [
        (_INDENT if number == 0 else 2 * _INDENT) + line
        for text in texts
        for number, line in enumerate(wrapped(text, width - 2 * len(_INDENT)))
    ]


def paint(text: str, style: str, colour: bool) -> str:
    if not colour or not style or not text.strip():
        return text
    return f"{_COLOURS[style]}{text}{_COLOURS['']}"


def _row(row: Row, colour: bool, width: int) -> Iterator[str]:
    texts = wrapped(row.text, width - len(_INDENT) - _LABEL_WIDTH)
    for number, text in enumerate(texts):
        label = (row.label if number == 0 else "").ljust(_LABEL_WIDTH)
        yield _INDENT + paint(label, "dim", colour) + paint(text, row.style, colour)
