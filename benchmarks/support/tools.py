"""Each watcher as its own documentation says to switch it on around a FastAPI service.

Every one also says how much it has seen, so that no figure is taken from a watcher that sleeps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

PEERS = ("aiocop", "debug", "pyinstrument")


def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True)
class Installed:
    seen: Callable[[], int]
    """How many blocked steps, or else profiles, it has noted."""
    started: Callable[[], None] = _nothing
    """To be called from the application's lifespan."""


def bare(app: FastAPI) -> Installed:
    return Installed(seen=lambda: 0)


def unstall(app: FastAPI) -> Installed:
    from unstall import Monitor

    monitor = Monitor().start()

    def seen() -> int:
        statistics = monitor.statistics()
        return statistics.stalls if statistics.requests else 0  # the framework hook counts them

    return Installed(seen)


def everything(app: FastAPI) -> Installed:
    """All of unstall that may stay on in production."""
    from unstall import Monitor
    from unstall.export import Exporter
    from unstall.integrations.pools import Gates

    monitor = Monitor().start()
    Gates().start()
    exporter = Exporter(monitor, port=0).start()
    return Installed(lambda: monitor.statistics().stalls if exporter.address else 0)


def aiocop(app: FastAPI) -> Installed:
    """Its README, "Usage with ASGI": set up early, activate in the lifespan."""
    import aiocop

    events: list[str] = []

    def on_slow_task(event: aiocop.SlowTaskEvent) -> None:
        if event.exceeded_threshold:
            events.append(event.reason)

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection(trace_depth=20)
    aiocop.detect_slow_tasks(threshold_ms=30, on_slow_task=on_slow_task)
    return Installed(lambda: len(events), aiocop.activate)


def debug(app: FastAPI) -> Installed:
    """PYTHONASYNCIODEBUG=1 is in the environment of this process; asyncio reports by logging.

    Before Python 3.12 uvicorn makes its loop in a way that forgets the variable, hence the call too.
    """
    told = _Counter()
    logging.getLogger("asyncio").addHandler(told)
    return Installed(lambda: told.records, lambda: asyncio.get_running_loop().set_debug(True))


class _Counter(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.records += "took" in record.getMessage()


def pyinstrument(app: FastAPI) -> Installed:
    """Its guide, "Profile a web request in FastAPI", for each request.

    The guide answers with the rendered profile. Here the answer is the application's own and nothing
    is rendered, in pyinstrument's favour.
    """
    from pyinstrument import Profiler

    profiles = 0

    async def profile_request(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        nonlocal profiles
        profiler = Profiler(interval=0.001, async_mode="enabled")
        profiler.start()
        try:
            return await call_next(request)
        finally:
            profiler.stop()
            profiles += 1

    app.middleware("http")(profile_request)
    return Installed(lambda: profiles)


TOOLS: dict[str, Callable[[FastAPI], Installed]] = {
    tool.__name__: tool for tool in (bare, unstall, everything, aiocop, debug, pyinstrument)
}
