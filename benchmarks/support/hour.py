"""An hour of the worst plausible content through the real Recorder, as fast as it goes.

    python -m benchmarks.support.hour MEASURE CONTENT SECONDS     prints what it holds as JSON

MEASURE is `traced` (tracemalloc) or `rss`; CONTENT is `plausible` or `endless`. Run in a fresh process.

Each second brings a pulse of 50 distinct lags and 1,000 requests through the ASGI scope (100 where
tracing makes them slow); every other second a stall that was looked at 40 times, each time with another
stack of 90 frames, read from live frames by the real reader. Plausible stacks come from 3,000 functions,
as of a large service with its libraries; endless ones from 30,000, as of a service that generates code:
three times what the reader keeps, so that equal frames are not shared.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.support.machine import rss_kib
from unstall.model.histogram import HistogramBuilder
from unstall.model.observation import Doubts, Look, Loop, Pulse, Request, Stretch, Wait
from unstall.settings import Settings
from unstall.watch.ground import Ground
from unstall.watch.recorder import Recorder
from unstall.watch.scope import Scope
from unstall.watch.stacks import Glimpse, Places, StackReader, glimpse_of

FUNCTIONS = {"plausible": 3_000, "endless": 30_000}
PER_MODULE = 100
DEEP, LOOKS = 90, 40
REQUESTS_A_SECOND = 1_000
SECOND_NS = 1_000_000_000
PROCESS = "4242-c0ffee"

Then = Callable[[], Glimpse]
Step = Callable[[tuple[Any, ...], Then], Glimpse]


@dataclass(frozen=True, slots=True)
class Held:
    held_mib: float
    peak_mib: float
    """The most that was held at once; for `rss` the same as `held_mib`."""
    stretches: int
    pulses: int
    looks: int
    fed_stretches: int
    dropped: dict[str, int]


def written(folder: Path, count: int) -> list[Step]:
    """Functions in real files, each of which calls the next of a given chain."""
    steps: list[Step] = []
    for number in range(count // PER_MODULE):
        lines = [
            f"def load_part_{number}_{n}_of_the_report(rest, then):\n"
            "    return rest[0](rest[1:], then) if rest else then()\n"
            for n in range(PER_MODULE)
        ]
        file = folder / f"service_module_{number}.py"
        file.write_text("\n".join(lines))
        names: dict[str, Any] = {"__name__": f"service.module_{number}"}
        exec(compile(file.read_text(), str(file), "exec"), names)
        steps += [value for name, value in names.items() if name.startswith("load_")]
    return steps


def now() -> Glimpse:
    return glimpse_of(list(Ground().frames(sys._getframe())))


class Hour:
    def __init__(self, folder: Path, steps: list[Step]) -> None:
        self._settings = Settings(root=folder)
        self._chance = random.Random(1)
        self._steps = steps
        self._reader = StackReader(Places(folder))
        self.recorder = Recorder(self._settings.keep_stretches, self._settings.keep_pulses)
        self.fed = 0

    def feed(self, seconds: int, through_scope: int) -> None:
        self.recorder.loop(Loop(PROCESS, 1, "uvloop.Loop", "MainThread"))
        for second in range(seconds):
            serve(through_scope)
            self.recorder.pulse(self.pulse(second * SECOND_NS))
            if second % 2 == 0:
                self.recorder.stretch(self.stretch(second * SECOND_NS))
                self.fed += 1

    def pulse(self, at: int) -> Pulse:
        lags = HistogramBuilder()
        for n in range(50):
            lags.add(int(2_000 * 1.25**n * self._chance.uniform(0.9, 1.1)))
        return Pulse(PROCESS, 1, at, at + SECOND_NS, lags.freeze(), REQUESTS_A_SECOND)

    def stretch(self, at: int) -> Stretch:
        """Put together as Subject does it."""
        late = self._chance.randrange(101_000_000, 900_000_000)
        looks = [self.look(at + n * 10_000_000) for n in range(LOOKS)]
        keep = self._settings.keep_looks
        return Stretch(
            PROCESS,
            1,
            "MainThread",
            at,
            at + 20_000_000,
            at + 20_000_000 + late,
            cpu_ns=late // 3,
            doubts=Doubts(gil_ns=late // 7, stopped_ns=0, gc_ns=late // 9, queued_ns=late // 11),
            looks=tuple(looks[:keep]),
            dropped_looks=len(looks) - keep,
            in_flight=300,
            let_in=400,
            served_before=at // 1_000_000,
        )

    def look(self, at: int) -> Look:
        chain = tuple(self._chance.choices(self._steps, k=DEEP))
        glimpse = chain[0](chain[1:], now)
        number = self._chance.randrange(1 << 40)
        return Look(
            at,
            at + 1,
            number,
            self._reader.read(glimpse),
            task=f"serve_request_{number % 500}",
            wait=Wait("poll", number % 1_000, f"10.0.{number % 250}.{number % 200}:5432"),
            request=Request("GET", "/v1/customers/{id}/reports", f"req-{number:036x}", "burst"),
        )


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    return


def serve(times: int) -> None:
    """Requests through the real middleware, which must keep nothing of them."""
    app: Any = Scope(_answer)
    for number in range(times):
        call = app(
            {"type": "http", "method": "GET", "path": f"/{number}", "headers": []}, None, None
        )
        try:
            call.send(None)
        except StopIteration:
            continue


def main(measure: str, content: str, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        hour = Hour(folder, written(folder, FUNCTIONS[content]))
        hour.look(0)  # what a first look imports and opens belongs to the code, not to the record
        gc.collect()
        before = rss_kib(os.getpid())
        if measure == "traced":
            tracemalloc.start()
        hour.feed(seconds, REQUESTS_A_SECOND // (10 if measure == "traced" else 1))
        gc.collect()
        if measure == "traced":
            held, peak = (size / (1 << 20) for size in tracemalloc.get_traced_memory())
            tracemalloc.stop()
        else:
            held = peak = (rss_kib(os.getpid()) - before) / 1024
        kept = hour.recorder
        stretches, pulses = kept._stretches, kept._pulses
        looks = sum(len(stretch.looks) for stretch in stretches)
        answer = Held(held, peak, len(stretches), len(pulses), looks, hour.fed, kept.dropped())
        json.dump(asdict(answer), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
