from __future__ import annotations

from tally.errors import Unable


class StackError(Unable):
    """A part of the stack cannot run here."""
