"""A request whose client has gone, or whose time is over, leaves nothing behind, and somebody is told."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from unstall.errors import UsageError
from unstall.gates.adapter import is_a
from unstall.testing.asking import App, Asked, asked_of
from unstall.testing.exhaust import eventually
from unstall.testing.holders import Holders, told
from unstall.testing.slots import slots_of
from unstall.threads import beside_interpreters

How = Literal["disconnect", "time-out"]
_REENTRANT = type(threading.RLock())
_REQUEST: ContextVar[object] = ContextVar("unstall_cancelled_request")
"""Marks what is done for the request, also in threads: they run in a copy of its context."""


async def cancelled(
    app: App,
    request: str | Asked,
    *,
    after_s: float,
    by: How = "disconnect",
    free: Sequence[Any] = (),
    logged: str | None = "",
    logger: str = "",
    grace_s: float = 5.0,
) -> None:
    """Sends one request, and gives up after `after_s`.

    By `disconnect` the client hangs up: a server's `receive` says so, and nothing is cancelled by itself,
    as under uvicorn. By `time-out` the request's task is cancelled, as a deadline does. Within `grace_s`
    every one of `free` (pools, lanes, limiters, locks and semaphores of asyncio, anyio or threading) must
    be as free as before, the request's task over, and no thread of the application or of a pool at work
    that was not before. What a background task of `app` has sent into a thread is not the request's.
    `logged` is a regular expression that a log record from warning upwards has to match, by `logger` or
    below it; None if no record is needed. Raises AssertionError; UsageError for what cannot be tried.
    """
    if by not in get_args(How):
        raise UsageError(f"by is {by!r}: give 'disconnect' or 'time-out'")
    if isinstance(app, str) and by != "disconnect":
        raise UsageError(
            "a server by its address can only be left: give by='disconnect', or the app"
        )
    asked = asked_of(request)
    states = [_state(thing) for thing in free]
    records = _Records()
    heard = logging.getLogger(logger)
    heard.addHandler(records)
    try:
        context, counts = _marked()
        wired = isinstance(app, str)
        with Holders(counts=None if wired else counts) as holders:
            async with (
                _over_the_wire(app, asked) if wired else _in_process(app, asked, by, context)
            ) as leave:
                await asyncio.sleep(after_s)
                over = leave()
            await _nothing_left(asked, over, states, holders, after_s, grace_s)
            if not wired:
                _check_seen(asked)
            if logged is not None:
                await _was_logged(asked, records, logged, logger, grace_s)
    finally:
        heard.removeHandler(records)


# --- how a client goes ----------------------------------------------------------------------

Over = Callable[[], bool]
"""Whether the request has come to its end, as far as that can be seen."""


def _marked() -> tuple[Context, Callable[[Context], bool]]:
    """A context for the request, and what tells those that were copied from it."""
    request = object()
    context = copy_context()
    context.run(_REQUEST.set, request)
    return context, lambda other: other.get(_REQUEST) is request


@asynccontextmanager
async def _in_process(
    app: Any, asked: Asked, by: How, context: Context
) -> AsyncIterator[Callable[[], Over]]:
    gone = asyncio.Event()
    sent: list[int] = []
    messages = [{"type": "http.request", "body": _body(asked), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    task = asyncio.create_task(app(_scope(asked), receive, send), name=str(asked), context=context)

    def leave() -> Over:
        if task.done():
            status = sent[0] if sent else "no answer"
            raise AssertionError(
                f"{asked} had ended ({status}) before it was left: give a smaller after_s"
            )
        if by == "time-out":
            task.cancel()
        gone.set()
        return task.done

    try:
        yield leave
    except BaseException:
        task.cancel()
        raise
    finally:
        task.add_done_callback(_seen)


def _seen(task: asyncio.Task[Any]) -> None:
    """What it raised is of no interest here, and no warning."""
    if not task.cancelled():
        task.exception()


@asynccontextmanager
async def _over_the_wire(app: Any, asked: Asked) -> AsyncIterator[Callable[[], Over]]:
    address = urlsplit(app)
    reader, writer = await asyncio.open_connection(address.hostname, address.port or 80)
    body = _body(asked)
    headers = {**_headers(asked), "host": address.netloc, "content-length": str(len(body))}
    lines = [f"{asked.method} {asked.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    first = asyncio.create_task(reader.read(64))

    def leave() -> Over:
        if first.done():
            line = first.result().partition(b"\r\n")[0].decode(errors="replace")
            raise AssertionError(
                f"{asked} had been answered ({line}) before it was left: give a smaller after_s"
            )
        writer.close()
        return lambda: True

    try:
        yield leave
    finally:
        first.cancel()
        writer.close()


def _scope(asked: Asked) -> dict[str, Any]:
    path, _, query = asked.path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in _headers(asked).items()],
        "client": ("127.0.0.1", 1),
        "server": ("app", 80),
    }


def _headers(asked: Asked) -> dict[str, str]:
    given = dict(asked.options.get("headers") or {})
    if "json" in asked.options:
        given.setdefault("content-type", "application/json")
    return {"host": "app", **given}


def _body(asked: Asked) -> bytes:
    unknown = set(asked.options) - {"json", "content", "headers"}
    if unknown:
        raise UsageError(
            f"cancelled cannot send {', '.join(sorted(unknown))}: give json, content or headers"
        )
    if "json" in asked.options:
        return json.dumps(asked.options["json"]).encode()
    content = asked.options.get("content", b"")
    return content.encode() if isinstance(content, str) else bytes(content)


# --- what is left ---------------------------------------------------------------------------


def _state(thing: Any) -> Callable[[], str | None]:
    """Says what of it is taken now and was not before; None if nothing."""
    name = f"the {type(thing).__module__}.{type(thing).__qualname__}"
    permits = _permits(thing)
    if permits is not None:
        least = permits()
        return lambda: (
            f"{least - permits()} permits of {name} are held" if permits() < least else None
        )
    locked = _locked(thing)
    if locked is not None:
        if locked():
            raise UsageError(f"{name} given in free is locked before the request: give it free")
        return lambda: f"{name} is locked" if locked() else None
    slots = slots_of(thing)
    before = slots.used()
    return lambda: (
        f"{slots.used() - before} slots of {slots.name} are held" if slots.used() > before else None
    )


def _permits(thing: Any) -> Callable[[], int] | None:
    """How many of a semaphore are left; `locked()` would only say that none is."""
    if isinstance(thing, asyncio.Semaphore | threading.Semaphore):
        return lambda: thing._value
    if is_a(thing, "anyio", "Semaphore"):
        return lambda: int(thing.value)
    return None


def _locked(thing: Any) -> Callable[[], bool] | None:
    if isinstance(thing, _REENTRANT):  # which say nothing else of themselves before Python 3.14
        return lambda: repr(thing).startswith("<locked")
    locked = getattr(thing, "locked", None)
    return locked if callable(locked) else None


async def _nothing_left(
    asked: Asked,
    over: Over,
    states: Sequence[Callable[[], str | None]],
    holders: Holders,
    after_s: float,
    grace_s: float,
) -> None:
    left_at = time.monotonic()
    left: list[str] = []

    def nothing() -> bool:
        held = [word for state in states if (word := state()) is not None]
        if not over():
            held.insert(0, "its task goes on")
        held += [str(hold) for hold in holders.now() if hold.what.startswith("thread")]
        left[:] = held
        return not held

    if not await eventually(nothing, grace_s):
        ours = [hold for hold in holders.now() if not hold.what.startswith("thread")]
        raise AssertionError(
            f"{asked} was left after {after_s:g} s, and {time.monotonic() - left_at:.2f} s later "
            f"{', '.join(left)}; {told(ours, 'no task or slot of the application was seen')}"
        )


def _check_seen(asked: Asked) -> None:
    """Raises UsageError where no thread at work can be seen, for then nobody knows that none was."""
    if beside_interpreters():
        raise UsageError(
            f"whether {asked} left a thread at work is not known: this process has subinterpreters, and "
            "beside them no thread can be seen; try it without what makes them, as a lane with interpreters, "
            "or against a server by its address, with all that it must give back in free"
        )


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []
        self._mine = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        with self._mine:
            self.messages.append(f"{record.name}: {record.getMessage()}")


async def _was_logged(
    asked: Asked, records: _Records, pattern: str, logger: str, grace_s: float
) -> None:
    wanted = re.compile(pattern)

    def found() -> bool:
        return any(wanted.search(message) for message in list(records.messages))

    if not await eventually(found, grace_s):
        by = f"by {logger!r}" if logger else "by any logger"
        said = "; ".join(records.messages[:3]) or "nothing"
        what = f"that matches {pattern!r}" if pattern else "from warning upwards"
        raise AssertionError(
            f"{asked} was left and no record {what} was written {by} within {grace_s:g} s; written "
            f"was: {said}"
        )
