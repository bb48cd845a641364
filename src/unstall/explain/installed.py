"""Whose line it is where the application itself is an installed package, among its libraries.

A stack tells by position: what runs an endpoint, a dependency or a task calls the package that was written
for it. What only hands on what it was given (a decorator, a middleware, a tracer) is passed over, as long as
somebody else lies below.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import PurePath

from unstall.catalog.lookup import rule_for, table
from unstall.model.place import Frame, Owner

FRAMEWORKS = frozenset(
    "a2wsgi anyio asyncer asyncio blacksheep channels click daphne django exceptiongroup fastapi "
    "fastapi_cli fastapi_utils flask granian greenlet gunicorn h11 h2 httptools hypercorn itsdangerous "
    "litestar mangum multipart nest_asyncio ninja pydantic pydantic_core pydantic_settings "
    "python_multipart quart rest_framework sanic sniffio starlette typer typing_extensions uvicorn "
    "uvicorn_worker uvloop websockets werkzeug wsproto".split()
)
"""Packages that serve, route, parse and validate: blamed only where nobody else is on the stack."""
WRAPPERS = frozenset(
    "aio_pika aiocache aiojobs aiormq apscheduler ariadne arq asgi_correlation_id asgiref async_lru "
    "asyncache backoff beartype cachetools circuitbreaker datadog dd_trace ddtrace decorator "
    "dependency_injector deprecated elasticapm engineio fast_depends fastapi_cache fastapi_limiter "
    "fastapi_pagination fastapi_utilities faststream graphene graphql limits logfire nats newrelic "
    "opencensus opentelemetry prometheus_client prometheus_fastapi_instrumentator purgatory pyinstrument "
    "retry sentry_sdk slowapi socketio sse_starlette stamina starlette_exporter starlette_prometheus "
    "strawberry structlog taskiq tenacity typeguard wrapt".split()
)
"""Packages that run somebody else's functions: blamed where nothing but clients lies below them."""
HANDED_ON = frozenset(
    "__wrapped__ _app _func _wrapped app asgi_app async_func call_next callback cb coro endpoint f fn "
    "func function handler inner inner_app method next_app next_handler view view_func wrapped".split()
)
"""What wrappers that no table knows call the function that they were given."""

_INSTALLED = ("site-packages", "dist-packages")


def callee_in(frames: Sequence[Frame]) -> int | None:
    """Which of `frames`, all below what runs user code, is the line to blame; None if all is framework.

    The innermost line of the outermost package that does not only hand on.
    """
    last = _innermost(frames)
    handing: str | None = None
    for package in last:
        if handing is not None and package in clients():
            break  # the wrapper's own: where it keeps its counts, or sends its spans
        if not _hands_on(package, frames[last[package]]):
            return last[package]
        handing = package
    return None if handing is None else last[handing]


def handler_in(frames: Sequence[Frame]) -> int | None:
    """As `callee_in`, if that is what the framework was given to run, with wrappers between at most."""
    at = callee_in(frames)
    if at is None or _hands_on(package_of(frames[at]), frames[at]):
        return None
    ours = package_of(frames[at])
    above = [package_of(frame) for frame in frames if frame.owner is Owner.LIBRARY]
    return None if FRAMEWORKS.intersection(above[: above.index(ours)]) else at


def known_below(frames: Sequence[Frame]) -> tuple[str, ...]:
    """The APIs among `frames` that a row of the catalog is about, the outermost first, one for each rule."""
    names = [frame.dotted for frame in frames] + [frame.call for frame in frames[-1:]]
    found: dict[str, str] = {}
    for name in names:
        code = rule_for(name)
        if code is not None:
            found.setdefault(code, name)
    return tuple(found.values())


def package_of(frame: Frame) -> str:
    """The package as it is imported; that of `python -m package` by its file."""
    top = frame.module.partition(".")[0]
    if top != "__main__":
        return top
    parts = PurePath(frame.file).parts
    at = next((n for n, part in enumerate(parts) if part in _INSTALLED), None)
    return top if at is None or at + 1 == len(parts) else parts[at + 1].removesuffix(".py")


@cache
def clients() -> frozenset[str]:
    """Packages that the catalog has rows about: called by applications, and no applications."""
    return frozenset(name.partition(".")[0] for name in table())


def _innermost(frames: Sequence[Frame]) -> dict[str, int]:
    """Packages that are no framework, the outermost first, each with the place of its innermost line."""
    found: dict[str, int] = {}
    for at, frame in enumerate(frames):
        # Generated code, as the `__init__` of a dataclass, has no line that anybody could look at.
        if frame.owner is Owner.LIBRARY and not frame.file.startswith("<"):
            package = package_of(frame)
            if package not in FRAMEWORKS:
                found[package] = at
    return found


def _hands_on(package: str, line: Frame) -> bool:
    return package in WRAPPERS or line.call.rpartition(".")[2] in HANDED_ON
