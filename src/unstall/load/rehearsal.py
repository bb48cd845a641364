"""One exchange with a server of our own, so that no measured request pays for what happens once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from unstall.clock import Clock
from unstall.load.connection import Connections
from unstall.load.outcome import StreamBuilder
from unstall.load.place import Place
from unstall.load.recipe import Recipe
from unstall.load.sender import WireSender


async def rehearse(clock: Clock) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        place = Place("http", "127.0.0.1", server.sockets[0].getsockname()[1])
        sender = WireSender(
            StreamBuilder("rehearsal"),
            Recipe.of(place, name="rehearsal"),
            Connections(place, ("127.0.0.1",), now_ns=clock.monotonic_ns),
            timeout_s=1.0, in_flight=1, clock=clock,
        )  # fmt: skip
        over = asyncio.Event()
        sender.leave(clock.monotonic_ns(), 0, over.set)
        await over.wait()
        await sender.close()
