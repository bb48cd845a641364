"""Entries as the lines of a recording."""

from __future__ import annotations

from unstall.model.recording import Entry, LineWriter


def line_of(entry: Entry) -> str:
    """Its own line, without those of its frames."""
    return LineWriter().lines(entry)[-1]
