"""What source says of routes and dependencies is what FastAPI itself makes of them."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audit.entrances_of import read, write
from unstall.audit.entrances import served_by
from unstall.audit.entrances_table import short
from unstall.audit.fastapi_dependencies import Dependency

Tree = tuple[str, str, bool, tuple[str, ...], tuple["Tree", ...]]
"""Callable, parameter, whether cached, scopes, and what it depends on."""

PACKAGE = "audited_shop"

DEPENDENCIES = """
    from dataclasses import dataclass
    from functools import partial
    from typing import Annotated, AsyncIterator, Iterator

    from fastapi import Depends, Header, Query, Request, Security
    from fastapi.security import APIKeyHeader, HTTPBearer, OAuth2PasswordBearer, SecurityScopes

    oauth2 = OAuth2PasswordBearer(tokenUrl="token")


    class Settings:
        pass


    def get_settings() -> Settings:
        return Settings()


    def get_db(settings: Settings = Depends(get_settings)) -> Iterator[int]:
        yield 1


    async def get_cache() -> AsyncIterator[int]:
        yield 2


    DB = Annotated[int, Depends(get_db)]
    Token = Annotated[str, Security(oauth2, scopes=["read"])]


    def get_user(db: DB, token: Token, scopes: SecurityScopes) -> str:
        return token


    User = Annotated[str, Security(get_user, scopes=["me", "items"])]
    Nested = Annotated[User, "a note"]


    class Paging:
        def __init__(self, db: DB, limit: int = 10) -> None:
            self.limit = limit


    @dataclass
    class Filters:
        name: str = Query("")
        user: str = Depends(get_user)


    class Checker:
        def __init__(self, role: str) -> None:
            self.role = role

        async def __call__(self, user: User) -> str:
            return user


    class PlainChecker(Checker):
        def __call__(self, db: DB) -> str:
            return self.role


    admin = Checker("admin")
    plain = PlainChecker("plain")


    class Service:
        def __init__(self, cache: int = Depends(get_cache)) -> None:
            self.cache = cache

        def load(self, db: DB) -> int:
            return db

        @classmethod
        def build(cls, settings: Annotated[Settings, Depends(get_settings)]) -> "Service":
            return cls(1)

        @staticmethod
        async def ping(user: User, request: Request) -> None:
            return None


    service = Service()


    def require(role: str):
        async def check(user: User, x_role: str = Header("")) -> str:
            return role

        return check


    def required(role: str):
        return Depends(require(role))


    def scaled(factor: int, db: DB) -> int:
        return factor * db


    doubled = partial(scaled, 2)
    tripled = partial(scaled, factor=3)
    given = partial(scaled, db=1)


    def verify(key: str = Depends(APIKeyHeader(name="x-key"))) -> None:
        return None


    class Bearer(HTTPBearer):
        async def __call__(self, request: Request):
            return await super().__call__(request)


    bearer = Bearer()
    CommonDep = Depends(get_cache)
"""

ROUTERS = """
    from typing import Annotated

    from fastapi import APIRouter, Body, Depends, Security, WebSocket
    from fastapi.routing import APIRoute

    from . import dependencies as deps
    from .dependencies import DB, Checker, Filters, Paging, Service, User

    PREFIX = "/items"
    router = APIRouter(prefix=PREFIX, dependencies=[Depends(deps.verify)])
    inner = APIRouter(prefix="/inner", dependencies=[Depends(deps.bearer), deps.required("inner")])
    functional = APIRouter()
    late = APIRouter()


    class LoggedRoute(APIRoute):
        pass


    class OwnRouter(APIRouter):
        def __init__(self) -> None:
            super().__init__(prefix="/own", dependencies=[Depends(deps.get_cache)])


    own = OwnRouter()
    logged = APIRouter(route_class=LoggedRoute)


    @router.get("/{item_id}")
    async def read_item(item_id: int, db: DB, user: User, again: DB) -> dict:
        return {}


    @router.post("/", dependencies=[Depends(deps.admin), Depends(deps.plain)])
    def create_item(
        paging: Annotated[Paging, Depends()], filters: Filters = Depends(), body: dict = Body()
    ) -> dict:
        return {}


    @router.api_route("/both", methods=["PUT", "patch"])
    async def both(
        load: int = Depends(deps.service.load),
        built: Service = Depends(Service.build),
        ping: None = Depends(Service.ping),
    ) -> None:
        return None


    @inner.delete("/x/{name:path}")
    @inner.get("/x")
    async def inside(
        db: int = Depends(deps.get_db, use_cache=False),
        other: int = Depends(deps.get_db),
        settings: deps.Settings = Depends(lambda: None),
    ) -> None:
        return None


    @inner.websocket("/ws/{room}")
    async def chat(websocket: WebSocket, user: "User", common: int = deps.CommonDep) -> None:
        await websocket.accept()


    def summary(twice: int = Depends(deps.doubled), thrice: int = Depends(deps.tripled)) -> dict:
        return {}


    functional.post("/summary", tags=["x"])(summary)
    functional.get("/given")(lambda once=Depends(deps.given): {})
    scoped = [Security(deps.get_user, scopes=["a"])]
    functional.add_api_route("/added", summary, methods=["GET"], dependencies=scoped)


    @own.get("/thing")
    async def own_thing(nested: deps.Nested) -> dict:
        return {}


    @logged.get("/logged")
    async def logged_thing(check: str = Depends(Checker("inline"))) -> dict:
        return {}


    @late.get("/late")
    def late_thing(roles: str = deps.required("late")) -> dict:
        return {}


    router.include_router(inner, prefix="/more", dependencies=[Depends(deps.get_settings)])


    class Controller:
        def __init__(self) -> None:
            self.router = APIRouter(prefix="/controlled")
            self.router.add_api_route("/list", self.list_all, methods=["GET"])
            self.router.add_api_route("/one/{id}", self.one, methods=["GET"])

        async def list_all(self, db: DB) -> dict:
            return {}

        def one(self, id: int, user: User) -> dict:
            return {}


    controller = Controller()
"""

MAIN = """
    from fastapi import Depends, FastAPI
    from starlette.endpoints import HTTPEndpoint
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    from . import dependencies as deps
    from . import routers

    API = "/api"


    def register(app: FastAPI, prefix: str) -> None:
        for router, name in ((routers.functional, "/fun"), (routers.own, "")):
            app.include_router(router, prefix=prefix + name)
        for router in [routers.logged, routers.late]:
            app.include_router(router)


    def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("")


    class View(HTTPEndpoint):
        async def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("")

        def post(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("")


    sub = FastAPI(dependencies=[Depends(deps.get_cache)], openapi_url=None)


    @sub.get("/deep")
    async def deep(user: deps.User) -> dict:
        return {}


    def create_app() -> FastAPI:
        app = FastAPI(
            dependencies=[Depends(deps.get_settings)],
            openapi_url=None,
            routes=[Route("/plain", plain, methods=["GET"])],
        )

        @app.get("/")
        async def root() -> dict:
            return {}

        app.include_router(routers.router, prefix=API, dependencies=[Depends(deps.require("api"))])
        app.include_router(routers.router, prefix=f"/v2{API}")
        app.include_router(routers.controller.router)
        register(app, API)
        app.mount("/sub", sub)
        app.add_route("/added", plain)
        app.router.routes.append(Mount("/mounted", routes=[Route("/in", plain, methods=["GET"])]))
        return app


    app = create_app()
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    files = {"__init__": "", "dependencies": DEPENDENCIES, "routers": ROUTERS, "main": MAIN}
    write(root, **{f"{PACKAGE}/{name}": text for name, text in files.items()})
    return root


@pytest.fixture(scope="module")
def app(root: Path) -> Iterator[Any]:
    sys.path.insert(0, str(root))
    try:
        yield importlib.import_module(f"{PACKAGE}.main").app
    finally:
        sys.path.remove(str(root))
        for name in [n for n in sys.modules if n.startswith(PACKAGE)]:
            del sys.modules[name]


def test_routes_and_dependency_trees_are_fastapis_own(root: Path, app: Any) -> None:
    names, functions = read(root)
    ours = {
        (method, one.path, plain_name(one.route.endpoint.id)): tuple(
            our_tree(dependency) for dependency in one.dependencies
        )
        for one in served_by(names, functions)
        for method in one.route.methods
    }
    theirs = dict(routes_of(app.routes, ""))
    assert set(ours) == set(theirs)
    assert len(theirs) > 25
    for key, tree in theirs.items():
        assert ours[key] == tree, key


def our_tree(dependency: Dependency) -> Tree:
    return (
        plain_name(dependency.target.id),
        dependency.name,
        dependency.use_cache,
        dependency.scopes,
        tuple(our_tree(child) for child in dependency.children),
    )


def plain_name(id_: str) -> str:
    """Lambdas without their line; foreign names however they are imported."""
    return id_.partition("@")[0] if ":" in id_ else short(id_)


def their_tree(dependant: Any) -> Tree:
    return (
        name_of(dependant.call),
        dependant.name or "",
        dependant.use_cache,
        tuple(dependant.own_oauth_scopes or ()),
        tuple(their_tree(child) for child in dependant.dependencies),
    )


def routes_of(routes: Any, prefix: str) -> Iterator[tuple[tuple[str, str, str], tuple[Tree, ...]]]:
    from fastapi.routing import iter_route_contexts

    for route in iter_route_contexts(routes):
        original = route.original_route
        inner = getattr(original, "routes", None)
        if inner is not None:
            yield from routes_of(inner, prefix + getattr(original, "path", ""))
            continue
        dependant = getattr(route, "dependant", None) if hasattr(original, "dependant") else None
        tree = tuple(their_tree(d) for d in dependant.dependencies) if dependant is not None else ()
        for method in (
            sorted(route.methods or ["WEBSOCKET"])
            if hasattr(original, "methods")
            else ["WEBSOCKET"]
        ):
            if method == "HEAD" and "GET" in (route.methods or ()):
                continue
            yield (method, prefix + str(route.path_format), name_of(route.endpoint)), tree


def name_of(call: Any) -> str:
    """As the audit calls it."""
    while isinstance(call, functools.partial):
        call = call.func
    if inspect.isclass(call):
        init = call.__init__
        if inspect.isfunction(init) and "__dataclass_fields__" not in vars(call):
            call = init
    elif not inspect.isroutine(call):
        call = type(call).__call__
    if call.__module__.startswith(PACKAGE):
        return f"{call.__module__}:{call.__qualname__}"
    return short(f"{call.__module__}.{call.__qualname__}")
