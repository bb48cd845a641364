"""A server that answers with the bytes a test says, so that anything can be said, at any pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Talk = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""From the number of a connection, from 0 on."""


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[str]:
    """The URL. Each connection is closed when its talk is over."""
    talks: set[asyncio.Task[None]] = set()

    async def have(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(talks) - 1
        try:
            await talk(number, reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has left
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(have(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def asked(reader: asyncio.StreamReader) -> bytes:
    """The head of a request."""
    return await reader.readuntil(b"\r\n\r\n")
