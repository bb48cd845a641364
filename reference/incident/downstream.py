"""The service behind the service: N pods on N loopback ports in one process, the first one ill.

    python -m incident.downstream --pods 20 --hang 15

prints one JSON line, `{"urls": […], "bad": "http://127.0.0.1:…"}`, once every port accepts. The bad
pod keeps each request for the hang time and then answers; the others answer after `--latency`.
All of it is one event loop with nothing blocking in it, so thousands may hang at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"
BACKLOG = 1024


async def serve(pods: int, hang: float, latency: float, port: int) -> list[asyncio.Server]:
    """Open the pods on `port` and those after it, or on free ports when it is 0; times in seconds.

    Raises `OSError` when a port is taken.
    """
    return [
        await asyncio.start_server(
            _Pod(number, hang if number == 0 else latency).talk,
            HOST,
            port + number if port else 0,
            backlog=BACKLOG,
        )
        for number in range(pods)
    ]


def url_of(server: asyncio.Server) -> str:
    return f"http://{HOST}:{server.sockets[0].getsockname()[1]}"


class _Pod:
    def __init__(self, number: int, delay: float) -> None:
        self._delay = delay
        body = json.dumps({"pod": number, "price": 42}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._answer = head.encode() + b"\r\n\r\n" + body

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every request of one connection, whatever it asks for."""
        # A client may leave, or the process end, at any await; neither is news here.
        with contextlib.suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError
        ):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(head))
                await asyncio.sleep(self._delay)
                writer.write(self._answer)
                await writer.drain()
        writer.close()


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return 0


async def _run(args: argparse.Namespace) -> None:
    servers = await serve(args.pods, args.hang, args.latency, args.port)
    urls = [url_of(server) for server in servers]
    line = json.dumps({"urls": urls, "bad": urls[0]})
    print(line, flush=True)
    if args.ready_file:
        draft = args.ready_file.with_name(args.ready_file.name + ".draft")
        draft.write_text(line + "\n")
        draft.replace(args.ready_file)  # a reader sees the whole line or no file
    await asyncio.Event().wait()


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("incident.downstream", description="N pods, one of them ill.")
    option = parser.add_argument
    option("--pods", type=int, default=20, metavar="N", help="how many (20)")
    option("--hang", type=float, default=15.0, metavar="S", help="of the bad pod (15 s)")
    option("--latency", type=float, default=0.001, metavar="S", help="of the others (1 ms)")
    option("--port", type=int, default=0, help="of the first pod; 0 chooses free ones (0)")
    option("--ready-file", type=Path, metavar="FILE", help="write the line there as well")
    args = parser.parse_args(argv)
    if args.pods < 1 or args.hang < 0 or args.latency < 0:
        parser.error("--pods must be at least 1, --hang and --latency at least 0")
    # Hung requests have nothing to finish, so there is nothing to wait for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    try:
        asyncio.run(_run(args))
    except OSError as error:
        raise SystemExit(f"incident.downstream: {error}") from None


if __name__ == "__main__":
    main()
