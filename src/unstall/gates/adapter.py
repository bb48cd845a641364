"""What a library's adapter says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from unstall.gates.gate import Kind
from unstall.gates.patches import Patches
from unstall.gates.registry import Registry

Install = Callable[[ModuleType, Patches, Registry], None]


@dataclass(frozen=True, slots=True)
class Hook:
    """Replaces methods of a module once it has been imported."""

    module: str
    install: Install


@dataclass(frozen=True, slots=True)
class Adapter:
    """One library."""

    takes: str
    """What its users hand to `unstall.gate`."""
    kinds: tuple[Kind, ...]
    hooks: tuple[Hook, ...]
    pools_of: Callable[[Any], list[tuple[Any, Kind]]]
    """The pools behind such a thing; none when it belongs to another library."""


def is_a(thing: object, package: str, name: str) -> bool:
    """Whether a class of that name and package is among the thing's, without an import of its library.

    The module is not asked for: libraries move their classes, and say of them what reads well.
    """
    return any(
        cls.__name__ == name and f"{cls.__module__}.".startswith(f"{package}.")
        for cls in type(thing).__mro__
    )
