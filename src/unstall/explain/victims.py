"""Who waited, counted once each, however many stalls in a row they waited through."""

from __future__ import annotations

from collections.abc import Iterable

from unstall.model.finding import Stall


def distinct_victims(stalls: Iterable[Stall]) -> int:
    """Requests are served in the order they came, so the victims of a stall are a range of numbers.

    Those in flight are the last that had begun, those at the door the next that will. Ranges of stalls
    that follow each other overlap where a request waited through both.
    """
    ranges: dict[str, list[tuple[int, int]]] = {}
    for stall in stalls:
        first = stall.served_before - stall.waiting_in_flight
        last = stall.served_before + stall.at_door
        ranges.setdefault(stall.process, []).append((first, last))
    return sum(_covered(sorted(each)) for each in ranges.values())


def _covered(ranges: list[tuple[int, int]]) -> int:
    total, reached = 0, -1
    for first, last in ranges:
        total += max(0, last - max(first, reached))
        reached = max(reached, last)
    return total
