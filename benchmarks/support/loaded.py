"""A service to load: nothing but ASGI, so that the generator is what is measured.

    python -m benchmarks.support.loaded [CORE]

`/` answers at once; of the calls of `/work` each 25th keeps the loop for a second. Prints its port.
"""

from __future__ import annotations

import itertools
import socket
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from benchmarks.support.machine import pin

EVERY, BLOCK_S = 25, 1.0
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"12")]
_numbers = itertools.count(1)

Message = MutableMapping[str, Any]


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    if scope["path"] == "/work" and next(_numbers) % EVERY == 0:
        time.sleep(BLOCK_S)
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b'{"ok": true}'})


def main(core: int | None) -> None:
    pin(core)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="off", log_level="error", access_log=False
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
