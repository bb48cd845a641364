"""An app's account of itself agrees with what runs when requests come in."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.imports import seen, write
from unstall.audit.audit import audit
from unstall.audit.imported import Imported, Route
from unstall.audit.imported_merge import merge
from unstall.audit.ir import Entrance, Place
from unstall.model.finding import Confidence

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(sys.platform == "win32", reason="apps are not imported there"),
]

SHAPES = """
import asyncio
import functools
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Security, WebSocket
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

RAN = []


def note(name):
    try:
        asyncio.get_running_loop()
        RAN.append((name, "loop"))
    except RuntimeError:
        RAN.append((name, "thread pool"))


def get_db():
    note("get_db")
    yield 1


async def get_user(db=Depends(get_db)):
    note("get_user")


async def stream_in(db: Annotated[int, Depends(get_db)]):
    note("stream_in")
    yield 2


class Paging:
    def __init__(self, page: int = 1):
        note("Paging.__init__")


class Limit:
    def __init__(self, n):
        self.n = n

    def __call__(self):
        note("Limit.__call__")


class Strict(Limit):
    pass


class AsyncLimit:
    async def __call__(self):
        note("AsyncLimit.__call__")


def settings(name, more=Depends(get_db)):
    note("settings")


def around(f):
    @functools.wraps(f)
    async def wrapper(*args, **named):
        return await f(*args, **named)
    return wrapper


async def app_wide():
    note("app_wide")


def router_wide():
    note("router_wide")


def include_wide():
    note("include_wide")


class Pure:
    def __init__(self, app, size=3, secret="x"):
        self.app = app

    async def __call__(self, scope, receive, send):
        note("Pure.__call__")
        await self.app(scope, receive, send)


class Inner(Pure):
    pass


class Based(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        note("Based.dispatch")
        return await call_next(request)


@asynccontextmanager
async def lifespan(app):
    yield


app = FastAPI(lifespan=lifespan, dependencies=[Depends(app_wide)])
app.add_middleware(GZipMiddleware, minimum_size=500)
app.add_middleware(Pure, size=7, secret="hidden")
app.add_middleware(Based)


@app.middleware("http")
async def outermost(request, call_next):
    note("outermost")
    return await call_next(request)


@app.get("/plain")
def plain(user=Depends(get_user), db=Depends(get_db)):
    note("plain")


@app.get("/async/{item:path}")
async def asynchronous(item, page: Paging = Depends(), limit=Depends(Limit(3)), strict=Depends(Strict(1)),
                       more=Depends(AsyncLimit())):
    note("asynchronous")


@app.get("/uncached")
async def uncached(a=Depends(get_db), b=Depends(get_db, use_cache=False), c=Depends(stream_in)):
    note("uncached")


@app.get("/partial")
def partial(s=Depends(functools.partial(settings, "x"))):
    note("partial")


@app.get("/wrapped", dependencies=[Depends(router_wide)])
@around
async def wrapped():
    note("wrapped")


@app.api_route("/many", methods=["GET", "POST"])
async def many():
    note("many")


inner = APIRouter(prefix="/inner", dependencies=[Depends(router_wide)])


@inner.get("/deep")
async def deep(user=Security(get_user)):
    note("deep")


@inner.websocket("/socket")
async def socket(websocket: WebSocket, db=Depends(get_db)):
    note("socket")
    await websocket.accept()
    await websocket.close()


class Views:
    @staticmethod
    def static():
        note("Views.static")

    async def method(self):
        note("Views.method")


class MoreViews(Views):
    pass


outer = APIRouter(prefix="/outer")
outer.include_router(inner, prefix="/again")
outer.get("/static")(Views.static)
outer.get("/method")(MoreViews().method)
app.include_router(outer, prefix="/api", dependencies=[Depends(include_wide)])
app.include_router(inner)


def replaced():
    note("replaced")


def replacement(db=Depends(get_db)):
    note("replacement")


@app.get("/overridden")
def overridden(x=Depends(replaced)):
    note("overridden")


app.dependency_overrides[replaced] = replacement


class Asked(HTTPEndpoint):
    async def get(self, request):
        note("Asked.get")
        return PlainTextResponse("")

    def post(self, request):
        note("Asked.post")
        return PlainTextResponse("")


class Endpoint(Asked):
    pass


def sync_handler(request):
    note("sync_handler")
    return PlainTextResponse("")


mounted = Starlette(
    routes=[
        Route("/page", sync_handler),
        Route("/class", Endpoint),
        Route("/own", sync_handler, middleware=[Middleware(Inner)]),
    ],
    middleware=[Middleware(Pure)],
)
app.mount("/sub", mounted)


@app.exception_handler(KeyError)
def handle(request, error):
    return PlainTextResponse("", 500)
"""

REQUESTS = """
GET /plain
GET /async/1/2
GET /uncached
GET /partial
GET /wrapped
GET /many
POST /many
GET /api/outer/again/inner/deep
GET /inner/deep
GET /api/outer/static
GET /api/outer/method
GET /overridden
GET /sub/page
GET /sub/own
GET /sub/class
POST /sub/class
WEBSOCKET /inner/socket
WEBSOCKET /api/outer/again/inner/socket
""".strip().split("\n")

PATHS = {"GET /async/1/2": "GET /async/{item}"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("shapes"), main=SHAPES)


@pytest.fixture(scope="module")
def told(root: Path) -> Imported:
    return seen(root)


@pytest.fixture(scope="module")
def entrances(told: Imported) -> dict[str, Entrance]:
    return {each.name: each for each in merge((), told).entrances}


@pytest.fixture(scope="module")
def running(root: Path) -> Iterator[tuple[ModuleType, TestClient]]:
    """The same app in this process."""
    spec = importlib.util.spec_from_file_location("shapes_main", root / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shapes_main"] = module
    try:
        spec.loader.exec_module(module)
        yield module, TestClient(module.app)
    finally:
        del sys.modules["shapes_main"]


def ran(running: tuple[Any, TestClient], request: str) -> list[tuple[str, str]]:
    module, client = running
    module.RAN.clear()
    method, path = request.split(" ")
    if method == "WEBSOCKET":
        with client.websocket_connect(path):
            pass
    else:
        assert client.request(method, path).status_code == 200
    return list(module.RAN)


@pytest.mark.parametrize("request_", REQUESTS)
def test_the_steps_of_a_route_are_those_that_run_in_their_order_and_place(
    entrances: dict[str, Entrance], running: tuple[Any, TestClient], request_: str
) -> None:
    entrance = entrances[PATHS.get(request_, request_)]
    steps = [
        (step.function.removeprefix("main:"), str(step.place))
        for step in entrance.steps
        if step.function.startswith("main:")
    ]
    if request_.startswith("WEBSOCKET"):  # BaseHTTPMiddleware passes these on
        steps = [each for each in steps if each[0] not in ("outermost", "Based.dispatch")]
    assert steps == ran(running, request_)


def route(told: Imported, path: str) -> Route:
    return next(each for each in told.routes if each.path == path)


def test_functions_are_told_with_the_line_of_their_def(told: Imported, root: Path) -> None:
    lines = (root / "main.py").read_text().splitlines()
    for path, text in (
        ("/plain", "def plain"),
        ("/wrapped", "async def wrapped"),
        ("/api/outer/method", "    async def method"),
    ):
        end = route(told, path).endpoint
        assert end.file == "main.py"
        assert lines[end.line - 1].startswith(text)


@pytest.mark.parametrize(
    ("name", "function", "receivers"),
    [
        ("GET /async/{item}", "Limit.__call__", ["main:Limit", "main:Strict"]),
        ("GET /async/{item}", "Paging.__init__", ["main:Paging"]),
        ("GET /async/{item}", "asynchronous", [""]),
        ("GET /api/outer/method", "Views.method", ["main:MoreViews"]),
        ("GET /api/outer/static", "Views.static", [""]),
        ("GET /plain", "outermost", [""]),
        ("GET /plain", "Based.dispatch", ["main:Based"]),
        ("GET /sub/own", "Pure.__call__", ["main:Pure", "main:Pure", "main:Inner"]),
        ("GET /sub/class", "Asked.get", ["main:Endpoint"]),
    ],
)
def test_a_method_is_told_with_the_class_that_it_is_called_on(
    entrances: dict[str, Entrance], name: str, function: str, receivers: list[str]
) -> None:
    steps = [each for each in entrances[name].steps if each.function == f"main:{function}"]
    assert [each.receiver for each in steps] == receivers
    assert [each.exact for each in steps] == [each != "" for each in receivers]


def test_middleware_is_told_from_the_outside_in_with_numbers_and_no_secrets(told: Imported) -> None:
    assert [(each.name, each.base_http) for each in told.middleware] == [
        ("starlette.middleware.base.BaseHTTPMiddleware", True),
        ("main:Based", True),
        ("main:Pure", False),
        ("starlette.middleware.gzip.GZipMiddleware", False),
    ]
    assert [dict(each.options) for each in told.middleware] == [
        {},
        {},
        {"size": 7},
        {"minimum_size": 500},
    ]
    assert "hidden" not in repr(told)


def test_handlers_lifespan_and_overrides_are_told(told: Imported) -> None:
    assert [(each.error, each.call.function) for each in told.handlers] == [
        ("KeyError", "main:handle")
    ]
    assert [each.function for each in told.lifespan] == ["main:lifespan"]
    assert dict(told.overrides) == {"main:replaced": "main:replacement"}


def test_around_the_routes_first_party_functions_are_entrances(told: Imported) -> None:
    found = {
        (each.kind, each.name, each.place)
        for each in merge((), told).entrances
        if each.kind not in ("route", "websocket")
    }
    assert found == {
        ("middleware", "outermost", Place.LOOP),
        ("middleware", "Based.dispatch", Place.LOOP),
        ("middleware", "Pure.__call__", Place.LOOP),
        ("exception handler", "handle", Place.THREAD_POOL),
        ("lifespan", "lifespan", Place.STARTUP),
    }


def test_pages_that_fastapi_makes_itself_are_no_entrances(entrances: dict[str, Entrance]) -> None:
    assert not {name for name in entrances if "docs" in name or "openapi" in name}


def test_an_app_inside_other_asgi_apps_is_found_with_these_as_middleware(tmp_path: Path) -> None:
    source = """
        from fastapi import FastAPI
        from starlette.middleware.gzip import GZipMiddleware

        class Wrapper:
            def __init__(self, app): self.app = app
            async def __call__(self, *args): await self.app(*args)

        inside = FastAPI()
        @inside.get("/x")
        async def x(): ...
        app = Wrapper(GZipMiddleware(inside))
    """
    told = seen(write(tmp_path, main=source))
    assert [each.name for each in route(told, "/x").middleware] == [
        "main:Wrapper",
        "starlette.middleware.gzip.GZipMiddleware",
    ]


def test_lifespans_of_included_routers_and_startup_handlers_are_told(tmp_path: Path) -> None:
    source = """
        from contextlib import asynccontextmanager
        from fastapi import APIRouter, FastAPI
        @asynccontextmanager
        async def first(app): yield
        @asynccontextmanager
        async def second(app): yield
        app = FastAPI(lifespan=first)
        router = APIRouter(lifespan=second)
        app.include_router(router)
    """
    handlers = """
        from fastapi import FastAPI
        app = FastAPI()
        @app.on_event("startup")
        def warm(): ...
        @app.on_event("shutdown")
        async def cool(): ...
    """
    root = write(tmp_path, main=source, old=handlers)
    assert {each.function for each in seen(root).lifespan} == {"main:first", "main:second"}
    told = seen(root, "old:app")
    assert [(each.function, each.kind) for each in told.startup] == [
        ("old:warm", "sync"),
        ("old:cool", "async"),
    ]


VIEWS = """
import requests
from fastapi import APIRouter, FastAPI


class View:
    def __init__(self):
        self.router = APIRouter()
        self.router.add_api_route(self.path, self.get)

    async def get(self):
        return await self.load()

    async def load(self):
        raise NotImplementedError


class Quick(View):
    path = "/quick"

    async def load(self):
        return 1


class Slow(View):
    path = "/slow"

    async def load(self):
        return requests.get("http://x").status_code


app = FastAPI()
for each in (Quick(), Slow()):
    app.include_router(each.router)
"""


def test_an_endpoint_that_classes_inherit_is_judged_by_the_class_of_each_route(
    tmp_path: Path,
) -> None:
    root = write(tmp_path, main=VIEWS)
    found = audit(root, imported=seen(root), only=frozenset({"US102"})).findings
    assert [(each.confidence, [entry.name for entry in each.entries]) for each in found] == [
        (Confidence.CERTAIN, ["GET /slow"])
    ]
