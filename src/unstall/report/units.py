"""How numbers and names are written for people."""

from __future__ import annotations

from collections.abc import Sequence


def duration(ns: int) -> str:
    """`0.4 us`, `12 us`, `1.2 ms`, `120 ms`, `1.20 s`."""
    us = ns / 1e3
    if us < 1_000:
        return f"{us:.1f} us" if us < 10 else f"{us:.0f} us"
    return milliseconds(us / 1e3)


def milliseconds(ms: float) -> str:
    if ms < 10:
        return f"{ms:.1f} ms"
    return f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1e3:.2f} s"


def counted(number: int, word: str) -> str:
    """`1 entry`, `3 entries`."""
    if number == 1:
        return f"1 {word}"
    if word.endswith("y"):
        return f"{number} {word[:-1]}ies"
    return f"{number} {word}es" if word.endswith("s") else f"{number} {word}s"


def clean(text: str) -> str:
    """A request id comes from a stranger: what could steer a terminal is not passed on."""
    return "".join(char if char.isprintable() else "?" for char in text)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, the others to the right, two spaces between."""
    return [f"  {line}" for line in columns([heads, *rows])]


def columns(
    rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,), gap: int = 2
) -> list[str]:
    """A line for each row; the columns with the numbers in `left` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    between = " " * gap
    return [
        clean(between.join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )).rstrip()
        for row in rows
    ]  # fmt: skip
