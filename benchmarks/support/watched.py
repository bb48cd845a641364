"""A FastAPI service with one case in it, watched by one tool.

    python -m benchmarks.support.watched TOOL LOOP MODULE:CASE

The first line on standard output is the port. Beside the case there are `/bystander`, which waits
asynchronously, and `/end`, which answers with what the tool said and when the case held the loop.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal

import uvicorn
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse

from benchmarks.cases.case import Case, Group, Place
from benchmarks.support.peers import TOOLS, Peer, Said, Step

BYSTANDER_S = 1.0
Spans = list[tuple[int, int]]


def case_of(staged: str) -> Case:
    """From `module:name`; only that module of cases is imported."""
    module, _, name = staged.partition(":")
    cases: tuple[Case, ...] = importlib.import_module(module).CASES
    return next(case for case in cases if case.name == name)


def application(tool: str, case: Case) -> FastAPI:
    said, spans = Said(), Spans()
    peer = Peer()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if case.connect is not None:
            await case.connect()
        peer.started()
        yield

    app = FastAPI(lifespan=lifespan)
    peer = tool_of(tool)(app, said)

    @app.get("/bystander")
    async def bystander() -> None:
        await asyncio.sleep(BYSTANDER_S)

    @app.get("/end")
    async def end() -> dict[str, Any]:
        peer.ended()
        return {"words": [asdict(word) for word in said.words], "spans": spans}

    if case.group is Group.CLEAN:
        _add_clean(app, case)
    else:
        ADD[case.place](app, case.path, _timed(peer.around(case.function), spans))
    return app


def tool_of(tool: str) -> Callable[[FastAPI, Said], Peer]:
    if tool == "trap":
        from benchmarks.support.trapping import trap

        return trap
    return TOOLS[tool]


def _timed(step: Step, spans: Spans) -> Step:
    async def timed() -> None:
        begun = time.monotonic_ns()
        try:
            await step()
        finally:
            spans.append((begun, time.monotonic_ns()))

    return timed


# --- where a blocking function may be ---------------------------------------------------------------


def _as_route(app: FastAPI, path: str, step: Step) -> None:
    @app.get(path)
    async def route(item: int) -> None:
        await step()


def _as_dependency(app: FastAPI, path: str, step: Step) -> None:
    async def dependency(item: int) -> int:
        await step()
        return item

    @app.get(path)
    async def route(known: int = Depends(dependency)) -> int:
        return known


def _as_background(app: FastAPI, path: str, step: Step) -> None:
    @app.get(path)
    async def route(item: int, after: BackgroundTasks) -> None:
        after.add_task(step)


def _as_child(app: FastAPI, path: str, step: Step) -> None:
    async def child() -> None:
        await step()

    @app.get(path)
    async def route(item: int) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.01))
            group.create_task(child())


def _as_stream(app: FastAPI, path: str, step: Step) -> None:
    @app.get(path)
    async def route(item: int) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"first\n"
            await step()
            yield b"last\n"

        return StreamingResponse(body())


ADD: dict[Place, Callable[[FastAPI, str, Step], None]] = {
    Place.ROUTE: _as_route,
    Place.DEPENDENCY: _as_dependency,
    Place.BACKGROUND: _as_background,
    Place.CHILD: _as_child,
    Place.STREAM: _as_stream,
}


def _add_clean(app: FastAPI, case: Case) -> None:
    if case.place is Place.WEBSOCKET:
        app.websocket(case.path)(case.function)
    else:
        app.api_route(case.path, methods=["GET", "POST"])(case.function)


def main(tool: str, loop: Literal["asyncio", "uvloop"], staged: str) -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if tool == "trap":
        from benchmarks.support.trapping import arm

        arm()
    case = case_of(staged)
    if case.prepare is not None:
        case.prepare()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    config = uvicorn.Config(
        application(tool, case),
        loop=loop,
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], "uvloop" if sys.argv[2] == "uvloop" else "asyncio", sys.argv[3])
