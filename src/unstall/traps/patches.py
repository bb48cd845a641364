"""Attributes of modules and classes, replaced and put back."""

from __future__ import annotations

from typing import Any

_INHERITED = object()


class Patches:
    """What was replaced, the newest last."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def put(self, owner: Any, name: str, ours: Any) -> None:
        """Raises AttributeError or TypeError if `owner` does not let itself be changed."""
        own = vars(owner).get(name, _INHERITED)
        setattr(owner, name, ours)
        self._done.append((owner, name, own, ours))

    def restore(self) -> None:
        """What somebody has wrapped again since stays: ours is inside of it, and does nothing any more."""
        while self._done:
            owner, name, own, ours = self._done.pop()
            if vars(owner).get(name) is not ours:
                continue
            if own is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
