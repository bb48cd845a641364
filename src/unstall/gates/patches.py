"""Methods of somebody else's classes, replaced and put back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

Make = Callable[[Callable[..., Any]], Callable[..., Any]]
"""From the original function to ours."""


class Patches:
    """What was replaced, and how to put it back."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def wrap(self, owner: Any, name: str, make: Make) -> None:
        """Raises LookupError when the class has no such method of its own: its library has changed."""
        original = vars(owner).get(name)
        if original is None:
            raise LookupError(f"{owner.__module__}.{owner.__qualname__} has no {name}")
        if isinstance(original, classmethod):
            ours: Any = classmethod(wraps(original.__func__)(make(original.__func__)))
        else:
            ours = wraps(original)(make(original))
        setattr(owner, name, ours)
        self._done.append((owner, name, original, ours))

    def restore(self) -> None:
        """What somebody has wrapped again since stays, and does nothing more than call the original."""
        while self._done:
            owner, name, original, ours = self._done.pop()
            if vars(owner).get(name) is ours:
                setattr(owner, name, original)
