"""Steps are said to run in the order and in the places in which they really do."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audit.entrances_of import entrances_of, write
from unstall.audit.ir import Entrance

MODULE = "audited_running"

SOURCE = '''
    import asyncio
    import functools
    import inspect

    from fastapi import BackgroundTasks, Depends, FastAPI, Request
    from fastapi.responses import JSONResponse, StreamingResponse
    from pydantic import BaseModel, computed_field, field_serializer, field_validator, model_serializer
    from starlette.background import BackgroundTask
    from starlette.endpoints import HTTPEndpoint
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware

    LOG = []


    def note():
        """The name of the caller, and where it runs."""
        try:
            asyncio.get_running_loop()
            place = "loop"
        except RuntimeError:
            place = "thread pool"
        LOG.append((inspect.currentframe().f_back.f_code.co_qualname, place))


    class First:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            note()
            await self.app(scope, receive, send)


    class Second(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            note()
            return await call_next(request)


    class Third(First):
        async def __call__(self, scope, receive, send):
            note()
            await self.app(scope, receive, send)


    app = FastAPI(middleware=[Middleware(First), Middleware(Second)])
    app.add_middleware(Third)


    @app.middleware("http")
    async def outermost(request: Request, call_next):
        note()
        return await call_next(request)


    def made_async(function):
        @functools.wraps(function)
        async def wrapper(*args, **named):
            return function(*args, **named)

        return wrapper


    def settings():
        note()


    def plain(settings=Depends(settings)):
        note()


    async def on_loop(settings=Depends(settings)):
        note()


    def generator(plain=Depends(plain)):
        note()
        yield 1


    async def async_generator():
        note()
        yield 1


    class Made:
        def __init__(self, plain=Depends(plain)):
            note()


    class Instance:
        async def __call__(self, on_loop=Depends(on_loop)):
            note()


    @made_async
    def wrapped():
        note()


    def again():
        note()


    class Item(BaseModel):
        name: str = ""

        @field_validator("name")
        @classmethod
        def check_name(cls, value):
            note()
            return value


    class Inner(BaseModel):
        id: int = 1

        @field_serializer("id")
        def serialise_id(self, value):
            note()
            return value


    class Above(BaseModel):
        @computed_field
        def name(self) -> str:
            note()
            return ""


    class Given(Above):
        inner: Inner = Inner()

        @staticmethod
        def made_anew():
            return 1

        @computed_field
        @property
        def label(self) -> str:
            note()
            return ""

        @model_serializer(mode="wrap")
        def serialise(self, handler):
            note()
            return handler(self)


    @app.post("/given")
    async def given() -> Given | None:
        note()
        return Given()


    @app.post("/given-of-plain", response_model=list[Given])
    def plain_given():
        note()
        return [Given()]


    @app.post("/given-unsaid")
    async def given_unsaid():
        note()
        return Given()


    @app.post("/given-validated")
    async def given_validated():
        note()
        return Given.model_validate({})


    @app.post("/given-as-any", response_model=None)
    async def given_as_any() -> Above:
        note()
        return Given()


    @app.post("/given-in-part")
    async def given_in_part():
        note()
        return Given.made_anew()


    @app.post("/not-given", response_model=Given)
    async def not_given():
        note()
        return JSONResponse({})


    @app.post("/any", response_model=None)
    async def any_given() -> Above:
        note()
        return {}


    @app.post("/without", response_model=Above, response_model_exclude={"name"})
    async def without():
        note()
        return Above()


    def later():
        note()


    async def later_on_loop():
        note()


    def rows():
        note()
        yield b"1"


    async def async_rows():
        note()
        yield b"1"


    @app.post("/everything")
    async def everything(
        item: Item,
        background: BackgroundTasks,
        a=Depends(generator),
        b=Depends(async_generator),
        c=Depends(Made),
        d=Depends(Instance()),
        e=Depends(wrapped),
        f=Depends(again),
        g=Depends(again, use_cache=False),
        h=Depends(lambda: None),
    ):
        note()
        background.add_task(later)
        background.add_task(later_on_loop)
        return {}


    @app.post("/plain", dependencies=[Depends(again)])
    def plain_endpoint(item: Item, settings=Depends(settings)):
        note()
        return JSONResponse({}, background=BackgroundTask(later))


    @app.post("/wrapped")
    @made_async
    def wrapped_endpoint():
        note()
        return {}


    @app.post("/rows")
    async def stream_rows():
        note()
        return StreamingResponse(rows())


    @app.post("/async-rows")
    def stream_async_rows():
        note()
        return StreamingResponse(async_rows())


    @app.post("/generator")
    def generator_endpoint():
        note()
        yield {}


    @app.post("/async-generator")
    async def async_generator_endpoint():
        note()
        yield {}


    class View(HTTPEndpoint):
        def post(self, request):
            note()
            return JSONResponse({})


    app.add_route("/view", View)


    class Broken(Exception):
        pass


    class Bent(Exception):
        pass


    @app.exception_handler(Broken)
    def broken(request, error):
        note()
        return JSONResponse({})


    async def bent(request, error):
        note()
        return JSONResponse({})


    app.add_exception_handler(Bent, bent)


    @app.post("/broken")
    async def raise_broken():
        raise Broken


    @app.post("/bent")
    async def raise_bent():
        raise Bent
'''


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("project")
    write(root, **{MODULE: SOURCE})
    sys.path.insert(0, str(root))
    try:
        yield importlib.import_module(MODULE)
    finally:
        sys.path.remove(str(root))
        del sys.modules[MODULE]


@pytest.fixture(scope="module")
def found(module: Any) -> dict[str, Entrance]:
    return entrances_of(Path(module.__file__).parent)


def really(module: Any, path: str) -> list[tuple[str, str]]:
    """What a request to the path ran, and where."""
    module.LOG.clear()
    asyncio.run(post(module.app, path))
    return list(module.LOG)


def said_of(entrance: Entrance) -> list[tuple[str, str]]:
    return [
        (step.function.partition(":")[2], str(step.place))
        for step in entrance.steps
        if ":" in step.function and "<lambda>" not in step.function
    ]


async def post(app: Any, path: str) -> None:
    body = [{"type": "http.request", "body": b'{"name": "x"}', "more_body": False}]

    async def receive() -> Any:
        if not body:
            await asyncio.sleep(3600)
        return body.pop()

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    headers = [(b"content-type", b"application/json"), (b"content-length", b"13")]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": path,
        "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"", "headers": headers,
        "client": ("test", 1), "server": ("test", 80),
    }  # fmt: skip
    await app(scope, receive, send)


@pytest.mark.parametrize(
    "path",
    "/everything /plain /wrapped /rows /async-rows /generator /async-generator /view /not-given /any "
    "/without /given-in-part".split(),
)
def test_a_route_runs_as_its_steps_say(module: Any, found: dict[str, Entrance], path: str) -> None:
    said = said_of(found[f"route POST {path}"])
    assert said == really(module, path)
    assert len(said) >= 5


@pytest.mark.parametrize(
    "path", ["/given", "/given-of-plain", "/given-unsaid", "/given-validated", "/given-as-any"]
)
def test_models_serialise_what_a_route_gives(
    module: Any, found: dict[str, Entrance], path: str
) -> None:
    said = said_of(found[f"route POST {path}"])
    assert sorted(said) == sorted(really(module, path))
    assert {("Inner.serialise_id", "loop"), ("Above.name", "loop"), ("Given.label", "loop")} < {
        *said
    }


@pytest.mark.parametrize("name", ["broken", "bent"])
def test_an_exception_handler_runs_where_it_is_said(
    module: Any, found: dict[str, Entrance], name: str
) -> None:
    assert really(module, f"/{name}")[-1] == (name, found[f"exception handler {name}"].place)
