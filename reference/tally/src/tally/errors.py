"""What ends a command with one sentence."""

from __future__ import annotations


class Unable(RuntimeError):
    """What the command needs cannot be had here; the message says what to do."""
