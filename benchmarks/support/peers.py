"""The tools of the matrix, each switched on as its own documentation says, and what they say of a stall.

All of it is kept as plain data: when it was said, which lines and routes it names, what kind it calls it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

PEERS = ("blockbuster", "aiocop", "pyleak", "debug", "loopguard")

Step = Callable[[], Awaitable[Any]]
_PLACE = re.compile(r"(benchmarks/cases/[\w/]+\.py):(\d+)")


@dataclass(frozen=True, slots=True)
class Word:
    """Something that a tool said."""

    at_ns: int
    text: str
    label: str = ""
    """What it calls the stall: `waits`, `computes`, or a cause of unstall; empty if it names none."""
    lines: tuple[str, ...] = ()
    """`file:line`, the innermost of the cases' code in each stack that it shows."""
    routes: tuple[str, ...] = ()
    ongoing: bool = False


class Said:
    """Fills from any thread."""

    def __init__(self) -> None:
        self.words: list[Word] = []

    def __call__(self, text: str, **parts: Any) -> None:
        self.words.append(Word(time.monotonic_ns(), text[:300], **parts))


def _same(step: Step) -> Step:
    return step


@dataclass(frozen=True, slots=True)
class Peer:
    started: Callable[[], None] = field(default=lambda: None)
    """To be called on the loop at start-up."""
    ended: Callable[[], None] = field(default=lambda: None)
    """To be called before what it said is read."""
    around: Callable[[Step], Step] = _same
    """For a tool that decorates what it watches."""


def bare(app: FastAPI, said: Said) -> Peer:
    return Peer()


def blockbuster(app: FastAPI, said: Said) -> Peer:
    """Its README, "Manually". It raises, so what it says is what the server logs, or nothing at all."""
    from blockbuster import BlockBuster, BlockingError

    class Errors(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for error in _chain(record.exc_info[1] if record.exc_info else None):
                if isinstance(error, BlockingError):
                    text = str(error)
                    said(text, label=_waits(text), lines=_of_frames(error))

    logging.getLogger().addHandler(Errors())
    return Peer(BlockBuster().activate)


def _waits(text: str) -> str:
    return "lock" if "lock.acquire" in text else "waits"


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    seen: list[BaseException] = []
    todo = [error]
    while todo:
        one = todo.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions
    return seen


def _of_frames(error: BaseException) -> tuple[str, ...]:
    places = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    return _innermost([reversed(places)])


def _innermost(stacks: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """Of each stack, given innermost first, the first place in the cases' code."""
    found = []
    for stack in stacks:
        matches = (_PLACE.search(place) for place in stack)
        first = next((match for match in matches if match), None)
        if first:
            found.append(f"{first[1]}:{first[2]}")
    return tuple(found)


def aiocop(app: FastAPI, said: Said) -> Peer:
    """Its README, "Usage with ASGI": threshold 30 ms. All that it reports counts, for and against it."""
    import aiocop

    def on_slow_task(event: aiocop.SlowTaskEvent) -> None:
        shown = event.blocking_events or event.cpu_stack_samples[:1]
        traces = [str(each["trace"]).split(" <- ") for each in shown]
        label = "waits" if event.reason == "io_blocking" else "computes"
        names = ", ".join(str(each.get("event", "")) for each in shown)
        said(
            f"{event.reason} {event.elapsed_ms:.0f} ms {names}",
            label=label, lines=_innermost(traces), routes=_routes(str(event.context)),
        )  # fmt: skip

    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection(trace_depth=20)
    aiocop.detect_slow_tasks(threshold_ms=30, on_slow_task=on_slow_task)
    return Peer(aiocop.activate)


def pyleak(app: FastAPI, said: Said) -> Peer:
    """Its README, "Context Managers", around what the route calls, with the 100 ms of its README.

    Its decorator is silent here: it drops stacks in which its own wrapper lies below the calling file.
    """
    from pyleak import no_event_loop_blocking
    from pyleak.base import LeakAction

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if "summary" in text or text.startswith("Detected"):
                return
            frames = re.findall(r'File "([^"]+)", line (\d+)', text)
            stack = [f"{file}:{line}" for file, line in reversed(frames)]
            said(text, lines=_innermost([stack]), ongoing=not frames)

    logging.getLogger("pyleak.eventloop").addHandler(Lines())

    def around(step: Step) -> Step:
        async def watched() -> None:
            async with no_event_loop_blocking(action=LeakAction.LOG, threshold=0.1):
                await step()

        return watched

    return Peer(around=around)


def debug(app: FastAPI, said: Said) -> Peer:
    """PYTHONASYNCIODEBUG=1 is in the environment; before 3.12 uvicorn's way to make a loop forgets it."""

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if " took " in text:
                said(text, lines=_innermost([[text]]), routes=_routes(text))

    logging.getLogger("asyncio").addHandler(Slow())
    return Peer(lambda: asyncio.get_running_loop().set_debug(True))


def loopguard(app: FastAPI, said: Said) -> Peer:
    """Its README, "Quick Start": the middleware with its defaults; it logs all requests in flight."""
    from fastapi_loopguard import LoopGuardMiddleware
    from fastapi_loopguard.context import get_active_requests

    class Blocked(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "blocked" in record.getMessage() or "Cumulative" in record.getMessage():
                flying = [f"{ctx.method} {ctx.path}" for ctx in get_active_requests()]
                said(record.getMessage(), routes=_routes(" ".join(flying)))

    logging.getLogger("fastapi_loopguard").addHandler(Blocked())
    app.add_middleware(LoopGuardMiddleware)
    return Peer()


def _routes(text: str) -> tuple[str, ...]:
    """Paths of our service that a text names."""
    return tuple(sorted(set(re.findall(r"(?<![\w./])/(\w+/7|bystander)\b", text))))


TOOLS: dict[str, Callable[[FastAPI, Said], Peer]] = {
    tool.__name__: tool for tool in (bare, blockbuster, aiocop, pyleak, debug, loopguard)
}
