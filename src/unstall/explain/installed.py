"""Whose line it is where the application itself is an installed package, among its libraries.

A stack tells by position: what runs an endpoint, a dependency or a task calls the package that was written
for it. What only hands on what it was given (a decorator, a middleware, a tracer) is passed over, as long as
somebody else lies below.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

from unstall.catalog.lookup import rule_for
from unstall.model.place import INSTALLED, Frame, Owner

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
    "__wrapped__ _app _func _wrapped app application asgi asgi_app async_func call_next callback cb coro "
    "endpoint f fn func function handler inner inner_app method next_app next_handler view view_func "
    "wrapped".split()
)
"""What wrappers that no table knows call the function that they were given."""
PASSED_ON = frozenset(
    "send _send self.send self._send receive _receive self.receive self._receive".split()
)
"""How middleware passes on what is sent and received. Whole calls: many other things have a `send`."""
SERVERS = ("litellm.proxy", "chromadb.server")
"""Applications inside of packages that the catalog has rows about."""


class _Run(NamedTuple):
    """Frames of one package, with nothing but frameworks and the standard library in between."""

    package: str
    first: int
    last: int


def callee_in(frames: Sequence[Frame]) -> int | None:
    """Which of `frames`, all below what runs user code, is the line to blame; None if all is framework.

    The innermost line of the outermost package that does not only hand on.
    """
    runs = _runs(frames)
    innermost = {run.package: run.last for run in runs}
    handing: int | None = None
    for run in runs:
        if handing is not None and is_client(frames[run.first]):
            return handing  # the wrapper's own: where it keeps its counts, or sends its spans
        if not _hands_on(run.package, frames[run.last]):
            return innermost[run.package]
        handing = innermost[run.package]
    if handing is None or (_is_given(frames[handing]) and _frameworks(frames[handing:])):
        return None
    return handing


def handler_in(frames: Sequence[Frame]) -> int | None:
    """As `callee_in`, if that is what the framework was given to run, with wrappers between at most."""
    at = callee_in(frames)
    if at is None or _hands_on(package_of(frames[at]), frames[at]):
        return None
    ours = package_of(frames[at])
    first = next(n for n, frame in enumerate(frames) if _worker(frame) == ours)
    return None if _frameworks(frames[:first]) else at


def works_at(frames: Sequence[Frame]) -> int | None:
    """Where somebody begins who is no framework and does not only hand on; None if nobody does."""
    for at, frame in enumerate(frames):
        package = _worker(frame)
        if package is not None and not _hands_on(package, frame):
            return at
    return None


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
    at = next((n for n, part in enumerate(parts) if part in INSTALLED), None)
    return top if at is None or at + 1 == len(parts) else parts[at + 1].removesuffix(".py")


def is_client(frame: Frame) -> bool:
    """Whether the catalog has a row about it: called by applications, and no application."""
    server = any(f"{frame.module}.".startswith(f"{name}.") for name in SERVERS)
    return not server and rule_for(frame.dotted) is not None


def _runs(frames: Sequence[Frame]) -> list[_Run]:
    """Of the packages that are no framework, the outermost first."""
    runs: list[_Run] = []
    for at, frame in enumerate(frames):
        package = _worker(frame)
        if package is None:
            continue
        first = runs.pop().first if runs and runs[-1].package == package else at
        runs.append(_Run(package, first, at))
    return runs


def _worker(frame: Frame) -> str | None:
    """Its package, if that is no framework."""
    # Generated code, as the `__init__` of a dataclass, has no line that anybody could look at.
    if frame.owner is not Owner.LIBRARY or frame.file.startswith("<"):
        return None
    package = package_of(frame)
    return None if package in FRAMEWORKS else package


def _frameworks(frames: Sequence[Frame]) -> bool:
    """Whether there is any among them."""
    return any(f.owner is Owner.LIBRARY and package_of(f) in FRAMEWORKS for f in frames)


def _hands_on(package: str, line: Frame) -> bool:
    return package in WRAPPERS or _is_given(line)


def _is_given(line: Frame) -> bool:
    """Whether what it calls was given to it."""
    return line.call in PASSED_ON or line.call.rpartition(".")[2] in HANDED_ON
