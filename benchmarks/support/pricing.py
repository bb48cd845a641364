"""A service whose upstream hangs now and then, with its blocking call in one of three places.

    python -m benchmarks.support.pricing KIND DEADLINE URLS [CORE]

URLS are the pods of `incident.downstream` with the ill one first. `/price?ill=1` asks that one, `/price`
another; a request that draws its own pod does so with `?draw=1`. `/report` is a plain function of the same
service that asks nobody, and `/livez` touches nothing. KIND is `shared`: the call is on the pool of 40
threads X The first line on standard output is the port.
"""

from __future__ import annotations

import logging
import random
import socket
import sys
from itertools import cycle
from typing import Any

import requests
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from benchmarks.support.machine import pin
from unstall import Deadline, Lane
from unstall.errors import LaneError
from unstall.lanes.asgi import lane_error_response

KINDS = ("shared", "lane", "deadline")
THREADS = 160
"""Twice what calls that hang hold on average: 100 a second, 5 % of them, for 15 s."""
SHARE = 0.05


def ask(pod: str) -> str:
    """As most such calls: without a time-out."""
    response = requests.get(f"{pod}/price")
    response.raise_for_status()
    return response.text


def application(kind: str, deadline: float, urls: list[str]) -> Any:
    app = FastAPI()
    ill, *others = urls
    healthy = cycle(others)
    dice = random.Random(7)
    lane = Lane(
        "pricing", threads=THREADS, queue=32, deadline=deadline if kind == "deadline" else None
    )

    @app.get("/price")
    async def price(request: Request) -> dict[str, bool]:
        asked = request.query_params
        hangs = dice.random() < SHARE if "draw" in asked else "ill" in asked
        pod = ill if hangs else next(healthy)
        await (run_in_threadpool(ask, pod) if kind == "shared" else lane.run(ask, pod))
        return {"ok": True}

    @app.get("/report")
    def report() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"ok": True}

    app.add_exception_handler(LaneError, lane_error_response)
    return Deadline(app, default=deadline) if kind == "deadline" else app


def main(kind: str, deadline: float, urls: list[str], core: int | None) -> None:
    pin(core)
    logging.getLogger("unstall.deadline").setLevel(logging.ERROR)  # there are hundreds to tell of
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    app = application(kind, deadline, urls)
    config = uvicorn.Config(app, http="httptools", log_level="critical", access_log=False)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(
        sys.argv[1], float(sys.argv[2]), sys.argv[3].split(","),
        int(sys.argv[4]) if len(sys.argv) > 4 else None,
    )  # fmt: skip
