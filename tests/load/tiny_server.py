"""A tiny HTTP server on the test's own loop, whose answers are whatever the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

# From the number of a request, from 0 on, to the status of its answer; None breaks the connection.
Answer = Callable[[int], Awaitable[int | None]]


@dataclass(slots=True)
class Seen:
    """What the server saw: the heads of all requests, and how many connections were opened."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Seen]:
    seen = Seen()
    talks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(_talk(seen, answer, reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=256)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield seen
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def always(_: int) -> int:
    return 200


async def never(_: int) -> None:
    await asyncio.Event().wait()


async def _talk(
    seen: Seen, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    seen.connections += 1
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            seen.heads.append(head.decode())
            status = await answer(len(seen.heads) - 1)
            if status is None:
                break
            writer.write(f"HTTP/1.1 {status} Fine\r\nContent-Length: 2\r\n\r\nok".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass  # the client has left
    finally:
        writer.close()
