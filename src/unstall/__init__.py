"""Finds what blocks the event loops of FastAPI, ASGI and asyncio services, and names it."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is slow, and every process under `unstall run` imports this
if TYPE_CHECKING:
    from typing import Any

    from unstall.errors import BlockingCallError, LaneDeadline, LaneFull, LaneTimeout
    from unstall.guard.budget import remaining
    from unstall.guard.switches import switch
    from unstall.integrations.asgi import instrument
    from unstall.integrations.guard import Deadline, Guard
    from unstall.integrations.pools import gate
    from unstall.lanes.lane import Lane
    from unstall.lanes.offload import offload
    from unstall.model.finding import Cause, Finding, Stall
    from unstall.settings import Settings
    from unstall.traps.regions import allow
    from unstall.traps.trap import Trap, trap
    from unstall.watch.monitor import Monitor, Statistics
    from unstall.watch.scope import Scope
    from unstall.watch.section import section
    from unstall.watch.threads import name_limiter

__all__ = [
    "BlockingCallError",
    "Cause",
    "Deadline",
    "Finding",
    "Guard",
    "Lane",
    "LaneDeadline",
    "LaneFull",
    "LaneTimeout",
    "Monitor",
    "Scope",
    "Settings",
    "Stall",
    "Statistics",
    "Trap",
    "allow",
    "gate",
    "instrument",
    "name_limiter",
    "offload",
    "remaining",
    "section",
    "switch",
    "trap",
]

_HOMES = {
    "BlockingCallError": "unstall.errors",
    "Cause": "unstall.model.finding",
    "Deadline": "unstall.integrations.guard",
    "Finding": "unstall.model.finding",
    "Guard": "unstall.integrations.guard",
    "Lane": "unstall.lanes.lane",
    "LaneDeadline": "unstall.errors",
    "LaneFull": "unstall.errors",
    "LaneTimeout": "unstall.errors",
    "Monitor": "unstall.watch.monitor",
    "Scope": "unstall.watch.scope",
    "Settings": "unstall.settings",
    "Stall": "unstall.model.finding",
    "Statistics": "unstall.watch.monitor",
    "Trap": "unstall.traps.trap",
    "allow": "unstall.traps.regions",
    "gate": "unstall.integrations.pools",
    "instrument": "unstall.integrations.asgi",
    "name_limiter": "unstall.watch.threads",
    "offload": "unstall.lanes.offload",
    "remaining": "unstall.guard.budget",
    "section": "unstall.watch.section",
    "switch": "unstall.guard.switches",
    "trap": "unstall.traps.trap",
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
