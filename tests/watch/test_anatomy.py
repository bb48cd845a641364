"""Real FastAPI and Starlette apps, taken apart: every piece measured, and nothing changed for the host."""

import asyncio
import concurrent.futures
import contextvars
import dataclasses
import functools
import gc
import itertools
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import anyio
import anyio.to_thread
import fastapi.responses
import fastapi.routing
import pytest
import starlette.background
import starlette.responses
import uvloop
from anyio._backends import _asyncio as anyio_asyncio
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Security,
    WebSocket,
)
from fastapi.responses import StreamingResponse
from fastapi.security import SecurityScopes
from fastapi.testclient import TestClient
from pydantic import BaseModel, field_serializer
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import unstall
from tests.support.measured import (
    MS,
    Seen,
    asked,
    away_ms,
    client,
    held_ms,
    only,
    pieces,
    spin,
    watched,
)
from unstall.settings import Settings
from unstall.watch.held import HERE
from unstall.watch.lineage import scope_that_started
from unstall.watch.monitor import Monitor
from unstall.watch.pieces import name_of
from unstall.watch.scope import NEVER, REQUESTS, awaited_by, route_template

pytestmark = pytest.mark.frameworks

EVENTS: Any = getattr(fastapi.responses, "EventSourceResponse", None)
"""FastAPI since 0.135."""
GATED = "max_concurrency" in (Depends.__kwdefaults__ or {})
"""FastAPI since 0.163."""


def hooks() -> dict[str, Any]:
    return {
        "solve": fastapi.routing.solve_dependencies,  # type: ignore[attr-defined]
        "run": fastapi.routing.run_endpoint_function,
        "serialize": fastapi.routing.serialize_response,
        "background": starlette.background.BackgroundTask.__call__,
        "stream": starlette.responses.StreamingResponse.stream_response,
        "errors": ServerErrorMiddleware.__call__,
        "threads": vars(anyio_asyncio.AsyncIOBackend)["run_sync_in_worker_thread"],
        "submit": concurrent.futures.ThreadPoolExecutor.submit,
        "tasks": vars(asyncio.BaseEventLoop)["create_task"],
        "uvloop": vars(uvloop.Loop).get("create_task"),
    }


@pytest.fixture(autouse=True)
def nothing_stays_patched() -> Iterator[None]:
    before = hooks()
    yield
    assert hooks() == before
    assert HERE.span is None


# --- the endpoint and what surrounds it -----------------------------------------------------


def test_an_async_endpoint_holds_the_loop_for_what_it_computes_and_no_more() -> None:
    app = FastAPI()

    @app.get("/users/{user}")
    async def show(user: int) -> dict[str, int]:
        spin(8)
        await asyncio.sleep(0.04)
        return {"user": user}

    request = asked(app, "/users/7").request
    assert request.entry == "GET /users/{user}"
    endpoint = only(request, "endpoint", "show")
    assert held_ms(endpoint) >= 8
    assert away_ms(endpoint) >= 40
    assert endpoint.waited_ns >= 30 * MS
    assert request.held_ns >= 8 * MS
    assert only(request, "serialization").depth == endpoint.depth


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_def_endpoint_works_in_a_thread_and_does_not_hold_the_loop(run: Any) -> None:
    app = FastAPI()

    @app.get("/")
    def work() -> int:
        time.sleep(0.03)
        return 1

    async def ask() -> None:
        async with client(app) as http:
            assert (await http.get("/")).json() == 1

    request = watched(ask, run).request
    endpoint = only(request, "endpoint", "work")
    assert endpoint.hops == 1
    assert endpoint.worked_ns >= 30 * MS
    assert away_ms(endpoint) >= 30
    assert request.pieces[0].waited_ns <= request.took_ns - request.held_ns - 30 * MS
    assert not pieces(request, "thread", ".work"), "the endpoint itself was sent there"


def test_serialisation_is_charged_to_itself() -> None:
    app = FastAPI()

    class Answer(BaseModel):
        number: int = 1

        @field_serializer("number")
        def slowly(self, number: int) -> int:
            spin(6)
            return number

    @app.get("/")
    async def work() -> Answer:
        return Answer()

    request = asked(app, "/").request
    assert held_ms(only(request, "serialization")) >= 6
    assert held_ms(only(request, "serialization")) > held_ms(only(request, "endpoint"))


def test_an_endpoint_that_raises_is_answered_by_its_handler_and_measured() -> None:
    app = FastAPI()

    class Refused(Exception):
        pass

    @app.exception_handler(Refused)
    async def refuse(request: Request, error: Exception) -> PlainTextResponse:
        spin(3)
        return PlainTextResponse("refused", 418)

    @app.get("/")
    async def work() -> None:
        spin(3)
        raise Refused

    @app.get("/bug")
    async def bug() -> None:
        raise LookupError("a bug")

    async def ask() -> None:
        async with client(app, raise_app_exceptions=False) as http:
            assert (await http.get("/")).status_code == 418
            assert (await http.get("/bug")).status_code == 500
        async with client(app) as http:
            with pytest.raises(LookupError, match="a bug"):
                await http.get("/bug")

    seen = watched(ask)
    assert seen.slow[0].held_ns >= 6 * MS
    assert held_ms(only(seen.slow[0], "endpoint", "work")) >= 3
    assert [request.entry for request in seen.slow] == ["GET /", "GET /bug", "GET /bug"]


def test_a_path_that_no_route_matches_is_an_entry_without_a_template() -> None:
    async def ask() -> None:
        async with client(FastAPI()) as http:
            assert (await http.get("/secret/4711")).status_code == 404

    assert watched(ask).request.entry == "GET ?"


# --- dependencies ---------------------------------------------------------------------------


async def current_user() -> str:
    spin(4)
    await asyncio.sleep(0.02)
    return "ada"


def sync_settings() -> str:
    time.sleep(0.02)
    return "settings"


class Limiter:
    def __init__(self, calls: int) -> None:
        self.calls = calls

    async def __call__(self) -> int:
        spin(2)
        return self.calls


class Pager:
    def __init__(self, page: int = 1) -> None:
        self.page = page


def test_each_kind_of_dependency_is_a_piece_of_its_own() -> None:
    app = FastAPI()
    limiter = Limiter(9)
    partial = functools.partial(current_user)

    @app.get("/")
    async def work(
        user: Annotated[str, Depends(current_user)],
        settings: Annotated[str, Depends(sync_settings)],
        calls: Annotated[int, Depends(limiter)],
        pager: Annotated[Pager, Depends()],
        again: Annotated[str, Depends(partial, use_cache=False)],
    ) -> list[Any]:
        return [user, settings, calls, pager.page, again]

    async def ask() -> None:
        async with client(app) as http:
            answer = await http.get("/?page=3")
            assert answer.json() == ["ada", "settings", 9, 3, "ada"]

    request = watched(ask).request
    users = pieces(request, "dependency", ":current_user")
    assert len(users) == 2
    for user in users:
        assert held_ms(user) >= 4
        assert away_ms(user) >= 20
    settings = only(request, "dependency", ":sync_settings")
    assert settings.hops == 1
    assert settings.worked_ns >= 20 * MS
    assert held_ms(settings) == 0
    assert held_ms(only(request, "dependency", ":Limiter")) >= 2
    assert only(request, "dependency", ":Pager").hops == 1, "classes are called in a thread"
    together = only(request, "dependencies")
    assert held_ms(together) >= 10
    assert {piece.depth for piece in pieces(request, "dependency")} == {together.depth + 1}


def test_a_cached_dependency_is_called_once_and_shown_once() -> None:
    app, calls = FastAPI(), []

    async def shared() -> int:
        calls.append(1)
        return len(calls)

    async def left(n: Annotated[int, Depends(shared)]) -> int:
        return n

    async def right(n: Annotated[int, Depends(shared)]) -> int:
        return n

    @app.get("/")
    async def work(a: Annotated[int, Depends(left)], b: Annotated[int, Depends(right)]) -> None:
        assert (a, b) == (1, 1)

    request = asked(app, "/").request
    assert len(calls) == 1
    only(request, "dependency", ".shared")


def test_security_scopes_reach_the_dependencies_that_ask_for_them() -> None:
    app, given = FastAPI(), []

    async def user(scopes: SecurityScopes) -> list[str]:
        given.append(sorted(scopes.scopes))
        return scopes.scopes

    async def reader(scopes: Annotated[list[str], Security(user, scopes=["read"])]) -> list[str]:
        return scopes

    @app.get("/")
    async def work(
        a: Annotated[list[str], Security(reader, scopes=["items"])],
        b: Annotated[list[str], Security(reader, scopes=["users"])],
    ) -> None: ...

    asked(app, "/")
    plain = list(given)
    given.clear()
    with TestClient(app) as http:
        http.get("/")
    assert plain == given == [["items", "read"], ["read", "users"]]


def test_a_security_scheme_refuses_and_admits_as_without_us() -> None:
    from fastapi.security import HTTPBearer

    app = FastAPI()

    @app.get("/")
    async def work(token: Annotated[Any, Security(HTTPBearer())]) -> str:
        return str(token.credentials)

    async def ask() -> None:
        async with client(app) as http:
            assert (await http.get("/")).status_code in (401, 403)
            answer = await http.get("/", headers={"Authorization": "Bearer abc"})
            assert answer.json() == "abc"

    refused, admitted = watched(ask).slow
    for request in (refused, admitted):
        only(request, "dependency", "HTTPBearer")
    assert not pieces(refused, "endpoint")


def test_dependency_overrides_replace_what_they_should() -> None:
    app = FastAPI()

    async def original() -> str:
        return "original"

    @app.get("/")
    async def work(value: Annotated[str, Depends(original)]) -> str:
        return value

    async def ask() -> None:
        async with client(app) as http:
            assert (await http.get("/")).json() == "original"
            app.dependency_overrides[original] = lambda: "override"
            assert (await http.get("/")).json() == "override"
            app.dependency_overrides.clear()
            assert (await http.get("/")).json() == "original"

    first, _, last = watched(ask).slow
    for request in (first, last):
        only(request, "dependency", ".original")


@pytest.mark.skipif(not GATED, reason="this FastAPI has no max_concurrency")
def test_who_waits_at_a_dependency_that_lets_in_one_is_seen_to_wait() -> None:
    app = FastAPI()

    async def slot() -> None:
        await asyncio.sleep(0.05)

    @app.get("/")
    async def work(_: Annotated[None, Depends(slot, max_concurrency=1)]) -> None: ...

    async def ask() -> None:
        async with client(app) as http:
            await asyncio.gather(http.get("/"), http.get("/"))

    waits = sorted(away_ms(only(request, "dependencies")) for request in watched(ask).slow)
    assert waits[0] >= 50
    assert waits[1] >= 100


# --- generators as dependencies -------------------------------------------------------------


class Refused(Exception):
    pass


Log = list[Any]
OUTCOMES = ("passes", "swallows", "replaces")


def async_session(log: Log, outcome: str) -> Callable[[], AsyncIterator[str]]:
    async def session() -> AsyncIterator[str]:
        spin(2)
        try:
            yield "session"
        except Refused as error:
            log.append(error)
            spin(3)
            if outcome == "replaces":
                raise HTTPException(418, "replaced") from error
            if outcome == "passes":
                raise
        finally:
            await asyncio.sleep(0.01)
            log.append("closed")

    return session


def sync_session(log: Log, outcome: str) -> Callable[[], Iterator[str]]:
    def session() -> Iterator[str]:
        try:
            yield "session"
        except Refused as error:
            log.append(error)
            if outcome == "replaces":
                raise HTTPException(418, "replaced") from error
            if outcome == "passes":
                raise
        finally:
            log.append("closed")

    return session


SESSIONS: dict[str, Callable[[Log, str], Any]] = {"async": async_session, "sync": sync_session}


def app_with(session: Any, error: Exception | None) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def work(value: Annotated[str, Depends(session)]) -> str:
        if error is not None:
            raise error
        return value

    return app


async def outcome_of(app: FastAPI) -> Any:
    """The status, or the error that the server would see."""
    async with client(app) as http:
        try:
            return (await http.get("/")).status_code
        except Exception as error:
            return type(error), str(error)


@pytest.mark.parametrize("kind", SESSIONS)
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_error_reaches_a_generator_as_it_would_without_us(kind: str, outcome: str) -> None:
    logs: list[Log] = []
    outcomes = []
    error = Refused("mine")

    async def ask() -> None:
        log: Log = []
        logs.append(log)
        outcomes.append(await outcome_of(app_with(SESSIONS[kind](log, outcome), error)))

    asyncio.run(ask())
    seen = watched(ask)
    assert logs[0] == logs[1] == [error, "closed"]
    assert logs[1][0] is error
    assert outcomes[0] == outcomes[1]
    exits = pieces(seen.request, "dependency", "session (exit)")
    assert len(exits) == 1
    if kind == "async":
        assert held_ms(exits[0]) >= 3
        assert away_ms(exits[0]) >= 10
    else:
        assert exits[0].hops == 1


@pytest.mark.parametrize("kind", SESSIONS)
def test_a_generator_without_an_error_runs_to_its_end(kind: str) -> None:
    log: Log = []
    seen = asked(app_with(SESSIONS[kind](log, "passes"), None), "/")
    assert log == ["closed"]
    assert len(pieces(seen.request, "dependency", "session")) == 1
    assert len(pieces(seen.request, "dependency", "session (exit)")) == 1


def test_a_generator_that_yields_twice_is_an_error_as_without_us() -> None:
    outcomes = []

    async def session() -> AsyncIterator[str]:
        yield "once"
        yield "twice"

    async def ask() -> None:
        outcomes.append(await outcome_of(app_with(session, None)))

    asyncio.run(ask())
    watched(ask)
    assert outcomes[0] == outcomes[1] == (RuntimeError, "generator didn't stop")


def test_a_context_variable_set_by_a_dependency_is_seen_by_the_endpoint() -> None:
    app = FastAPI()
    tenant = contextvars.ContextVar("tenant", default="nobody")

    async def choose() -> AsyncIterator[None]:
        token = tenant.set("acme")
        yield
        tenant.reset(token)

    @app.get("/", dependencies=[Depends(choose)])
    async def work() -> str:
        return tenant.get()

    async def ask() -> None:
        async with client(app) as http:
            assert (await http.get("/")).json() == "acme"

    watched(ask)


# --- middleware -----------------------------------------------------------------------------


class Pure:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        spin(3)
        await self.app(scope, receive, send)


class AsTask:
    """Runs what is below it as a task, as time-outs do; that needs a true coroutine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.app, scope, receive, send)  # type: ignore[arg-type]
        if scope["type"] == "http":
            await asyncio.create_task(asyncio.sleep(0))


async def dispatch(request: Request, call_next: Any) -> Any:
    spin(2)
    response = await call_next(request)
    spin(2)
    return response


def test_middleware_is_shown_from_the_outside_in_each_with_its_own_time() -> None:
    app = FastAPI()
    app.add_middleware(Pure)
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    app.add_middleware(AsTask)

    @app.get("/")
    async def work() -> None:
        spin(5)

    request = asked(app, "/").request
    layers = pieces(request, "middleware")
    assert [layer.name.rpartition(":")[2] for layer in layers] == ["AsTask", "dispatch", "Pure"]
    inside = [*layers, only(request, "app"), only(request, "endpoint")]
    for above, below in itertools.pairwise(inside):
        assert above.depth < below.depth
        assert held_ms(above) >= held_ms(below), "the loop was kept by it and all inside it"
    _, base, pure = layers
    assert held_ms(base) >= 4 + 3 + 5
    assert base.own_ns >= 4 * MS
    assert pure.own_ns >= 3 * MS
    assert held_ms(only(request, "endpoint")) >= 5
    assert request.held_ns >= 12 * MS


def test_each_app_has_its_own_layers_between_its_steps_and_none_afterwards() -> None:
    apps = [FastAPI(), FastAPI()]
    for app in apps:
        app.add_middleware(Pure)
        app.get("/")(current_user)
    inner: list[Any] = []

    async def ask() -> None:
        for app in apps:
            async with client(app) as http:
                await http.get("/")
            layer: Any = app.middleware_stack
            while layer is not None and not isinstance(layer, Pure):
                layer = getattr(layer, "app", None)
            assert layer is not None
            inner.append(type(layer.app).__name__)

    seen = watched(ask)
    assert [len(pieces(request, "middleware")) for request in seen.slow] == [1, 1]
    assert inner == ["ExceptionMiddleware"] * 2


def test_a_middleware_without_an_app_of_its_own_is_passed_by() -> None:
    class Secretive:
        __slots__ = ("_inside",)

        def __init__(self, app: ASGIApp) -> None:
            self._inside = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self._inside(scope, receive, send)

    app = FastAPI()
    app.add_middleware(Pure)
    app.add_middleware(Secretive)
    app.get("/")(current_user)
    request = asked(app, "/").request
    assert not pieces(request, "middleware"), "what is below it cannot be known"
    assert held_ms(only(request, "app", "Secretive")) >= 3
    only(request, "endpoint")


# --- routers, mounts, other frameworks ------------------------------------------------------


def test_routers_in_routers_are_named_by_the_whole_path() -> None:
    inner, outer, app = APIRouter(prefix="/inner"), APIRouter(prefix="/outer"), FastAPI()

    @inner.get("/{item}", dependencies=[Depends(current_user)])
    async def work(item: int) -> int:
        return item

    outer.include_router(inner)
    app.include_router(outer)
    request = asked(app, "/outer/inner/7").request
    assert request.entry == "GET /outer/inner/{item}"
    only(request, "dependency", "current_user")
    only(request, "endpoint", "work")


def test_a_mounted_app_is_one_request_and_taken_apart_too() -> None:
    app, sub = FastAPI(), FastAPI()

    @sub.get("/items/{item}")
    async def work(item: int, user: Annotated[str, Depends(current_user)]) -> str:
        return user

    app.mount("/sub", sub)
    request = asked(app, "/sub/items/3").request
    assert request.entry == "GET /sub/items/{item}"
    only(request, "dependency", "current_user")
    only(request, "endpoint", "work")
    assert len(pieces(request, "request")) == 1


def test_an_app_called_by_another_in_the_same_task_is_a_request_of_its_own() -> None:
    inner, outer = FastAPI(), FastAPI()

    @inner.get("/inner")
    async def inside() -> None:
        spin(4)

    @outer.get("/outer")
    async def outside() -> None:
        async with client(inner) as http:
            await http.get("/inner")
        with unstall.section("after"):
            spin(2)
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0.01)

    def callback() -> None:
        with unstall.section("called back"):
            pass

    seen = asked(outer, "/outer")
    only(seen.slow[1], "section", "called back")
    first, second = seen.slow
    assert (first.entry, second.entry) == ("GET /inner", "GET /outer")
    assert first.held_ns >= 4 * MS
    assert second.held_ns >= 6 * MS
    assert held_ms(only(second, "section", "after")) >= 2


def test_a_plain_starlette_app_shows_the_request_and_its_middleware() -> None:
    async def page(request: Request) -> PlainTextResponse:
        spin(4)
        await asyncio.sleep(0.02)
        return PlainTextResponse("ok")

    def old(request: Request) -> PlainTextResponse:
        time.sleep(0.02)
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/page", page), Route("/old", old)])
    app.add_middleware(Pure)
    page_seen, old_seen = asked(app, "/page", "/old").slow
    assert page_seen.entry in ("GET /page", f"GET {page.__module__}:{page.__qualname__}")
    assert page_seen.held_ns >= 7 * MS
    assert only(page_seen, "middleware").own_ns >= 3 * MS
    assert only(page_seen, "app").own_ns >= 4 * MS
    assert only(old_seen, "thread", "old").worked_ns >= 20 * MS


def test_a_bare_asgi_app_inside_scope_is_measured() -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        spin(4)
        await asyncio.sleep(0.02)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    request = asked(unstall.Scope(Pure(bare)), "/").request
    assert request.entry == "GET ?"
    assert only(request, "middleware", "Pure").own_ns >= 3 * MS
    assert held_ms(only(request, "app", "bare")) >= 4
    assert away_ms(only(request, "app", "bare")) >= 20


# --- streams, WebSockets, background --------------------------------------------------------


def test_a_streamed_answer_is_a_piece_that_makes_no_request_slow() -> None:
    app = FastAPI()

    @app.get("/{pause_ms}")
    async def work(pause_ms: int) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                spin(2)
                await asyncio.sleep(pause_ms / 1e3)
                yield b"x"

        return StreamingResponse(chunks())

    stream = only(asked(app, "/20").request, "stream")
    assert held_ms(stream) >= 6
    assert away_ms(stream) >= 58
    assert asked(app, "/150", slow_ms=400.0).slow == ()


@pytest.mark.skipif(EVENTS is None, reason="this FastAPI has no server-sent events")
def test_what_makes_the_events_of_a_stream_is_charged_to_its_request() -> None:
    app = FastAPI()

    @app.get("/", response_class=EVENTS)
    async def events() -> AsyncIterator[dict[str, int]]:
        for n in range(3):
            spin(3)
            await asyncio.sleep(0.01)
            yield {"n": n}

    seen = asked(app, "/")
    assert seen.request.held_ns >= 9 * MS


def test_a_websocket_is_one_entry_for_as_long_as_it_is_open() -> None:
    app = FastAPI()

    @app.websocket("/ws/{room}")
    async def talk(ws: WebSocket, user: Annotated[str, Depends(current_user)]) -> None:
        await ws.accept()
        while (text := await ws.receive_text()) != "end":
            spin(3)
            await ws.send_text(text + user)
        await ws.close()

    with (
        Monitor(Settings(slow_ms=0.0)) as monitor,
        TestClient(app) as http,
        http.websocket_connect("/ws/7") as ws,
    ):
        for _ in range(3):
            ws.send_text("hi ")
            assert ws.receive_text() == "hi ada"
        ws.send_text("end")
    recording = monitor.recording()
    (root,) = [row for row in recording.held if row.piece == "websocket"]
    assert (root.entry, root.calls) == ("WEBSOCKET /ws/{room}", 1)
    assert root.held.sum_ns >= 13 * MS
    (user,) = [row for row in recording.held if row.piece == "dependency"]
    assert user.held.sum_ns >= 4 * MS
    assert recording.slow == (), "a long conversation is no slow request"


def test_background_tasks_are_pieces_that_make_no_request_slow() -> None:
    app = FastAPI()

    async def mail(pause_ms: int) -> None:
        spin(3)
        await asyncio.sleep(pause_ms / 1e3)

    def report() -> None:
        time.sleep(0.04)

    @app.get("/{pause_ms}")
    async def work(background: BackgroundTasks, pause_ms: int) -> None:
        background.add_task(mail, pause_ms)
        background.add_task(report)

    request = asked(app, "/40").request
    assert held_ms(only(request, "background", ".mail")) >= 3
    assert away_ms(only(request, "background", ".mail")) >= 40
    assert only(request, "background", ".report").worked_ns >= 40 * MS
    assert asked(app, "/400", slow_ms=400.0).slow == ()


def test_a_background_task_can_be_started_as_a_task() -> None:
    app, ran = FastAPI(), []

    async def later() -> None:
        ran.append(1)

    @app.get("/")
    async def work() -> None:
        await asyncio.create_task(starlette.background.BackgroundTask(later)())

    asked(app, "/")
    assert ran == [1]


# --- tasks of the handler -------------------------------------------------------------------


async def part(ms: float) -> None:
    spin(ms)
    await asyncio.sleep(0.02)
    with unstall.section("inside a task"):
        spin(ms)


async def in_gather() -> None:
    await asyncio.gather(part(4), part(4))


async def in_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(part(4))
        group.create_task(part(4))


async def in_anyio_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(part, 4)
        group.start_soon(part, 4)


async def in_create_task() -> None:
    tasks = [asyncio.create_task(part(4)), asyncio.ensure_future(part(4))]
    for task in tasks:
        await task


TOGETHER = (in_gather, in_task_group, in_anyio_group, in_create_task)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("together", TOGETHER)
def test_what_a_handler_starts_is_charged_to_its_request(together: Any, run: Any) -> None:
    app = FastAPI()

    @app.get("/")
    async def work() -> None:
        await together()

    async def ask() -> None:
        async with client(app) as http:
            (await http.get("/")).raise_for_status()

    request = watched(ask, run).request
    endpoint = only(request, "endpoint", "work")
    assert request.held_ns >= 16 * MS
    assert held_ms(endpoint) >= 16
    assert away_ms(endpoint) >= 0, "one step at a time"
    tasks = pieces(request, "task", ":part")
    sections = pieces(request, "section", "inside a task")
    assert len(tasks) == len(sections) == 2
    for task, section in zip(tasks, sections, strict=True):
        assert held_ms(task) >= 8
        assert away_ms(task) >= 20
        assert held_ms(section) >= 4
        assert section.depth == task.depth + 1


def test_a_task_left_behind_is_charged_until_its_request_ends_and_keeps_nothing_alive() -> None:
    app, tasks = FastAPI(), []
    ended = asyncio.Event()

    async def lives_on() -> None:
        spin(2)
        await ended.wait()
        with unstall.section("too late"):
            spin(20)

    @app.get("/")
    async def work() -> None:
        tasks.append(asyncio.create_task(lives_on()))
        await asyncio.sleep(0.01)

    async def ask() -> None:
        async with client(app) as http:
            await http.get("/")
        ended.set()
        await tasks[0]

    seen = watched(ask)
    assert 2 * MS <= seen.request.held_ns < seen.request.took_ns
    assert held_ms(only(seen.request, "task", "lives_on")) >= 2
    assert not pieces(seen.request, "section")
    assert seen.entry("GET /").held.sum_ns == seen.request.held_ns


def test_two_requests_at_once_are_told_apart() -> None:
    app = FastAPI()

    @app.get("/{ms}")
    async def work(ms: int) -> None:
        for _ in range(4):
            with unstall.section("turn"):
                spin(ms / 4)
            await asyncio.sleep(0.001)

    async def ask() -> None:
        async with client(app) as http:
            await asyncio.gather(http.get("/80"), http.get("/4"))

    slow = watched(ask).slow
    long, short = sorted(slow, key=lambda request: request.held_ns, reverse=True)
    assert long.held_ns >= 80 * MS
    assert short.held_ns < 80 * MS
    for request in (long, short):
        assert len(pieces(request, "section", "turn")) == 4


def test_a_request_given_up_in_the_middle_leaves_nothing_behind() -> None:
    app = FastAPI()
    closed: list[str] = []
    begun = asyncio.Event()

    async def session() -> AsyncIterator[None]:
        try:
            yield
        finally:
            closed.append("session")

    @app.get("/", dependencies=[Depends(session)])
    async def work() -> None:
        with unstall.section("waits"):
            begun.set()
            await asyncio.sleep(60)

    async def ask() -> None:
        async with client(app) as http:
            asking = asyncio.create_task(http.get("/"))
            await begun.wait()
            await asyncio.sleep(0.03)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    request = watched(ask).request
    assert closed == ["session"]
    assert only(request, "section", "waits").took_ns >= 10 * MS
    assert request.held_ns < request.took_ns


# --- what is left alone ---------------------------------------------------------------------


def test_a_monitor_that_was_stopped_in_the_middle_of_a_request_leaves_it_be() -> None:
    app = FastAPI()
    monitor = Monitor(Settings())

    @app.get("/")
    async def work(user: Annotated[str, Depends(current_user)]) -> str:
        monitor.stop()
        await asyncio.to_thread(time.sleep, 0.01)
        await asyncio.gather(asyncio.sleep(0.01))
        return user

    async def ask() -> None:
        async with client(app) as http:
            assert (await http.get("/")).json() == "ada"

    monitor.start()
    asyncio.run(ask())
    assert HERE.span is None


def test_what_the_host_wraps_again_stays_wrapped_and_works() -> None:
    before = hooks()
    ours: list[Any] = []
    called: list[str] = []
    task = starlette.background.BackgroundTask
    app = FastAPI()

    @app.get("/")
    async def work(background: BackgroundTasks) -> None:
        background.add_task(spin, 1)

    def host_call(self: Any) -> Any:
        called.append("host")
        return ours[0](self)

    try:
        with Monitor(Settings()):
            ours.append(task.__call__)
            task.__call__ = host_call  # type: ignore[method-assign]
            with TestClient(app) as http:
                http.get("/").raise_for_status()
        assert task.__call__ is host_call, "it is the host's now"
        with TestClient(app) as http:
            http.get("/").raise_for_status()
        assert called == ["host"] * 2
    finally:
        task.__call__ = before["background"]  # type: ignore[method-assign]


def test_two_monitors_see_the_same_and_nothing_twice() -> None:
    app = FastAPI()

    @app.get("/")
    def work(background: BackgroundTasks, user: Annotated[str, Depends(current_user)]) -> None:
        background.add_task(spin, 1)

    with Monitor(Settings(slow_ms=0.0)) as first:
        seen = asked(app, "/")
        again = asked(app, "/")
        with TestClient(app) as http:
            http.get("/").raise_for_status()
    for request in (seen.request, again.request, *first.recording().slow):
        only(request, "dependency", "current_user")
        assert only(request, "endpoint", "work").hops == 1
        assert only(request, "background").hops == 1
    rows = [row for row in first.recording().threads if row.function.endswith(".work")]
    assert [row.calls for row in rows] == [3], "calls are seen by both"
    assert len(first.recording().slow) == 1, "requests are measured by the last one"


def test_a_monitor_that_does_not_measure_patches_none_of_it() -> None:
    before = hooks()
    with Monitor(Settings(measure=False)):
        now = hooks()
        changed = {name for name in before if now[name] is not before[name]}
    assert changed == {"errors"}


def test_an_unmeasured_request_sees_only_originals() -> None:
    app = FastAPI()
    seen: list[bool] = []
    original = fastapi.routing.serialize_response

    @app.get("/")
    async def work() -> None:
        seen.append(fastapi.routing.serialize_response is original)

    async def ask() -> None:
        async with client(app) as http:
            await http.get("/")
            REQUESTS.due = NEVER
            await http.get("/")

    watched(ask)
    assert seen == [False, True]


def test_loops_on_two_threads_serve_one_app() -> None:
    app = FastAPI()
    app.add_middleware(Pure)

    @app.get("/")
    async def work(user: Annotated[str, Depends(current_user)]) -> str:
        return user

    def serve() -> None:
        async def ask() -> None:
            async with client(app) as http:
                for _ in range(5):
                    assert (await http.get("/")).json() == "ada"

        asyncio.run(ask())

    with Monitor(Settings(slow_ms=0.0)) as monitor:
        threads = [threading.Thread(target=serve) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows = [row for row in monitor.recording().held if row.depth == 0]
    assert sum(row.calls for row in rows) == len(monitor.recording().slow) == 15


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (current_user, ":current_user"),
        (functools.partial(functools.partial(current_user), 1), ":current_user"),
        (Limiter(1), ":Limiter"),
        (Limiter(1).__call__, ":Limiter.__call__"),
        (Pager, ":Pager"),
        (functools.partial(contextvars.copy_context().run, time.sleep, 1), "time:sleep"),
        (None, ":NoneType"),
    ],
)
def test_whatever_is_called_has_a_name(function: Any, name: str) -> None:
    assert name_of(function).endswith(name)


def test_seen_is_what_it_says() -> None:
    assert isinstance(asked(FastAPI(), "/openapi.json"), Seen)


def test_the_request_of_a_followed_task_is_found_while_it_lasts_and_afterwards() -> None:
    app = FastAPI()
    tasks: list[asyncio.Task[None]] = []
    found: list[Any] = []

    async def inner() -> None:
        await asyncio.sleep(0.05)

    async def left_behind() -> None:
        await inner()

    def look() -> None:
        frames = [coroutine.__name__ for coroutine in awaited_by(tasks[0])]
        scope = scope_that_started(tasks[0])
        assert scope is not None
        found.append((frames[:2], scope["method"], route_template(scope)))

    @app.get("/orders/{order}")
    async def work(order: int) -> None:
        tasks.append(asyncio.create_task(left_behind()))
        await asyncio.sleep(0)
        look()

    async def ask() -> None:
        async with client(app) as http:
            (await http.get("/orders/7")).raise_for_status()
        look()
        await tasks[0]

    watched(ask)
    assert found == [(["left_behind", "inner"], "GET", "/orders/{order}")] * 2


def test_a_method_that_fastapi_calls_once_is_called_once_when_measured() -> None:
    class Service:
        def __init__(self) -> None:
            self.calls = 0

        async def get(self) -> int:
            self.calls += 1
            return self.calls

    service = Service()

    async def inner(a: int = Depends(service.get)) -> int:
        return a

    app = FastAPI()

    @app.get("/")
    async def route(
        a: int = Depends(service.get), b: int = Depends(service.get), c: int = Depends(inner)
    ) -> list[int]:
        return [a, b, c]

    with Monitor(), TestClient(app) as client:
        assert client.get("/").json() == [1, 1, 1]


def test_a_middleware_that_does_not_want_to_be_changed_is_left_alone() -> None:
    @dataclasses.dataclass(frozen=True)
    class Frozen:
        app: Any

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    app = FastAPI()
    app.add_middleware(Frozen)

    @app.get("/")
    async def route() -> int:
        return 7

    with Monitor(), TestClient(app) as client:
        assert client.get("/").json() == 7
    assert HERE.span is None


def test_an_app_that_was_measured_can_be_freed() -> None:
    class Passing:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    def used() -> weakref.ref[FastAPI]:
        app = FastAPI()
        app.add_middleware(Passing)

        @app.get("/")
        async def route() -> int:
            return 7

        with TestClient(app) as client:
            client.get("/")
        return weakref.ref(app)

    with Monitor():
        gone = used()
        gc.collect()
        assert gone() is None
