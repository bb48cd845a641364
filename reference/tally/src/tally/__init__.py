"""A real-time analytics API: events in, aggregates out. Acknowledged means committed."""

from __future__ import annotations

__version__ = "0.1.0"
