"""A load that does not wait for its answers, from clients that do not wait for ever; and one at
saturation.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from benchmarks.support.http import request_for

_WORK = request_for("/work")
_HEAD = b"HTTP/1.1 "


@dataclass(slots=True)
class Offered:
    """What became of the requests that were due."""

    due: int = 0
    good: int = 0
    """200 within the clients' patience, from when they were due."""
    late: int = 0
    refused: int = 0
    unanswered: int = 0
    good_s: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection, one request at a time; every answer is JSON."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None
        self._status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(_HEAD):
            self._status = int(data[9:12])
        if data.endswith(b"}") and self.answer is not None and not self.answer.done():
            self.answer.set_result(self._status)

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(0)
        self.transport = None

    async def ask(self) -> int:
        """A status; 0 when the connection was lost."""
        if self.transport is None:
            return 0
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(_WORK)
        return await self.answer


async def connected(port: int) -> Client:
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    return client


async def offer(
    port: int, rate: float, seconds: float, patience_s: float, warm_s: float = 0.0
) -> Offered:
    """Each request is a client of its own that leaves, with its connection, when its patience is over.

    What is due in the first `warm_s` is sent and not counted.
    """
    warm, counted = Offered(), Offered()
    loop = asyncio.get_running_loop()
    free: list[Client] = []
    begun = loop.time()

    async def one(due: float, seen: Offered) -> None:
        client = free.pop() if free else None
        try:
            async with asyncio.timeout_at(due + patience_s):
                client = client or await connected(port)
                status = await client.ask()
        except (TimeoutError, OSError):
            seen.late += 1
            if client is not None and client.transport is not None:
                client.transport.abort()
            return
        if status == 200:
            seen.good += 1
            seen.good_s.append(loop.time() - due)
        elif status:
            seen.refused += 1
        else:
            seen.unanswered += 1
        if client.transport is not None and not client.transport.is_closing():
            free.append(client)

    asks: set[asyncio.Task[None]] = set()
    while (due := begun + (warm.due + counted.due) / rate) < begun + warm_s + seconds:
        seen = warm if due < begun + warm_s else counted
        seen.due += 1
        await asyncio.sleep(max(0.0, due - loop.time()))
        task = asyncio.create_task(one(due, seen))
        asks.add(task)
        task.add_done_callback(asks.discard)
    while asks:
        await asyncio.wait(list(asks))
    for client in free:
        if client.transport is not None:
            client.transport.abort()
    return counted


async def saturate(clients: list[Client], requests: int) -> Counter[int]:
    """So many requests over all connections, one after another on each; how many had which status."""
    left = requests
    statuses: Counter[int] = Counter()

    async def keep(client: Client) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            statuses[await client.ask()] += 1

    await asyncio.gather(*(keep(client) for client in clients))
    return statuses
