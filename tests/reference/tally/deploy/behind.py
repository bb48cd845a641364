"""What is behind nginx in its tests: a guard, and an app that says which release it is."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unstall import Guard

numbers = itertools.count(1)
"""Of the requests that came here."""


async def freeze(request: Request) -> Response:
    """Holds the loop until a file is there."""
    until = Path(request.query_params["until"])
    while not until.exists():
        time.sleep(0.01)
    return JSONResponse({"number": next(numbers)})


async def take(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    headers = dict(request.headers)
    told = {"number": next(numbers), "release": os.environ["RELEASE"]}
    return JSONResponse(told | {"size": size, "headers": headers})


app = Starlette(
    routes=[Route("/freeze", freeze), Route("/{path:path}", take, methods=["GET", "POST"])]
)
app.add_middleware(Guard, in_flight=128)
