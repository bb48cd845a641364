"""Faults of TCP upstreams: a proxy in front of each, on a thread and a loop of its own.

with Chaos(seed=7) as chaos:
    proxy = chaos.proxy("BILLING_URL", [("127.0.0.1", 5432)])
    proxy.add("hang", seconds=15, probability=0.05)
"""

from __future__ import annotations

from unstall.chaos.chaos import Chaos, Proxy, Toxic

__all__ = ["Chaos", "Proxy", "Toxic"]
