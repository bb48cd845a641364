"""Finds what blocks the event loops of FastAPI, ASGI and asyncio services, and names it."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is slow, and every process under `unstall run` imports this
if TYPE_CHECKING:
    from typing import Any

    from unstall.errors import LaneDeadline, LaneFull, LaneTimeout
    from unstall.integrations.asgi import instrument
    from unstall.integrations.pools import gate
    from unstall.lanes.lane import Lane
    from unstall.lanes.offload import offload
    from unstall.model.finding import Cause, Finding, Stall
    from unstall.settings import Settings
    from unstall.watch.monitor import Monitor, Statistics
    from unstall.watch.scope import Scope
    from unstall.watch.section import section
    from unstall.watch.threads import name_limiter

__all__ = [
    "Cause",
    "Finding",
    "Lane",
    "LaneDeadline",
    "LaneFull",
    "LaneTimeout",
    "Monitor",
    "Scope",
    "Settings",
    "Stall",
    "Statistics",
    "gate",
    "instrument",
    "name_limiter",
    "offload",
    "section",
]

_HOMES = {
    "Cause": "unstall.model.finding",
    "Finding": "unstall.model.finding",
    "Lane": "unstall.lanes.lane",
    "LaneDeadline": "unstall.errors",
    "LaneFull": "unstall.errors",
    "LaneTimeout": "unstall.errors",
    "Monitor": "unstall.watch.monitor",
    "Scope": "unstall.watch.scope",
    "Settings": "unstall.settings",
    "Stall": "unstall.model.finding",
    "Statistics": "unstall.watch.monitor",
    "gate": "unstall.integrations.pools",
    "instrument": "unstall.integrations.asgi",
    "name_limiter": "unstall.watch.threads",
    "offload": "unstall.lanes.offload",
    "section": "unstall.watch.section",
}


def __getattr__(name: str) -> Any:
    """Names load when they are used: `unstall` is imported by every process under `unstall run`."""
    if name == "__version__":
        from unstall.version import VERSION

        return VERSION
    if name not in _HOMES:
        raise AttributeError(f"module 'unstall' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
