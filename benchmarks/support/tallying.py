"""A generator of events, closed or open.

    python -m benchmarks.support.tallying PORT KEY CONNECTIONS SECONDS SETTLE [BATCH [RATE]]

Closed: so many connections, each sends again when it has an answer. With RATE it is open: so many requests a
second leave on a fixed clock over any of the connections that is free, latency counts from when a request was
due, and what finds no free connection is counted as dropped. Every event is new: 200 bodies of 1 to 1.5 KB,
each with an id of its own each time. With BATCH a request has so many of them. Prints one JSON object:
requests and events a second, latencies in milliseconds of all answers, of good ones and of refusals, and
answers by status.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import uvloop

BODIES = 200
_ID = "%ID%"


def bodies(chance: random.Random) -> list[list[bytes]]:
    """Each as the parts around its id."""
    return [json.dumps(_event(chance)).encode().split(_ID.encode()) for _ in range(BODIES)]


def _event(chance: random.Random) -> dict[str, object]:
    return {
        "event_id": _ID,
        "name": chance.choice(("page_view", "click", "signup", "purchase", "search")),
        "at": datetime.now(UTC).isoformat(),
        "value": round(chance.uniform(0, 100), 2),
        "dimensions": {
            "country": chance.choice(("de", "fr", "it", "us", "gb", "jp")),
            "plan": chance.choice(("free", "pro", "team")),
            "device": chance.choice(("phone", "desk")),
        },
        "properties": {
            "Page Path": f"/articles/{chance.randrange(10_000)}",
            "referrer": f"https://example.com/{chance.randrange(10_000)}",
            "screen": {"width": 1440, "height": 900, "Scale": 2},
            "tags": [f"tag-{chance.randrange(100)}" for _ in range(chance.randrange(2, 8))],
            "cart": {"items": [{"sku": f"s{n}", "price": 9.5 * n} for n in range(chance.randrange(1, 6))]},
            **{
                f"field_{n}": "".join(chance.choices("abcdefghijklmnop ", k=chance.randrange(10, 50)))
                for n in range(18)
            },
        },
    }  # fmt: skip


class Counted:
    def __init__(self) -> None:
        self.took_ns: dict[str, list[int]] = {}
        """By status."""
        self.statuses: Counter[str] = Counter()
        self.open = False

    def answered(self, status: str, took_ns: int) -> None:
        if self.open:
            self.statuses[status] += 1
            self.took_ns.setdefault(status, []).append(took_ns)

    def ms(self, quantile: int, statuses: str = "") -> float:
        """Of answers whose status begins so; 0.0 if there are none."""
        times = sorted(
            took
            for status, many in self.took_ns.items()
            if status.startswith(statuses)
            for took in many
        )
        return times[min(len(times) - 1, len(times) * quantile // 100)] / 1e6 if times else 0.0


class Source:
    """Requests without end, no two alike."""

    def __init__(self, key: str, batch: int) -> None:
        self._parts = bodies(random.Random(1))
        self._batch = batch
        self._number = 0
        self._run = f"{time.time_ns():x}-"
        path = "/v1/events/batch" if batch else "/v1/events"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()

    def next(self) -> bytes:
        if self._batch:
            body = b'{"events":[' + b",".join(self._event() for _ in range(self._batch)) + b"]}"
        else:
            body = self._event()
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def _event(self) -> bytes:
        self._number += 1
        first, second = self._parts[self._number % BODIES]
        return b"%b%b%d%b" % (first, self._run.encode(), self._number, second)


class Caller(asyncio.Protocol):
    """One connection. `free` is given itself when it has an answer."""

    def __init__(self, source: Source, counted: Counted, free: Callable[[Caller], None]) -> None:
        self._source = source
        self._counted = counted
        self._free = free
        self._held = b""
        self._due_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, due_ns: int) -> None:
        self._due_ns = due_ns
        self.transport.write(self._source.next())

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        end = held.find(b"\r\n\r\n")
        if end < 0 or len(held) < end + 4 + _length(held[:end]):
            self._held = held
            return
        self._held = b""
        self._counted.answered(held[9:12].decode(), time.perf_counter_ns() - self._due_ns)
        self._free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self._counted.open:
            self._counted.statuses["lost"] += 1


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


@dataclass(frozen=True, slots=True)
class Order:
    port: int
    key: str
    connections: int
    seconds: float
    settle: float
    batch: int = 0
    rate: float = 0.0
    """0: closed."""


async def measure(order: Order) -> dict[str, object]:
    counted, source = Counted(), Source(order.key, order.batch)
    loop = asyncio.get_running_loop()
    idle: deque[Caller] = deque()

    def free(caller: Caller) -> None:
        if order.rate:
            idle.append(caller)
        else:
            caller.send(time.perf_counter_ns())

    callers = []
    for _ in range(order.connections):
        _, caller = await loop.create_connection(
            lambda: Caller(source, counted, free), "127.0.0.1", order.port
        )
        callers.append(caller)
        if order.rate:
            await _taken_in(caller, idle)
        else:
            free(caller)
    paced = asyncio.create_task(_pace(order.rate, idle, counted)) if order.rate else None
    await asyncio.sleep(order.settle)
    counted.open = True
    began = time.perf_counter()
    await asyncio.sleep(order.seconds)
    took = time.perf_counter() - began
    if paced is not None:
        paced.cancel()
        await asyncio.sleep(1.0)  # for what is under way
    counted.open = False
    for caller in callers:
        caller.transport.abort()
    good = sum(n for status, n in counted.statuses.items() if status.startswith("2"))
    return {
        "requests": good / took,
        "events": good * max(1, order.batch) / took,
        **{f"p{q}_ms": counted.ms(q) for q in (50, 95, 99)},
        "good_p95_ms": counted.ms(95, "2"),
        "refused_p99_ms": counted.ms(99, "503"),
        "statuses": dict(counted.statuses),
    }


async def _taken_in(caller: Caller, idle: deque[Caller]) -> None:
    """Until the server has answered on it once: uvloop takes in one new connection a turn, and under load a
    thousand of them would wait for that longer than the measure takes.
    """
    before = len(idle)
    caller.send(time.perf_counter_ns())
    while len(idle) == before:
        await asyncio.sleep(0.0005)


async def _pace(rate: float, idle: deque[Caller], counted: Counted) -> None:
    """A request is due every `1 / rate` s, whatever becomes of those before it."""
    began, sent = time.perf_counter_ns(), 0
    while True:
        now = time.perf_counter_ns()
        while (due := began + round(sent * 1e9 / rate)) <= now:
            sent += 1
            if idle:
                idle.popleft().send(due)
            elif counted.open:
                counted.statuses["dropped"] += 1
        await asyncio.sleep(0.001)


def main() -> None:
    port, key, connections, seconds, settle, *more = sys.argv[1:]
    batch, rate = [*more, "0", "0"][:2]
    gc.disable()  # the generator makes no cycles, and must not pause
    order = Order(
        int(port), key, int(connections), float(seconds), float(settle), int(batch), float(rate)
    )
    json.dump(uvloop.run(measure(order)), sys.stdout)


if __name__ == "__main__":
    main()
