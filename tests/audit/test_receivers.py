"""What a framework enters is called on an object, and other classes below its base are not meant."""

from __future__ import annotations

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence

BASE = """
import asyncio, requests
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.base import BaseHTTPMiddleware
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer

class Base({above}):
    async def {entered}(self, *args):
        return await self.look()

    async def look(self):
        raise NotImplementedError

class Clean(Base):
    async def look(self):
        return 1

class Dirty(Base):
    async def look(self):
        return requests.get("http://x")

class Loud(Dirty):
    def name(self):
        return "loud"
"""

WAYS = {
    "an object that is called": (
        "", "__call__", "@app.get('/x', dependencies=[Depends({class_}())])\nasync def route(): ..."
    ),
    "one that a name holds": (
        "", "__call__", "one = {class_}()\n@app.get('/x')\nasync def route(u=Depends(one)): ..."
    ),
    "a method of an object": (
        "", "ask", "one = {class_}()\n@app.get('/x')\nasync def route(u=Depends(one.ask)): ..."
    ),
    "a class that a dependency makes": (
        "", "ask", "@app.get('/x')\nasync def route(one: {class_} = Depends()): await one.ask()"
    ),
    "a method as an endpoint": ("", "get", "app.add_api_route('/x', {class_}().get)"),
    "an endpoint class": ("HTTPEndpoint", "get", "app.add_route('/x', {class_})"),
    "middleware": ("BaseHTTPMiddleware", "dispatch", "app.add_middleware({class_})"),
    "middleware of ASGI": ("", "__call__", "app.add_middleware({class_})"),
    "a route class": (
        "APIRoute", "handle",
        "own = APIRouter(route_class={class_})\n@own.get('/x')\nasync def route(): ...\n"
        "app.include_router(own)",
    ),
    "an exception handler": ("", "fail", "app.add_exception_handler(KeyError, {class_}().fail)"),
    "a background task": (
        "", "run",
        "@app.get('/x')\nasync def route(later: BackgroundTasks): later.add_task({class_}().run)",
    ),
    "a task": (
        "", "run", "@app.get('/x')\nasync def route(): asyncio.create_task({class_}().run())"
    ),
}  # fmt: skip


def told(way: str, class_: str) -> dict[str, Confidence]:
    """How sure each entrance is to come to what blocks; other entrances than a framework's do not count."""
    above, entered, served = WAYS[way]
    source = BASE.replace("{above}", above).replace("{entered}", entered)
    return {
        entry.name: each.confidence
        for each in found(source + served.replace("{class_}", class_))
        for entry in each.entries
        if each.code == "US102" and not entry.name.endswith(".look")
    }


@pytest.mark.parametrize("way", WAYS)
def test_an_inherited_method_calls_those_of_the_class_that_is_entered(way: str) -> None:
    assert set(told(way, "Dirty").values()) == {Confidence.CERTAIN}
    assert set(told(way, "Loud").values()) == {Confidence.CERTAIN}


@pytest.mark.parametrize("way", WAYS)
def test_and_never_those_of_a_class_beside_it(way: str) -> None:
    assert told(way, "Clean") == {}


def test_two_routes_that_enter_one_method_are_told_apart() -> None:
    routes = "".join(
        f"\n@app.get('/{class_}', dependencies=[Depends({class_}())])\nasync def {class_}_(): ...\n"
        for class_ in ("Clean", "Dirty")
    )
    source = BASE.replace("{above}", "").replace("{entered}", "__call__") + routes
    (each,) = (each for each in found(source) if each.code == "US102")
    assert each.confidence is Confidence.CERTAIN
    assert [entry.name for entry in each.entries] == ["GET /Dirty"]


@pytest.mark.parametrize(
    ("one", "confidence"),
    [
        ("def make() -> Base: ...\none = make()", Confidence.LIKELY),
        ("def make(flag):\n    return Clean() if flag else Dirty()\none = make(app)", Confidence.LIKELY),
        ("class Box:\n    one: Base\nbox = Box()\none = box.one", Confidence.LIKELY),
        ("one = Clean()\ndef set_up():\n    global one\n    one = Dirty()", Confidence.LIKELY),
    ],
)  # fmt: skip
def test_where_the_class_is_not_known_those_below_may_be_meant(
    one: str, confidence: Confidence
) -> None:
    source = BASE.replace("{above}", "").replace("{entered}", "ask")
    route = f"\n{one}\n@app.get('/x')\nasync def route(u=Depends(one.ask)): ...\n"
    (each,) = (each for each in found(source + route) if each.code == "US102")
    assert (each.confidence, each.entries[0].name) == (confidence, "GET /x")


def test_of_two_objects_that_may_be_called_it_is_one() -> None:
    source = BASE.replace("{above}", "").replace("{entered}", "__call__")
    asked = "def make(flag):\n    return Clean() if flag else Dirty()\n"
    route = "@app.get('/x')\nasync def route(u=Depends(make(app))): ...\n"
    (each,) = (each for each in found(source + asked + route) if each.code == "US102")
    assert (each.confidence, each.entries[0].name) == (Confidence.LIKELY, "GET /x")
