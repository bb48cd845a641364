"""The request of a step, found from its stack, its task and its task's parents when somebody asks."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from unstall.watch.ground import Ground
from unstall.watch.scope import (
    REQUESTS,
    Scope,
    counted,
    describe,
    route_template,
    scope_of_step,
)


def http(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/users/7", "headers": [], **more}


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_: Any) -> None: ...


async def nothing(*_: Any) -> None: ...


def found_here() -> str | None:
    """The `X-Request-ID` of the request that the caller's step works for."""
    frames = list(Ground().frames(sys._getframe(1)))
    scope = scope_of_step(frames, asyncio.current_task())
    return describe(scope).request_id if scope is not None else None


def asked_by(endpoint: Any, **middleware: Any) -> list[Any]:
    """What the endpoint of a real Starlette app notes while it serves a request with id `abc`."""
    notes: list[Any] = []

    async def serve(_: Any) -> PlainTextResponse:
        await endpoint(notes)
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/users/{id}", serve)], **middleware)
    asyncio.run(_served(app, http(headers=[(b"X-Request-ID", b"abc")], query_string=b"")))
    return notes


async def _served(app: Any, scope: dict[str, Any]) -> None:
    await app(scope, receive, send)


def test_a_step_of_an_endpoint_is_its_requests() -> None:
    async def endpoint(notes: list[Any]) -> None:
        notes.append(found_here())

    assert asked_by(endpoint) == ["abc"]


def test_a_task_that_a_request_waits_for_through_gather_is_its_requests() -> None:
    async def child(notes: list[Any]) -> None:
        await asyncio.sleep(0)
        notes.append(found_here())

    async def endpoint(notes: list[Any]) -> None:
        await asyncio.gather(child(notes), child(notes))

    assert asked_by(endpoint) == ["abc", "abc"]


def test_a_task_that_a_request_awaits_is_its_requests() -> None:
    async def child(notes: list[Any]) -> None:
        await asyncio.sleep(0)
        notes.append(found_here())

    async def endpoint(notes: list[Any]) -> None:
        await asyncio.create_task(child(notes))

    assert asked_by(endpoint) == ["abc"]


@pytest.mark.parametrize("group", [asyncio.TaskGroup, anyio.create_task_group])
def test_a_task_in_a_group_of_a_request_is_its_requests(group: Any) -> None:
    async def child(notes: list[Any]) -> None:
        await asyncio.sleep(0)
        notes.append(found_here())

    async def endpoint(notes: list[Any]) -> None:
        async with group() as tasks:
            if hasattr(tasks, "start_soon"):
                tasks.start_soon(child, notes)
            else:
                tasks.create_task(child(notes))

    assert asked_by(endpoint) == ["abc"]


def test_an_endpoint_below_a_base_http_middleware_is_its_requests() -> None:
    class Passes(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            return await call_next(request)

    async def endpoint(notes: list[Any]) -> None:
        notes.append(found_here())

    assert asked_by(endpoint, middleware=[Middleware(Passes)]) == ["abc"]


def test_a_task_of_nobody_belongs_to_no_request() -> None:
    async def alone() -> str | None:
        return found_here()

    assert asyncio.run(alone()) is None


def test_a_task_that_nobody_waits_for_belongs_to_no_request() -> None:
    kept: list[asyncio.Task[None]] = []

    async def forgotten(notes: list[Any]) -> None:
        await asyncio.sleep(0)
        notes.append(found_here())

    async def endpoint(notes: list[Any]) -> None:
        kept.append(asyncio.create_task(forgotten(notes)))
        await asyncio.sleep(0.01)

    assert asked_by(endpoint) == [None]


def test_a_local_of_the_hosts_own_that_is_called_scope_is_not_read() -> None:
    async def handler() -> str | None:
        scope = http(headers=[(b"x-request-id", b"mine")])
        assert scope
        return found_here()

    assert asyncio.run(handler()) is None


def test_a_request_is_counted_once_however_apps_are_nested() -> None:
    async def inner(scope: Any, *_: Any) -> None:
        await counted(_call_nothing)(None, scope | {"router": object()}, receive, send)

    begun = REQUESTS.begun
    asyncio.run(_served(Scope(inner), http()))
    assert REQUESTS.begun == begun + 1


async def _call_nothing(*_: Any) -> None: ...


def test_the_error_of_an_app_passes() -> None:
    async def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(_served(Scope(fails), http()))


def test_counting_leaves_nothing_to_collect() -> None:
    call = counted(nothing)
    scopes = [http() for _ in range(10)]
    gc.collect()
    gc.disable()
    try:
        for scope in scopes:
            coroutine: Any = call(None, scope, receive, send)
            with pytest.raises(StopIteration):
                coroutine.send(None)
        del scopes, scope, coroutine
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "?"),
        ({"route": SimpleNamespace(path_format="/users/{id}")}, "/users/{id}"),
        ({"route": SimpleNamespace(path="/users/{id}")}, "/users/{id}"),
        (
            {"route": SimpleNamespace(path="/{x}"), "root_path": "/m", "app_root_path": ""},
            "/m/{x}",
        ),
        ({"root_path": "/proxy/m", "app_root_path": "/proxy"}, "/m/?"),
        ({"route": SimpleNamespace(path="/{x}"), "root_path": "/proxy"}, "/{x}"),
        (
            {
                "route": SimpleNamespace(path="/users/{id}"),
                "fastapi": {"effective_route_context": SimpleNamespace(path="/api/users/{id}")},
            },
            "/api/users/{id}",
        ),
    ],
)
def test_a_route_is_named_by_its_template(more: dict[str, Any], expected: str) -> None:
    assert route_template(http(**more)) == expected


@given(st.text(min_size=1))
def test_a_raw_path_never_becomes_a_route(path: str) -> None:
    assert route_template(http(path=path)) == "?"


def test_where_the_route_is_not_known_what_it_serves_is() -> None:
    """Older Starlettes tell only the endpoint; that of a mount is an app, and no name."""
    assert route_template(http(endpoint=receive)).endswith(":receive")
    assert route_template(http(endpoint=Starlette())) == "?"
    assert route_template(http(endpoint=receive, route=SimpleNamespace(path="/a"))) == "/a"
