"""Entrances are found however they are registered, and are said to run where they do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.entrances_of import entrances_of, steps_of
from unstall.audit.ir import Place


def places(root: Path, **files: str) -> dict[str, str]:
    return {name: str(entrance.place) for name, entrance in entrances_of(root, **files).items()}


ROUTER = """
    from fastapi import APIRouter

    router = APIRouter(prefix="/{0}")

    @router.get("/all")
    async def get_{0}(): ...
"""


@pytest.mark.parametrize(
    "included",
    [
        "app.include_router(users.router, prefix='/v1')\napp.include_router(items.router, prefix='/v1')",
        "for module in (users, items):\n    app.include_router(module.router, prefix='/v1')",
        "[app.include_router(module.router, prefix='/v1') for module in (users, items)]",
        "ALL = {'u': users.router, 'i': items.router}\n"
        "for one in ALL.values():\n    app.include_router(one, prefix='/v1')",
        "all = []\nall.append(users.router)\nall.extend([items.router])\n"
        "for one in all:\n    app.include_router(one, prefix='/v1')",
        "def add(app, *, router):\n    app.include_router(router, prefix='/v1')\n"
        "add(app, router=users.router)\nadd(app, router=items.router)",
        "outer = APIRouter(prefix='/v1')\nouter.include_router(users.router)\n"
        "outer.include_router(items.router)\napp.include_router(outer)",
    ],
)
def test_routers_are_found_however_they_are_included(tmp_path: Path, included: str) -> None:
    main = "from fastapi import APIRouter, FastAPI\nfrom shop.api import users, items\napp = FastAPI()\n"
    found = places(
        tmp_path,
        **{
            "shop/api/__init__": "",
            "shop/api/users": ROUTER.format("users"),
            "shop/api/items": ROUTER.format("items"),
            "shop/main": main + included,
        },
    )
    routes = {name: place for name, place in found.items() if name.startswith("route")}
    assert routes == {"route GET /v1/users/all": "loop", "route GET /v1/items/all": "loop"}


def test_a_package_that_imports_its_modules_names_them(tmp_path: Path) -> None:
    package = """
        from fastapi import APIRouter
        from . import items, users

        router = APIRouter(prefix="/api")
        router.include_router(items.router)
        router.include_router(users.router)
    """
    main = """
        from fastapi import FastAPI
        from shop.api import router

        app = FastAPI()
        app.include_router(router)
    """
    found = places(
        tmp_path,
        **{
            "shop/__init__": "",
            "shop/api/__init__": package,
            "shop/api/users": ROUTER.format("users"),
            "shop/api/items": ROUTER.format("items"),
            "shop/main": main,
        },
    )
    assert found == {"route GET /api/users/all": "loop", "route GET /api/items/all": "loop"}


def test_prefixes_add_up_from_settings_and_loops(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        settings="""
            from pydantic_settings import BaseSettings

            class Settings(BaseSettings):
                api: str = "/api/v1"

            settings = Settings()
        """,
        main="""
            import os
            from fastapi import APIRouter, FastAPI
            from settings import settings

            users = APIRouter()
            items = APIRouter()
            admin = APIRouter(prefix=os.getenv("ADMIN", "/admin"))
            root = FastAPI()

            @users.get("/u")
            def get_user(): ...

            @items.get("/i")
            def get_item(): ...

            @admin.get("/a/{path:path}")
            def get_admin(): ...

            for router, prefix in ((users, "/users"), (items, "/items")):
                root.include_router(router, prefix=settings.api + prefix)
            root.include_router(admin, prefix=f"{settings.api}/x")
        """,
    )
    assert set(found) == {
        "route GET /api/v1/users/u",
        "route GET /api/v1/items/i",
        "route GET /api/v1/x/admin/a/{path}",
    }


def test_a_router_that_nobody_includes_is_served_under_its_own_prefix(tmp_path: Path) -> None:
    assert places(tmp_path, routes=ROUTER.format("users")) == {"route GET /users/all": "loop"}


def test_apps_and_routers_are_followed_through_classes(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        server="""
            from fastapi import APIRouter, FastAPI

            class Server:
                def __init__(self) -> None:
                    self.app = FastAPI()
                    self.router = APIRouter(prefix="/jobs")
                    self.router.add_api_route("/{id}", self.job, methods=["GET", "DELETE"])
                    self.setup()

                def setup(self) -> None:
                    @self.app.get("/ready")
                    def ready(): ...

                    self.app.include_router(self.router, prefix="/v1")
                    self.app.add_api_websocket_route("/ws", self.talk)

                async def job(self, id: int): ...

                async def talk(self, websocket): ...

            class OwnApp(FastAPI):
                def __init__(self) -> None:
                    super().__init__()
                    self.add_api_route("/own", self.own)

                def own(self): ...

            own = OwnApp()
        """,
    )
    assert found == {
        "route GET /v1/jobs/{id}": "loop",
        "route DELETE /v1/jobs/{id}": "loop",
        "route GET /ready": "thread pool",
        "websocket WEBSOCKET /ws": "loop",
        "route GET /own": "thread pool",
        "import Server.__init__": "start-up",
    }


def test_a_class_based_view_is_made_for_each_request(tmp_path: Path) -> None:
    found = entrances_of(
        tmp_path,
        views="""
            from fastapi import APIRouter, Depends
            from fastapi_utils.cbv import cbv

            router = APIRouter()

            def get_db(): ...

            async def get_user(): ...

            @cbv(router)
            class View:
                db: object = Depends(get_db)

                def __init__(self, user=Depends(get_user)):
                    self.user = user

                @router.get("/x")
                async def read(self, q: int): ...
        """,
    )
    assert steps_of(found["route GET /x"])[:4] == [
        "  dependency get_user in loop",
        "  dependency get_db in thread pool",
        "dependency View.__init__ in thread pool",
        "endpoint View.read in loop",
    ]


def test_what_looks_like_a_route_on_something_unknown_is_one(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        routes="""
            import flask
            from elsewhere import OwnRouter, router
            from fastapi_extras import ExtraRouter

            own = OwnRouter()
            extra = ExtraRouter(prefix="/extra")
            wsgi = flask.Flask("x")

            @own.get("/own")
            async def by_own(): ...

            @extra.get("/x")
            def by_extra(): ...

            @wsgi.get("/wsgi")
            def elsewhere(): ...

            @router.get("/x")
            async def asynchronous(): ...

            @router.post("/y")
            def plain(): ...

            @router.get("no-path")
            def none(): ...
        """,
    )
    assert found == {
        "route GET /x": "loop",
        "route POST /y": "unknown",
        "route GET /own": "loop",
        "route GET /extra/x": "thread pool",
    }


def test_tests_have_no_entrances(tmp_path: Path) -> None:
    app = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/x')\nasync def x(): ...\n"
    assert places(tmp_path, **{"tests/test_app": app}) == {}


def test_middleware_and_lifespans_are_entrances(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        main="""
            from contextlib import asynccontextmanager
            from fastapi import APIRouter, FastAPI
            from starlette.applications import Starlette
            from starlette.middleware import Middleware
            from starlette.middleware.base import BaseHTTPMiddleware
            from starlette.routing import Mount, Route

            @asynccontextmanager
            async def lifespan(app):
                yield

            class Timing:
                def __init__(self, app): ...
                async def __call__(self, scope, receive, send): ...

            async def dispatch(request, call_next): ...

            async def home(request): ...

            app = FastAPI(lifespan=lifespan, on_shutdown=[close], middleware=[Middleware(Timing)])
            app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
            routes = [Route("/home", home), Mount("/in", routes=[Route("/home", home, methods=["POST"])])]
            app.mount("/star", Starlette(routes=routes))
            router = APIRouter()

            @app.on_event("startup")
            def start(): ...

            @router.on_event("shutdown")
            async def stop(): ...

            app.add_event_handler("startup", connect)

            def connect(): ...

            def close(): ...
        """,
    )
    assert found == {
        "lifespan lifespan": "start-up",
        "lifespan close": "shutdown",
        "lifespan stop": "shutdown",
        "startup start": "start-up",
        "startup connect": "start-up",
        "middleware Timing.__call__": "loop",
        "middleware dispatch": "loop",
        "route GET /star/home": "loop",
        "route POST /star/in/home": "loop",
    }


def test_what_makes_an_app_runs_at_start_up(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        app="""
            from fastapi import FastAPI
            from tools import configure, unrelated

            def create_app() -> FastAPI:
                return FastAPI()

            configure()
            app = create_app()
        """,
        tools="""
            def configure(): ...
            def unrelated(): ...
            def helper(): ...

            helper()
        """,
    )
    assert found == {"import create_app": "start-up", "import configure": "start-up"}


def test_what_goes_in_circles_is_left_alone(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        circles="""
            from functools import partial
            from fastapi import APIRouter, Depends, FastAPI

            a = APIRouter(prefix="/a")
            b = APIRouter(prefix="/b")
            a.include_router(b)
            b.include_router(a)
            b.include_router(b)

            prefix = "/p"
            prefix = prefix + prefix
            rows = [a]
            rows = rows + rows
            again = again or again

            def first(x=Depends(lambda: second)): ...
            def second(x=Depends("third")): ...
            def third(x=Depends(third)): ...

            def recursive():
                return recursive()

            handler = recursive()
            handler = partial(handler, 1)

            class Base(Derived): ...
            class Derived(Base): ...

            @a.get("/x", dependencies=[Depends(recursive()), Depends(Derived()), Depends(nothing), *rows])
            def x(y=Depends(third), z=Depends(handler)): ...

            app = FastAPI()
            for row in rows:
                app.include_router(row, prefix=prefix)
        """,
    )
    assert "route GET /p/p/a/x" in found


def test_middleware_added_elsewhere_stands_where_it_is_added(tmp_path: Path) -> None:
    found = entrances_of(
        tmp_path,
        zzz="""
            def setup(app):
                app.add_middleware(Second)
                app.add_middleware(Third)

            class Second:
                async def __call__(self, scope, receive, send): ...

            class Third(Second):
                async def __call__(self, scope, receive, send): ...
        """,
        main="""
            from fastapi import FastAPI
            from zzz import setup

            class First:
                async def __call__(self, scope, receive, send): ...

            class Fourth(First):
                async def __call__(self, scope, receive, send): ...

            def create_app():
                app = FastAPI()
                app.add_middleware(First)
                setup(app)
                app.add_middleware(Fourth)

                @app.get("/x")
                async def x(): ...

                return app
        """,
    )
    names = [step.function.partition(":")[2] for step in found["route GET /x"].steps[:4]]
    assert names == [f"{name}.__call__" for name in ("Fourth", "Third", "Second", "First")]


def test_middleware_of_a_mounted_app_runs_after_that_around_it(tmp_path: Path) -> None:
    found = entrances_of(
        tmp_path,
        main="""
            from fastapi import FastAPI

            inner = FastAPI()
            outer = FastAPI()

            @inner.middleware("http")
            async def near(request, call_next): ...

            @outer.middleware("http")
            async def far(request, call_next): ...

            @inner.get("/x")
            async def x(): ...

            outer.mount("/in", inner)
        """,
    )
    steps = steps_of(found["route GET /in/x"])
    assert steps[:3] == ["middleware far in loop", "middleware near in loop", "endpoint x in loop"]


def test_tasks_and_callbacks_are_entrances(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        service="""
            import asyncio
            import anyio

            class Poller:
                async def start(self):
                    self.task = asyncio.create_task(self.poll())

                async def poll(self): ...

                async def watch(self): ...

            poller = Poller()

            async def grouped(): ...
            async def started(): ...
            async def ensured(): ...
            async def kept(): ...
            def done(task): ...
            def soon(): ...
            def later(): ...
            def unreached(): ...

            async def main(loop):
                async with asyncio.TaskGroup() as group:
                    group.create_task(grouped())
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(started)
                    tasks.start_soon(poller.watch)
                asyncio.ensure_future(ensured()).add_done_callback(done)
                coroutine = kept()
                loop.create_task(coroutine)
                loop.call_soon(soon)
                asyncio.get_running_loop().call_later(1, later)
        """,
    )
    assert found == {
        **dict.fromkeys(
            ("task Poller.poll", "task Poller.watch", "task grouped", "task started"), "loop"
        ),
        **dict.fromkeys(("task ensured", "task kept"), "loop"),
        **dict.fromkeys(("callback done", "callback soon", "callback later"), "loop"),
    }


def test_what_is_started_says_by_whom(tmp_path: Path) -> None:
    found = entrances_of(
        tmp_path,
        service="""
            import asyncio

            async def poll(): ...
            async def send(): ...

            async def first():
                asyncio.create_task(poll())
                asyncio.create_task(send())

            class Second:
                async def start(self):
                    asyncio.create_task(poll())

            sending = asyncio.ensure_future(send())
        """,
    )
    assert found["task poll"].by == ("service:first", "service:Second.start")
    assert found["task send"].by == ()


def test_background_tasks_belong_to_the_route_that_adds_them(tmp_path: Path) -> None:
    found = entrances_of(
        tmp_path,
        main="""
            from fastapi import BackgroundTasks, Depends, FastAPI

            app = FastAPI()

            def send(): ...
            async def publish(): ...
            def audit(): ...

            def log(tasks: BackgroundTasks):
                tasks.add_task(audit)

            @app.post("/x")
            async def x(tasks: BackgroundTasks, log=Depends(log)):
                tasks.add_task(send, 1)
                tasks.add_task(func=publish)

            @app.post("/y")
            async def y(): ...
        """,
    )
    assert steps_of(found["route POST /x"])[2:] == [
        "background task audit in thread pool",
        "background task send in thread pool",
        "background task publish in loop",
    ]
    assert steps_of(found["route POST /y"]) == ["endpoint y in loop"]
    assert found["background task send"].place is Place.THREAD_POOL
    assert found["background task publish"].place is Place.LOOP


def test_commands_and_workers_serve_no_request(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        commands="""
            import asyncio
            import click
            import typer
            from celery import Celery, shared_task
            from django.core.management.base import BaseCommand

            cli = typer.Typer()
            worker = Celery("x")

            @cli.command()
            def typed(): ...

            @click.group()
            def group(): ...

            @group.command("sub")
            def clicked(): ...

            @shared_task
            def shared(): ...

            @worker.task(bind=True)
            def worked(self): ...

            class Command(BaseCommand):
                def handle(self, *args, **options): ...

            async def main(): ...

            def prepare(): ...

            def unreached(): ...

            if __name__ == "__main__":
                prepare()
                asyncio.run(main())
        """,
    )
    names = "typed group clicked shared worked Command.handle main prepare".split()
    assert found == {f"offline {name}": "offline" for name in names}


def test_schedulers_tell_async_jobs_from_plain_ones(tmp_path: Path) -> None:
    found = places(
        tmp_path,
        jobs="""
            from apscheduler.schedulers.asyncio import AsyncIOScheduler
            from fastapi_utils.tasks import repeat_every

            scheduler = AsyncIOScheduler()

            async def fetch(): ...
            def clean(): ...

            scheduler.add_job(fetch, "interval", seconds=5)
            scheduler.add_job(func=clean, trigger="cron")

            @scheduler.scheduled_job("interval")
            async def tick(): ...

            @repeat_every(seconds=5)
            def repeat(): ...
        """,
    )
    assert found == {
        "task fetch": "loop",
        "task clean": "executor",
        "task tick": "loop",
        "task repeat": "thread pool",
    }


FRAMEWORKS = {
    "aiohttp": (
        """
        from aiohttp import web

        routes = web.RouteTableDef()

        @routes.get("/a")
        async def a(request): ...

        async def b(request): ...
        async def c(request): ...

        class V(web.View):
            async def get(self): ...

        app = web.Application()
        app.add_routes([web.post("/b", b)])
        app.router.add_put("/c", c)
        {}.get("key", c)
        """,
        {
            "route GET /a": "loop",
            "route POST /b": "loop",
            "route PUT /c": "loop",
            "route V.get": "loop",
        },
    ),
    "quart": (
        """
        from quart import Blueprint, Quart

        app = Quart(__name__)
        blueprint = Blueprint("x", __name__)

        @app.get("/a")
        async def a(): ...

        @blueprint.route("/b")
        def b(): ...
        """,
        {"route GET /a": "loop", "route GET /b": "executor"},
    ),
    "sanic": (
        """
        from sanic import Sanic

        app = Sanic("x")

        @app.get("/a")
        def a(request): ...

        @app.before_server_start
        def start(app): ...
        """,
        {"route GET /a": "loop", "startup start": "start-up"},
    ),
    "litestar": (
        """
        from litestar import get, post

        @get("/a")
        def a() -> str: ...

        @post("/b", sync_to_thread=True)
        def b() -> str: ...
        """,
        {"route GET /a": "loop", "route POST /b": "thread pool"},
    ),
    "tornado": (
        """
        import tornado.web

        class Base(tornado.web.RequestHandler):
            def helper(self): ...

        class Handler(Base):
            def get(self): ...
            async def post(self): ...
        """,
        {"route Handler.get": "loop", "route Handler.post": "loop"},
    ),
    "mcp 1": (
        """
        from mcp.server.fastmcp import FastMCP

        mcp = FastMCP("x")

        @mcp.tool()
        def a(): ...
        """,
        {"route a": "loop"},
    ),
    "mcp 2": (
        """
        from mcp.server.mcpserver import MCPServer

        mcp = MCPServer("x")

        @mcp.tool()
        def a(): ...

        @mcp.tool()
        async def b(): ...
        """,
        {"route a": "thread pool", "route b": "loop"},
    ),
    "strawberry": (
        """
        import strawberry

        @strawberry.type
        class Query:
            @strawberry.field
            def a(self) -> int: ...

            @strawberry.mutation(name="x")
            async def b(self) -> int: ...
        """,
        {"route Query.a": "loop", "route Query.b": "loop"},
    ),
    "chainlit": (
        """
        import chainlit as cl

        @cl.on_message
        def a(message): ...
        """,
        {"route a": "loop"},
    ),
    "socket.io": (
        """
        import socketio

        sio = socketio.AsyncServer()

        @sio.event
        def connect(sid): ...

        @sio.on("x")
        async def x(sid): ...

        class Space(socketio.AsyncNamespace):
            def on_y(self, sid): ...
            def helper(self): ...
        """,
        {"callback connect": "loop", "callback x": "loop", "callback Space.on_y": "loop"},
    ),
    "faststream": (
        """
        from faststream.kafka import KafkaBroker

        broker = KafkaBroker("x")

        @broker.subscriber("a")
        def a(message): ...
        """,
        {"task a": "thread pool"},
    ),
    "gradio": (
        """
        import gradio as gr

        def slow(): ...
        async def fast(): ...

        button = gr.Button()
        button.click(slow)
        button.click(fn=fast)
        """,
        {"callback slow": "thread pool", "callback fast": "loop"},
    ),
    "asyncio": (
        """
        import asyncio

        class Wire(asyncio.Protocol):
            def data_received(self, data): ...
            def helper(self): ...
        """,
        {"callback Wire.data_received": "loop"},
    ),
    "nothing": (
        """
        class Cache:
            def get(self, key, default): ...
            def task(self): ...
            def command(self): ...

        cache = Cache()
        cache.get("/x", print)

        @cache.command
        def a(): ...

        async def job(): ...

        class Queue:
            def create_task(self, coroutine): ...

        Queue().create_task(job())
        """,
        {},
    ),
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_other_frameworks_run_handlers_where_their_source_says(tmp_path: Path, name: str) -> None:
    source, expected = FRAMEWORKS[name]
    assert places(tmp_path, service=source) == expected
