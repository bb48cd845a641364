"""One loop as its watchdog sees it: what a stretch says of the watchdog itself."""

from __future__ import annotations

import asyncio
from unittest.mock import create_autospec

import pytest

from unstall.model.observation import Doubts, Stretch
from unstall.settings import Settings
from unstall.testing import ns_of
from unstall.watch.carried import Carried
from unstall.watch.door import Door
from unstall.watch.garbage import Garbage
from unstall.watch.heartbeat import Late
from unstall.watch.lateness import Lateness
from unstall.watch.startup import StartUp
from unstall.watch.subject import Subject


def stretch_of(late: Late, doubts: Doubts) -> Stretch:
    async def main() -> Stretch:
        subject = Subject(
            "p", 1, asyncio.get_running_loop(), Settings(), lambda _: None,
            Carried(lambda _: None), StartUp(0), Door(),
        )  # fmt: skip
        lateness = create_autospec(Lateness, instance=True)
        lateness.doubts.return_value = doubts
        try:
            return subject._stretch(late, None, lateness, Garbage())
        finally:
            assert lateness.doubts.call_args.kwargs == {"queued": True}
            subject.release()

    return asyncio.run(main())


@pytest.mark.parametrize(("cpu_ms", "stopped_ms"), [(480, 20), (10, 450), (0, 450), (600, 0)])
def test_a_process_whose_loop_computed_was_not_off_the_processors_meanwhile(
    cpu_ms: float, stopped_ms: float
) -> None:
    late = Late(0, ns_of(20), ns_of(500), ns_of(cpu_ms), 0, 0, 0)
    stretch = stretch_of(late, Doubts(stopped_ns=ns_of(450)))
    assert stretch.doubts.stopped_ns == ns_of(stopped_ms)
