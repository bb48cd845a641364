"""Where code was: one frame, and a stack of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of packages that were installed."""


class Owner(enum.StrEnum):
    """Whose code a frame runs."""

    APP = "app"
    LIBRARY = "library"
    STDLIB = "stdlib"
    SELF = "unstall"


@dataclass(frozen=True, slots=True)
class Frame:
    """One Python frame."""

    file: str
    """Relative to the project root with `/` where it lies below it, else absolute."""
    line: int
    function: str
    """Qualified name inside the module: `Repo.load`."""
    module: str
    owner: Owner
    call: str = ""
    """The call under way on that line, without its arguments: `requests.get`; empty if unknown."""

    @property
    def dotted(self) -> str:
        return f"{self.module}.{self.function}"


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames of one thread, outermost first."""

    frames: tuple[Frame, ...]
    cut: int = 0
    """How many outer frames were left out because the stack was too deep."""
