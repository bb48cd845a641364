"""Metrics of all workers of a server, and its live page, served by threads that no event loop can hold up."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is slow, and processes under `unstall run` may import this
if TYPE_CHECKING:
    from typing import Any

    from unstall.export.exporter import Exporter

__all__ = ["Exporter"]


def __getattr__(name: str) -> Any:
    if name != "Exporter":
        raise AttributeError(f"module 'unstall.export' has no attribute {name!r}")
    from unstall.export.exporter import Exporter

    return Exporter
