"""Which frames belong to a step, on loops with frames of their own, without, and on greenlets."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import FrameType

import greenlet  # type: ignore[import-untyped]
import pytest
import uvloop

from unstall.watch.ground import Ground

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def beat(ground: Ground) -> None:
    """As a heartbeat does."""
    ground.note(sys._getframe(1))


def seen_in(loop: asyncio.AbstractEventLoop, look: Callable[[Ground], None]) -> None:
    ground = Ground()
    loop.call_soon(beat, ground)
    loop.call_soon(look, ground)
    loop.call_soon(loop.stop)
    loop.run_forever()  # with no runner below it
    loop.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_the_outermost_frame_of_a_callback_is_found_on_every_loop(loop: str) -> None:
    names: list[str | None] = []

    def look(ground: Ground) -> None:
        inner(ground)

    def inner(ground: Ground) -> None:
        frame = ground.callback(list(ground.frames(sys._getframe())))
        names.append(frame.f_code.co_name if frame is not None else None)

    seen_in(LOOPS[loop](), look)
    assert names == ["look"]


def test_who_started_a_loop_without_frames_is_no_part_of_its_steps() -> None:
    names: list[str] = []

    def look(ground: Ground) -> None:
        names.extend(frame.f_code.co_name for frame in ground.frames(sys._getframe()))

    seen_in(uvloop.new_event_loop(), look)
    assert names == ["look"]


def test_an_idle_loop_runs_no_callback() -> None:
    starters: list[FrameType] = []
    grounds: list[Ground] = []

    def look(ground: Ground) -> None:
        grounds.append(ground)
        starters.append(sys._getframe(1))  # what is on the stack while uvloop waits for events

    seen_in(uvloop.new_event_loop(), look)
    frames = list(grounds[0].frames(starters[0]))
    assert frames == []
    assert grounds[0].callback(frames) is None


def test_before_the_first_beat_nothing_is_cut_off() -> None:
    frames = list(Ground().frames(sys._getframe()))
    assert frames[0] is sys._getframe()
    assert len(frames) > 1


def test_a_step_goes_on_below_the_greenlet_that_it_switched_to() -> None:
    names: list[str] = []
    ground = Ground()
    ground.note(None)

    def inside() -> None:
        names.extend(frame.f_code.co_name for frame in ground.frames(sys._getframe()))

    def switches() -> None:
        greenlet.greenlet(inside).switch()

    switches()
    assert names[:3] == ["inside", "switches", sys._getframe().f_code.co_name]


def test_frames_are_told_once_where_no_greenlet_was_switched_to() -> None:
    ground = Ground()
    ground.note(None)
    frames = list(ground.frames(sys._getframe()))
    assert len(set(map(id, frames))) == len(frames)
