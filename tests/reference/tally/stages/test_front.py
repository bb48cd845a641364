"""What stands before FastAPI."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from tally.problems import Problem
from tally.stages.front import Busy, stand_before


async def busy(request: Request) -> Response:
    match request.query_params.get("do"):
        case "refuse":
            raise Problem(503, "store", "Nothing was acknowledged.", retry_after=1)
        case "break":
            raise RuntimeError("a mistake")
    return PlainTextResponse(f"{request.scope['route'].path} {len(await request.body())}")


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/busy", busy, methods=["POST"])]
    app = FastAPI(routes=list(routes))
    app.add_api_route("/other", lambda: {"layers": "all"})
    made: list[Busy] = []

    def front(inner: ASGIApp) -> ASGIApp:
        made.append(Busy(inner, routes))
        return made[-1]

    stand_before(app, front)
    app.add_api_route("/late", lambda: {"added": "later"})
    return TestClient(app, raise_server_exceptions=False)


def test_a_busy_route_answers_and_is_named(client: TestClient) -> None:
    assert client.post("/busy", content=b"four").text == "/busy 4"


def test_all_others_go_through_fastapi(client: TestClient) -> None:
    assert client.get("/other").json() == {"layers": "all"}
    assert client.get("/late").json() == {"added": "later"}
    assert client.get("/busy").status_code == 405
    assert client.post("/nowhere").status_code == 404


def test_a_refusal_is_a_problem(client: TestClient) -> None:
    answer = client.post("/busy?do=refuse")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_mistake_of_ours_is_logged_and_told_as_such(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post("/busy?do=break")
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal")
    (record,) = [each for each in caplog.records if each.name == "tally"]
    assert record.exc_info is not None
    assert "a mistake" in str(record.exc_info[1])
