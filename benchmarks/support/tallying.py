"""A closed-loop generator of events: so many connections, each sends again when it has an answer.

    python -m benchmarks.support.tallying PORT KEY CONNECTIONS SECONDS SETTLE [BATCH]

Every event is new: 200 bodies of 1 to 1.5 KB, each with an id of its own each time. With BATCH a request has
so many of them. Prints one JSON object: requests and events a second, p50, p95 and p99 in milliseconds, and
answers by status.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import Counter
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
        self.took_ns: list[int] = []
        self.statuses: Counter[str] = Counter()
        self.open = False


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
    def __init__(self, source: Source, counted: Counted) -> None:
        self._source = source
        self._counted = counted
        self._held = b""
        self._sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._sent_ns = time.perf_counter_ns()
        self._transport.write(self._source.next())

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        end = held.find(b"\r\n\r\n")
        if end < 0 or len(held) < end + 4 + _length(held[:end]):
            self._held = held
            return
        self._held = b""
        if self._counted.open:
            self._counted.took_ns.append(time.perf_counter_ns() - self._sent_ns)
            self._counted.statuses[held[9:12].decode()] += 1
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self._counted.open:
            self._counted.statuses["lost"] += 1


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def measure(
    port: int, key: str, connections: int, seconds: float, settle: float, batch: int
) -> dict[str, object]:
    counted, source = Counted(), Source(key, batch)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Caller(source, counted), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(settle)
    counted.open = True
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    counted.open = False
    took = time.perf_counter() - began
    for transport, _ in made:
        transport.abort()
    good = sum(n for status, n in counted.statuses.items() if status.startswith("2"))
    times = sorted(counted.took_ns) or [0]
    return {
        "requests": good / took,
        "events": good * max(1, batch) / took,
        **{
            f"p{q}_ms": times[min(len(times) - 1, len(times) * q // 100)] / 1e6
            for q in (50, 95, 99)
        },
        "statuses": dict(counted.statuses),
    }


def main() -> None:
    port, key, connections, seconds, settle, *batch = sys.argv[1:]
    gc.disable()  # the generator makes no cycles, and must not pause
    found = uvloop.run(
        measure(
            int(port),
            key,
            int(connections),
            float(seconds),
            float(settle),
            int(batch[0]) if batch else 0,
        )
    )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
