"""A route class of one's own wraps its routes: what it does stands on the loop, whatever the endpoint is."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.audit.entrances_of import entrances_of, steps_of
from tests.audit.reading import found
from unstall.model.finding import Confidence

LOGGED = """
import time
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.routing import APIRoute
class Logged(APIRoute):
    def get_route_handler(self):
        original = super().get_route_handler()
        async def logged(request: Request):
            response = await original(request)
            time.sleep(1)
            return response
        return logged
"""
APP = LOGGED + "app = FastAPI()\nrouter = APIRouter(route_class=Logged)\n"
ROUTE = "@router.get('/')\ndef route(): ...\n"

WRAPPED = {
    "of a router": APP + ROUTE + "app.include_router(router)\n",
    "of a router by a name": APP.replace("route_class=Logged", "**settings").replace(
        "router =", "settings = {'route_class': Logged}\nrouter ="
    )
    + ROUTE,
    "of a router that another one includes": APP
    + ROUTE
    + "outer = APIRouter()\nouter.include_router(router)\napp.include_router(outer)\n",
    "of an app": APP + "app.router.route_class = Logged\n@app.get('/')\ndef route(): ...\n",
    "of an app, in a function": LOGGED
    + "def make():\n    router = FastAPI()\n    router.router.route_class = Logged\n"
    + "    @router.get('/')\n    def route(): ...\n    return router\n",
    "of a router that is set later": APP.replace("route_class=Logged", "")
    + "router.route_class = Logged\n"
    + ROUTE,
    "of a class of routers": LOGGED
    + "class Router(APIRouter):\n    def __init__(self):\n        super().__init__(route_class=Logged)\n"
    + "router = Router()\n"
    + ROUTE,
    "of a class of routers that sets it on itself": LOGGED
    + "class Router(APIRouter):\n    def __init__(self):\n        super().__init__()\n"
    + "        self.route_class = Logged\nrouter = Router()\n"
    + ROUTE,
    "of an object of a class of routers": LOGGED
    + "class Router(APIRouter):\n    def __init__(self, prefix='', **more):\n"
    + "        super().__init__(prefix=prefix, **more)\nrouter = Router(route_class=Logged)\n"
    + ROUTE,
    "that a function gives": LOGGED
    + "def which(is_logged):\n    return Logged if is_logged else APIRoute\n"
    + "router = APIRouter(route_class=which(True))\n"
    + ROUTE,
    "of one route": APP.replace("route_class=Logged", "")
    + "def route(): ...\nrouter.add_api_route('/', route, route_class_override=Logged)\n",
    "of a class below": APP.replace("router =", "class More(Logged): ...\nrouter =").replace(
        "route_class=Logged", "route_class=More"
    )
    + ROUTE,
}
BARE = {
    "of another router": APP + "other = APIRouter()\n@other.get('/')\ndef route(): ...\n",
    "of the router around": APP
    + "inner = APIRouter()\n@inner.get('/')\ndef route(): ...\nrouter.include_router(inner)\n",
    "of a WebSocket": APP + "@router.websocket('/')\nasync def route(socket): ...\n",
    "that wraps nothing": APP.replace("get_route_handler", "helper").replace("super().", "self.")
    + ROUTE,
    "of one route instead": APP
    + "def route(): ...\nrouter.add_api_route('/', route, route_class_override=APIRoute)\n",
}


@pytest.mark.parametrize("source", WRAPPED.values(), ids=WRAPPED)
def test_a_route_runs_inside_the_handler_of_its_class(source: str, tmp_path: Path) -> None:
    entrance = entrances_of(tmp_path, app=source)["route GET /"]

    wrapped, endpoint = steps_of(entrance)
    assert wrapped == "route class Logged.get_route_handler.<locals>.logged in loop"
    assert endpoint.startswith("endpoint ")
    assert endpoint.endswith("route in thread pool")


@pytest.mark.parametrize("source", BARE.values(), ids=BARE)
def test_another_route_does_not(source: str, tmp_path: Path) -> None:
    (entrance,) = [e for e in entrances_of(tmp_path, app=source).values() if e.name.endswith("/")]

    assert not [step for step in entrance.steps if step.kind == "route class"]


def test_a_handler_around_a_handler_runs_before_it(tmp_path: Path) -> None:
    more = """
    class More(Logged):
        def get_route_handler(self):
            inside = super().get_route_handler()
            async def more(request):
                return await inside(request)
            return more
    class Instead(Logged):
        def get_route_handler(self):
            return self.instead
        async def instead(self, request): ...
        async def handle(self, scope, receive, send): ...
    more = APIRouter(route_class=More)
    @more.get("/more")
    async def a(): ...
    instead = APIRouter(route_class=Instead)
    @instead.get("/instead")
    async def b(): ...
    """
    entered = entrances_of(tmp_path, app=LOGGED + dedent(more))

    def around(name: str) -> list[str]:
        steps = entered[f"route GET {name}"].steps
        return [s.function.rpartition(".")[2] for s in steps if s.kind == "route class"]

    assert around("/more") == ["more", "logged"]
    assert around("/instead") == ["handle", "instead"]


GOES_ON = {
    "super()": ["more", "logged"],
    "super(More, self)": ["more", "logged"],
    "super(Logged, self)": ["more"],
    "Logged": ["more", "logged"],
    "APIRoute": ["more"],
    "self.other": ["more"],
}


@pytest.mark.parametrize(("asked", "expected"), GOES_ON.items(), ids=GOES_ON)
def test_it_goes_on_where_it_asks(asked: str, expected: list[str], tmp_path: Path) -> None:
    receiver = "" if asked.startswith("super") else "self"
    more = f"""
    class More(Logged):
        other = APIRoute("/", print)
        def get_route_handler(self):
            inside = {asked}.get_route_handler({receiver})
            async def more(request):
                return await inside(request)
            return more
    """
    app = "router = APIRouter(route_class=More)\n" + ROUTE
    entrance = entrances_of(tmp_path, app=LOGGED + dedent(more) + app)["route GET /"]

    around = [s.function.rpartition(".")[2] for s in entrance.steps if s.kind == "route class"]
    assert around == expected


def test_a_parent_that_is_kept_in_a_name_is_asked_as_well(tmp_path: Path) -> None:
    more = """
    class More(Logged):
        def get_route_handler(self):
            above = super()
            return above.get_route_handler()
    router = APIRouter(route_class=More)
    """
    entrance = entrances_of(tmp_path, app=LOGGED + dedent(more) + ROUTE)["route GET /"]

    assert "logged" in steps_of(entrance)[0]


def test_what_blocks_in_a_route_class_is_found_for_each_of_its_routes() -> None:
    (finding,) = found(APP + ROUTE + "@router.get('/b')\nasync def b(): ...\n")

    assert finding.confidence is Confidence.CERTAIN
    assert finding.runs_on == "loop"
    assert sorted(each.name for each in finding.entries) == ["GET /", "GET /b"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("super().get_route_handler()", Confidence.CERTAIN),
        ("Logged.get_route_handler(self)", Confidence.CERTAIN),
        ("APIRoute.get_route_handler(self)", Confidence.POSSIBLE),
    ],
)
def test_what_blocks_in_a_parent_that_is_skipped_is_possible(asked: str, told: Confidence) -> None:
    quiet = f"class Quiet(Logged):\n    def get_route_handler(self):\n        return {asked}\n"
    app = APP.replace("app =", quiet + "app =").replace("route_class=Logged", "route_class=Quiet")
    (finding,) = found(app + ROUTE)

    assert finding.confidence is told


def test_what_a_route_class_hands_to_a_thread_is_no_finding() -> None:
    offloaded = APP.replace("time.sleep(1)", "await run_in_threadpool(time.sleep, 1)")

    assert not [
        each
        for each in found("from fastapi.concurrency import run_in_threadpool\n" + offloaded + ROUTE)
        if each.runs_on == "loop"
    ]
