"""The request of a step: from its stack, from its task's context, from its ASGI scope."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.watch.scope import REQUESTS, Scope, request_of_frame, request_of_task, route_template


def http(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/users/7", "headers": [], **more}


async def nothing(*_: Any) -> Any: ...


def serve(app: Any, scope: dict[str, Any]) -> None:
    asyncio.run(Scope(app)(scope, nothing, nothing))


def test_a_request_is_under_way_exactly_while_the_app_runs() -> None:
    during: list[int] = []

    async def app(*_: Any) -> None:
        during.append(len(REQUESTS.under_way))

    begun = REQUESTS.begun
    serve(app, http())
    assert during == [1]
    assert REQUESTS.under_way == {}
    assert REQUESTS.begun == begun + 1


def test_a_request_that_fails_is_no_longer_under_way_and_its_error_passes() -> None:
    async def app(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve(app, http())
    assert REQUESTS.under_way == {}


def test_an_app_inside_an_app_is_one_request() -> None:
    begun = REQUESTS.begun
    serve(Scope(nothing), http())
    assert REQUESTS.begun == begun + 1


def test_an_open_websocket_begins_and_is_no_victim_in_waiting() -> None:
    during: list[int] = []

    async def app(*_: Any) -> None:
        during.append(len(REQUESTS.under_way))

    begun = REQUESTS.begun
    serve(app, {"type": "websocket", "path": "/ws", "headers": []})
    assert during == [0]
    assert REQUESTS.begun == begun + 1


def test_lifespan_is_no_request() -> None:
    begun = REQUESTS.begun
    serve(nothing, {"type": "lifespan"})
    assert REQUESTS.begun == begun


def test_the_request_is_found_on_the_stack_of_the_step() -> None:
    found: list[Any] = []

    async def app(*_: Any) -> None:
        found.append(request_of_frame(sys._getframe()))

    serve(app, http(headers=[(b"X-Request-ID", b"abc"), (b"x-scenario", b"burst")]))
    request = found[0].describe()
    assert (request.method, request.request_id, request.scenario) == ("GET", "abc", "burst")
    assert request.ended


def test_a_task_that_a_request_started_still_belongs_to_it() -> None:
    found: list[Any] = []

    async def child() -> None:
        task = asyncio.current_task()
        assert task is not None
        found.append((request_of_frame(sys._getframe()), request_of_task(task)))

    async def app(*_: Any) -> None:
        await asyncio.gather(child(), child())

    serve(app, http(headers=[(b"x-request-id", b"parent")]))
    assert [on_stack for on_stack, _ in found] == [None, None]
    assert {served.describe().request_id for _, served in found} == {"parent"}


def test_a_task_of_nobody_belongs_to_no_request() -> None:
    async def alone() -> Any:
        task = asyncio.current_task()
        assert task is not None
        return request_of_task(task)

    assert asyncio.run(alone()) is None


def test_a_connection_that_is_used_again_does_not_carry_the_last_request_over() -> None:
    async def connection() -> Any:
        await Scope(nothing)(http(), nothing, nothing)
        task = asyncio.current_task()
        assert task is not None
        return request_of_task(task)

    assert asyncio.run(connection()) is None


def test_a_served_request_leaves_no_reference_cycle_behind() -> None:
    serve(nothing, http())
    gc.collect()
    gc.disable()
    try:
        scopes = [http() for _ in range(10)]
        for each in scopes:
            served = Scope(nothing)(each, nothing, nothing)
            with pytest.raises(StopIteration):
                served.send(None)
        del scopes, each, served
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "?"),
        ({"route": SimpleNamespace(path_format="/users/{id}")}, "/users/{id}"),
        ({"route": SimpleNamespace(path="/users/{id}")}, "/users/{id}"),
        ({"route": SimpleNamespace(path="/{x}"), "root_path": "/mounted"}, "/mounted/{x}"),
        ({"root_path": "/mounted"}, "/mounted/?"),
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
