"""Attributes of modules and classes, replaced and put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_INHERITED = object()


class Function(staticmethod):  # type: ignore[type-arg]
    """Like a function in C it becomes no method in a class, and is pickled and copied by its name."""

    def __init__(self, ours: Callable[..., Any], module: str) -> None:
        """`module` is where it is put: a process without a trap finds the original there."""
        super().__init__(ours)
        self.__module__ = module

    @property
    def _original(self) -> Any:
        return vars(self.__func__)["__wrapped__"]

    def __eq__(self, other: object) -> bool:
        """`os.stat in os.supports_fd` and its like hold as without us."""
        return self is other or bool(self._original == other)

    def __hash__(self) -> int:
        return hash(self._original)

    def __reduce__(self) -> str:
        return str(self.__name__)


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
