"""What `unstall run` was asked to do besides running the command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    threshold: str | None = None
    """Milliseconds, as typed; None leaves it to the environment."""
    record: Path | None = None
    as_json: bool = False
    quiet: bool = False
    """Nothing but what went wrong with unstall itself."""
    summary: bool = True
    latent: bool = False
    """Tell of calls on the loop that wait for somebody before that somebody is slow."""
    metrics: str | None = None
    """`[HOST:]PORT` where metrics and the live page shall be served, as typed."""
    inside_c: bool = False
    """Ask a process for its stacks while one call in C holds the interpreter lock."""
