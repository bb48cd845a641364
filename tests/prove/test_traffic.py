"""What counts of a phase: not its warm-up."""

from __future__ import annotations

from unstall.model.anatomy import Held
from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse
from unstall.model.recording import Recording
from unstall.prove.traffic import entries_under_load

SECOND = 1_000_000_000


def rows(at: int, calls: int) -> tuple[Held, Pulse]:
    span = at * SECOND, (at + 1) * SECOND
    held = Histogram.of([SECOND // 10] * calls)
    return Held("1-a", *span, "GET /bill", "request", "", 0, calls, SECOND, held), Pulse(
        "1-a", 1, *span, held, calls
    )


def test_what_was_asked_before_the_load_is_in_no_count_and_in_no_share() -> None:
    (early, before), (first, one), (second, two) = rows(4, 7), rows(5, 2), rows(6, 3)
    recording = Recording(held=(early, first, second), pulses=(before, one, two))
    (cost,) = entries_under_load(recording, 5 * SECOND)
    assert (cost.entry, cost.calls) == ("GET /bill", 5)
    assert cost.share == 0.25
    (whole,) = entries_under_load(recording, 0)
    assert whole.calls == 12
