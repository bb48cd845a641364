"""The API's processes: one socket, several event loops, each started again when it ends.

    python -m tally.api --port 8000 --workers 2

The socket is opened here, or by whoever gives it with `--fd`, and listens all the time: while a
process is started again, requests wait for a moment instead of being refused.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import FrameType

from tally.errors import Unable
from tally.stack.processes import Reaper
from tally.supervise import LOOK_S, GaveUp, Program, Supervisor

APP = "tally.app:app"
BACKLOG = 2048
KEEP_ALIVE_S = 75
"""Longer than a balancer keeps idle connections: who closes first resets what the other just sent."""
GRACE_S = 10
COLLECT = 20_000, 20, 50
"""Before a young collection that many objects are made: a request makes some that live as long as it does,
and with the default of 700 they are looked at again and again while it waits.
"""
REFUSED = 3
"""Exit code of a process whose application does not want to start."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 chooses a free one. Raises `Unable`."""
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise Unable(
            f"{host}:{port} cannot be listened on ({os.strerror(error.errno or 0)}): name another --port"
        ) from None


def program(listening: socket.socket, workers: int, environ: dict[str, str]) -> Program:
    """The command below, for a supervisor that has opened the socket."""
    number = listening.fileno()
    command = (sys.executable, "-m", "tally.api", "--fd", str(number), "--workers", str(workers))
    return Program("api", command, environ, frozenset({REFUSED}), (number,))


def one(number: int) -> None:
    """Serve from this process until it is told to stop."""
    import uvicorn

    config = uvicorn.Config(
        APP,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        access_log=False,
        log_level="warning",
        http="unstall.integrations.uvicorn:HttpTools",  # refuses in an overload before it makes a request
        ws="none",
        proxy_headers=False,  # nobody asks for the client's address, and each request would pay for it
        server_header=False,
    )
    config.load()
    gc.collect()
    gc.freeze()  # what was imported stays, and is not looked at with every collection
    gc.set_threshold(*COLLECT)
    server = uvicorn.Server(config)
    server.run(sockets=[socket.socket(fileno=number)])
    if not server.started:
        sys.exit(REFUSED)


def several(listening: socket.socket, workers: int) -> None:
    """Keep so many processes on one socket. Raises `GaveUp`."""
    number = listening.fileno()
    command = (sys.executable, "-m", "tally.api", "--one", str(number))
    # They stay in our group: by that, what watches one of them knows the others as its siblings.
    programs = [
        Program(
            f"API process {place}",
            command,
            os.environ,
            frozenset({REFUSED}),
            (number,),
            leads=False,
        )
        for place in range(1, workers + 1)
    ]
    with Reaper() as reaper:
        supervisor = Supervisor(reaper, lambda words: print(f"tally: {words}", flush=True))
        try:
            for each in programs:
                supervisor.start(each)
            while True:
                supervisor.look()
                time.sleep(LOOK_S)
        finally:
            supervisor.stop()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("tally.api", description="The API alone.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 chooses a free one (8000)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--fd", type=int, help="a socket that listens already")
    parser.add_argument("--one", type=int, metavar="FD", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.workers < 1:
        parser.error("--workers must be 1 or more")
    if args.one is not None:
        one(args.one)
        return 0
    signal.signal(signal.SIGTERM, _leave)
    try:
        given = args.fd is not None
        with socket.socket(fileno=args.fd) if given else listen(args.host, args.port) as listening:
            several(listening, args.workers)
    except (Unable, GaveUp) as error:
        print(f"tally.api: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return 130
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    """As an exit that unwinds: what was started is ended."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
