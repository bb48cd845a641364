"""Dependencies of FastAPI that run in a lane.

Annotations are objects here, because FastAPI cannot see what is local to a test.
"""

import asyncio
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.testclient import TestClient

from tests.lanes.work import Hang, double, eventually
from unstall import Lane
from unstall.errors import LaneError, UsageError
from unstall.lanes.asgi import lane_error_response
from unstall.lanes.dependencies import signature

if TYPE_CHECKING:
    from decimal import Decimal


def thread() -> str:
    return threading.current_thread().name


@pytest.fixture
def lane() -> Iterator[Lane]:
    with Lane("deps", threads=2) as lane:
        yield lane


def client_of(app: FastAPI) -> TestClient:
    app.add_exception_handler(LaneError, lane_error_response)
    return TestClient(app, raise_server_exceptions=False)


def customer(request: Request, number: int, x_tenant: Annotated[str, Header()]) -> dict[str, Any]:
    return {"number": number, "tenant": x_tenant, "path": request.url.path, "thread": thread()}


def test_a_function_gets_its_parameters_from_fastapi_and_runs_in_the_lane(lane: Lane) -> None:
    app = FastAPI()

    @app.get("/customers/{number}")
    async def route(found: Annotated[Any, Depends(lane.depends(customer))]) -> Any:
        return found

    with client_of(app) as client:
        answer = client.get("/customers/7", headers={"x-tenant": "acme"}).json()
        assert answer.pop("thread").startswith("lane deps")
        assert answer == {"number": 7, "tenant": "acme", "path": "/customers/7"}
        assert client.get("/customers/seven", headers={"x-tenant": "acme"}).status_code == 422
    parameters = app.openapi()["paths"]["/customers/{number}"]["get"]["parameters"]
    assert [(each["name"], each["in"]) for each in parameters] == [
        ("number", "path"),
        ("x-tenant", "header"),
    ]


def test_a_class_is_a_dependency_too(lane: Lane) -> None:
    class Page:
        def __init__(self, limit: int = 10) -> None:
            self.limit = limit
            self.thread = thread()

    app = FastAPI()

    @app.get("/")
    async def route(page: Annotated[Any, Depends(lane.depends(Page))]) -> Any:
        return [page.limit, page.thread[:9]]

    with client_of(app) as client:
        assert client.get("/?limit=3").json() == [3, "lane deps"]


def test_a_dependency_is_asked_once_a_request_and_can_be_overridden(lane: Lane) -> None:
    calls: list[str] = []

    def settings() -> str:
        calls.append(thread())
        return "real"

    app = FastAPI()

    @app.get("/")
    async def route(
        one: Annotated[str, Depends(lane.depends(settings))],
        two: Annotated[str, Depends(lane.depends(settings))],
    ) -> list[str]:
        return [one, two]

    with client_of(app) as client:
        assert client.get("/").json() == ["real", "real"]
        assert len(calls) == 1
        app.dependency_overrides[lane.depends(settings)] = lambda: "fake"
        assert client.get("/").json() == ["fake", "fake"]


def test_both_halves_of_a_generator_run_in_the_lane(lane: Lane) -> None:
    seen: list[str] = []

    def session(name: str = "main") -> Iterator[str]:
        seen.append(f"open {name} {thread()[:9]}")
        try:
            yield name
        except HTTPException as error:
            seen.append(f"error {error.status_code}")
            raise
        finally:
            seen.append(f"close {name} {thread()[:9]}")

    app = FastAPI()

    @app.get("/")
    async def route(
        name: Annotated[str, Depends(lane.depends(session))], fail: bool = False
    ) -> str:
        seen.append("work")
        if fail:
            raise HTTPException(418)
        return name

    with client_of(app) as client:
        assert client.get("/?name=a").json() == "a"
        assert client.get("/?name=b&fail=true").status_code == 418
    assert seen == [
        "open a lane deps", "work", "close a lane deps",
        "open b lane deps", "work", "error 418", "close b lane deps",
    ]  # fmt: skip


def test_what_is_given_back_needs_no_slot() -> None:
    """Else those who wait for a connection would keep those who have one from returning it."""
    app = FastAPI()
    hang = Hang()

    def session() -> Iterator[int]:
        yield 1

    with Lane("deps", threads=1, queue=0) as lane:

        @app.get("/")
        async def route(
            number: Annotated[int, Depends(lane.depends(session), scope="function")],
        ) -> int:
            others.append(asyncio.create_task(lane.run(hang)))
            while not hang.entered:
                await anyio.sleep(0.001)
            return number

        others: list[Any] = []
        with client_of(app) as client:
            try:
                assert client.get("/").json() == 1
                assert lane.reading().held == 1
            finally:
                hang.release()


def test_what_comes_too_late_to_be_used_is_given_back_by_its_thread() -> None:
    app = FastAPI()
    hang = Hang()
    closed: list[str] = []

    def session() -> Iterator[int]:
        hang()
        try:
            yield 1
        finally:
            closed.append(thread())

    with Lane("deps", threads=1, deadline=0.5) as lane:

        @app.get("/")
        async def route(number: Annotated[int, Depends(lane.depends(session))]) -> int:
            return number

        with client_of(app) as client:
            answer = client.get("/")
            assert (answer.status_code, answer.json()["reason"]) == (504, "lane-deadline")
            (one,) = lane.statistics().abandoned
            assert one.function.endswith("<locals>.session")
            assert closed == []
            hang.release()
            assert eventually(lambda: len(closed) == 1)
            assert closed[0].startswith("lane deps")
            assert eventually(lambda: lane.reading().held == 0)


def test_an_endpoint_can_be_wrapped_whole(lane: Lane) -> None:
    app = FastAPI()

    @app.get("/double/{number}")
    @lane.wrap
    def endpoint(number: int) -> dict[str, Any]:
        return {"number": double(number), "thread": thread()[:9]}

    with client_of(app) as client:
        assert client.get("/double/4").json() == {"number": 8, "thread": "lane deps"}


def test_a_full_lane_is_answered_with_503() -> None:
    app = FastAPI()
    hang = Hang()

    with Lane("deps", threads=1, queue=0) as lane:

        @app.get("/")
        async def route(found: Annotated[int, Depends(lane.depends(lambda: 1))]) -> int:
            return found

        with client_of(app) as client:
            assert client.get("/").json() == 1

            async def fill() -> None:
                async with anyio.create_task_group() as group:
                    group.start_soon(lane.run, hang)
                    while not hang.entered:
                        await anyio.sleep(0.001)
                    group.cancel_scope.cancel()

            anyio.run(fill)
            answer = client.get("/")
            hang.release()
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert eventually(lambda: lane.reading().held == 0)


def test_asynchronous_dependencies_are_refused(lane: Lane) -> None:
    async def asynchronous() -> None: ...

    with pytest.raises(UsageError, match="is asynchronous"):
        lane.depends(asynchronous)


def test_a_generator_cannot_go_to_another_process() -> None:
    def session() -> Iterator[int]:
        yield 1

    with Lane("deps", processes=1) as lane, pytest.raises(UsageError, match="needs threads"):
        lane.depends(session)


def test_an_annotation_that_only_type_checkers_know_stays_text() -> None:
    def pay(amount: "Decimal", times: "int") -> None: ...

    assert [each.annotation for each in signature(pay).parameters.values()] == ["Decimal", int]
