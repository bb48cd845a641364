"""One direction of a connection."""

from __future__ import annotations

import asyncio
import socket

from unstall.chaos.pieces import Mark, Stream
from unstall.chaos.pipe import Pipe


class Owner:
    ends = 0

    def ended(self) -> None:
        self.ends += 1

    def close(self) -> None: ...
    def reset(self) -> None: ...


def test_an_end_for_a_side_that_has_just_gone_harms_nobody() -> None:
    async def passed_on() -> int:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
        ours.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        # the system knows it, and the loop has not been told: as after a reset
        ours.shutdown(socket.SHUT_RDWR)
        theirs.close()
        owner = Owner()
        pipe = Pipe(loop, owner, Stream.UPSTREAM)
        pipe.target = transport
        pipe.mark(Mark.END, ())
        transport.abort()
        return owner.ends

    assert asyncio.run(passed_on()) == 1
