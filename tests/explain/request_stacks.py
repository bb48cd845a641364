"""Literal stacks, frame by frame as FastAPI 0.165 on Starlette 1.10 and uvicorn shows them."""

from __future__ import annotations

from unstall.model.place import Frame, Stack
from unstall.testing import frame, library, stdlib

MAIN = frame("__main__:<module>", 15)
STARTER: tuple[Frame, ...] = (
    MAIN,
    stdlib("asyncio.runners:run", 190),
    stdlib("asyncio.runners:Runner.run", 118),
    stdlib("asyncio.base_events:BaseEventLoop.run_until_complete", 640),
    stdlib("asyncio.base_events:BaseEventLoop.run_forever", 607),
    stdlib("asyncio.base_events:BaseEventLoop._run_once", 1922),
    stdlib("asyncio.events:Handle._run", 80),
)
"""`python main.py` that calls `asyncio.run`: the application's own frame lies above the loop's."""

SERVER: tuple[Frame, ...] = (
    library("uvicorn.protocols.http.h11_impl:RequestResponseCycle.run_asgi", 410),
    library("fastapi.applications:FastAPI.__call__", 1224),
    library("starlette.applications:Starlette.__call__", 96),
    library("starlette.middleware.errors:ServerErrorMiddleware.__call__", 164),
)
ROUTER: tuple[Frame, ...] = (
    library("starlette.middleware.exceptions:ExceptionMiddleware.__call__", 63),
    library("starlette._exception_handler:wrap_app_handling_exceptions.<locals>.wrapped_app", 42),
    library("fastapi.middleware.asyncexitstack:AsyncExitStackMiddleware.__call__", 18),
    library("starlette.routing:Router.__call__", 683),
    library("fastapi.routing:APIRouter.app", 2929),
    library("fastapi.routing:APIRoute.handle", 1375),
    library("fastapi.routing:request_response.<locals>.app", 175),
    library("starlette._exception_handler:wrap_app_handling_exceptions.<locals>.wrapped_app", 42),
    library("fastapi.routing:request_response.<locals>.app.<locals>.app", 161),
)
HANDLER = library("fastapi.routing:get_request_handler.<locals>.app", 762)
ENDPOINT = library("fastapi.routing:run_endpoint_function", 381)
DEPENDENCIES = library("fastapi.dependencies.utils:solve_dependencies", 754)
BACKGROUND = (
    library("starlette.responses:Response.__call__", 175),
    library("fastapi.background:BackgroundTasks.__call__", 67),
    library("starlette.background:BackgroundTask.__call__", 21),
)
SENDER = library(
    "starlette._exception_handler:wrap_app_handling_exceptions.<locals>.wrapped_app.<locals>.sender", 39,
    "send",
)  # fmt: skip
ANSWER = (library("starlette.responses:Response.__call__", 172, "send"), SENDER, SENDER)
"""What the endpoint returned is sent: from here on the stack leads outward again."""
LIFESPAN: tuple[Frame, ...] = (
    library("uvicorn.lifespan.on:LifespanOn.main", 86),
    library("fastapi.applications:FastAPI.__call__", 1211),
    library("starlette.routing:Router.lifespan", 661),
    stdlib("contextlib:_AsyncGeneratorContextManager.__aenter__", 210),
)
IMPORTS: tuple[Frame, ...] = (
    stdlib("importlib._bootstrap:_find_and_load", 1176),
    stdlib("importlib._bootstrap:_load_unlocked", 690),
    stdlib("importlib._bootstrap_external:SourceFileLoader.exec_module", 940),
    stdlib("importlib._bootstrap:_call_with_frames_removed", 241),
)

MIDDLEWARE = frame("shop.timing:Timing.__call__", 12)
CREATE = frame("shop.orders:create", 20)
CHARGE = frame("shop.billing:Billing.charge", 31, "requests.get")
REQUESTS = (
    library("requests.api:get", 73),
    library("requests.sessions:Session.request", 589),
    stdlib("socket:SocketIO.readinto", 720),
)


def on_the_loop(*frames: Frame) -> Stack:
    return Stack((*STARTER, *frames))


def in_a_route(*frames: Frame) -> Stack:
    """Below a middleware of the application, as nearly every route is."""
    return on_the_loop(*SERVER, MIDDLEWARE, *ROUTER, HANDLER, ENDPOINT, *frames)
