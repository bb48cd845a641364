"""From a stack to the line to blame, the entry the loop came in by, and the calls in between."""

from __future__ import annotations

from unstall.explain.installed import (
    FRAMEWORKS,
    callee_in,
    handler_in,
    known_below,
    package_of,
    works_at,
)
from unstall.model.finding import Entry, Hop, Site
from unstall.model.observation import Request
from unstall.model.place import Frame, Owner, Stack

ENTRIES: tuple[tuple[str, str, str], ...] = (
    ("fastapi.routing", "run_endpoint_function", "route"),
    ("fastapi.routing", "get_websocket_app.", "route"),
    ("fastapi.dependencies.utils", "solve_dependencies", "dependency"),
    ("fastapi.dependencies.utils", "_solve_generator", "dependency"),
    ("fastapi.concurrency", "contextmanager_in_threadpool", "dependency"),
    ("fastapi.concurrency", "_asynccontextmanager_with_shielded_exit", "dependency"),
    ("fastapi.routing", "get_request_handler.", "route"),
    ("fastapi.routing", "request_response.", "route"),
    ("fastapi.routing", "websocket_session.", "route"),
    ("starlette.background", "BackgroundTask.__call__", "background task"),
    ("starlette._exception_handler", "wrap_app_handling_exceptions.", "exception handler"),
    ("starlette.middleware.base", "BaseHTTPMiddleware.__call__", "middleware"),
    ("starlette.middleware.errors", "ServerErrorMiddleware.__call__", "middleware"),
    ("starlette.middleware.exceptions", "ExceptionMiddleware.__call__", "middleware"),
    ("starlette.responses", "StreamingResponse.", "route"),
    ("starlette.endpoints", "HTTPEndpoint.dispatch", "route"),
    ("starlette.endpoints", "WebSocketEndpoint.dispatch", "route"),
    ("starlette.routing", "request_response.", "route"),
    ("starlette.routing", "websocket_session.", "route"),
    ("starlette.routing", "Router.lifespan", "lifespan"),
    ("starlette.routing", "_DefaultLifespan", "lifespan"),
    ("uvicorn.lifespan.on", "LifespanOn.main", "lifespan"),
    ("hypercorn.asyncio.lifespan", "Lifespan.handle_lifespan", "lifespan"),
    ("importlib._bootstrap", "_call_with_frames_removed", "startup"),
)
"""Library code that calls user code: module, beginning of the qualified name, kind of entry.

The innermost one above a site names its kind, because middleware lies on every request's stack.
"""

WAYS_OUT = frozenset({"sender", "_send", "send_no_error", "receive_or_disconnect"})
"""Functions inside of ways in that lead outward again: what middleware sees of a response or a body."""

_KINDS = {
    home: tuple((name, kind) for each, name, kind in ENTRIES if each == home)
    for home, _, _ in ENTRIES
}
_MAX_REACH = 12


LOOP_MODULES = frozenset(
    "asyncio.base_events asyncio.events asyncio.runners uvloop unstall.traps.steps "
    "unstall.watch.discover".split()
)
"""Frames between whoever started a loop and the step that it runs."""


def step_of(stack: Stack) -> Stack:
    """The part of a loop thread's stack that belongs to the step: what started the loop is cut off."""
    frames = stack.frames
    at = next((n for n, frame in enumerate(frames) if frame.module in LOOP_MODULES), None)
    if at is None:
        return stack
    while at < len(frames) and frames[at].module in LOOP_MODULES:
        at += 1
    return Stack(frames[at:], stack.cut)


def site_of(stack: Stack) -> Site | None:
    """The line to blame and what it calls: the innermost of the application, which may be installed.

    Without any it is the innermost line of a library.
    """
    at = _blamed(stack)
    if at is None:
        return None
    frame = stack.frames[at]
    return Site(frame.file, frame.line, frame.function, api_of(stack, at))


def is_native(stack: Stack) -> bool:
    """Whether the blamed frame is the innermost, so that what it calls is C code."""
    return bool(stack.frames) and _blamed(stack) == len(stack.frames) - 1


def inside_of(stack: Stack) -> tuple[str, ...]:
    """What the catalog knows below the blamed line of an installed package, the outermost first.

    Such an application's own helpers are installed as well, and stand for what they call.
    """
    at = _blamed(stack)
    if at is None or stack.frames[at].owner is not Owner.LIBRARY:
        return ()
    return known_below(stack.frames[at + 1 :])


def api_of(stack: Stack, at: int) -> str:
    """The outermost API called at frame `at`: a qualified call if the line says so, else the frame below.

    `requests.get` is better than `requests.api.get`, and that is better than a local name such as
    `self.client.get`.
    """
    call = stack.frames[at].call
    below = next((f for f in stack.frames[at + 1 :] if f.owner is not Owner.SELF), None)
    if below is None:
        return call
    if below.file.startswith("<"):
        return call or ("import" if _is_import(below) else "")
    root = call.partition(".")[0]
    if call and not call.startswith("with ") and root == below.module.partition(".")[0]:
        return call
    return below.dotted


def entry_of(stack: Stack, request: Request | None, task: str | None) -> Entry | None:
    """Where the loop entered the code that is blamed."""
    at = _blamed(stack)
    if at is None:
        return None
    kind, start = _entered(stack, at)
    first = stack.frames[start]
    function = f"{first.module}:{first.function}"
    if request is not None and request.spawned:
        return Entry(kind or "task", f"started by {request.method} {request.route}", function)
    if request is not None and kind not in ("startup", "lifespan"):
        return Entry(kind or "task", f"{request.method} {request.route}", function)
    return Entry(kind or ("task" if task else "callback"), first.function, function)


def reach_of(stack: Stack) -> tuple[Hop, ...]:
    """The blamed application's own calls from the entry to the site, the outermost first."""
    at = _blamed(stack)
    if at is None:
        return ()
    _, start = _entered(stack, at)
    hops = [
        Hop(frame.file, frame.line, frame.function, "")
        for frame in stack.frames[start:at]
        if _belongs(frame, stack.frames[at])
    ]
    return tuple(hops[-_MAX_REACH:])


def answers(stack: Stack) -> int | None:
    """Which frame whoever runs this app answers for: its innermost own line, or that of the installed
    package that a framework runs below it; None if there is neither."""
    return _answers(stack, _begin(stack))


def _answers(stack: Stack, begin: int) -> int | None:
    app = _innermost(stack, Owner.APP)
    if not begin or (app is not None and app >= begin):
        return app
    at = handler_in(stack.frames[begin:])
    return app if at is None else begin + at


def _blamed(stack: Stack) -> int | None:
    begin = _begin(stack)
    at = _answers(stack, begin)
    if at is not None:
        return at
    innermost = _innermost(stack, Owner.LIBRARY)
    at = callee_in(stack.frames[begin:])
    if at is None or (not begin and not _is_telling(stack, at)):
        return innermost
    return begin + at


def _is_telling(stack: Stack, at: int) -> bool:
    """Whether a frame may be taken for what a step runs, where no way in says so: all of the step is on the
    stack, and the line is known to call, or to import, something of its own."""
    below = stack.frames[at + 1 : at + 2]
    return not stack.cut and (bool(stack.frames[at].call) or any(map(_is_import, below)))


def _begin(stack: Stack) -> int:
    """Where the code begins that the innermost way in calls; 0 if there is none.

    An import is none: it belongs to who asked for it.
    """
    ways = (n for n in range(len(stack.frames) - 1, -1, -1) if _serves(stack.frames[n]))
    return next(ways, -1) + 1


def _serves(frame: Frame) -> bool:
    inward = WAYS_OUT.isdisjoint(frame.function.split("."))
    return inward and _kind(frame) not in (None, "startup")


def _innermost(stack: Stack, owner: Owner) -> int | None:
    frames = stack.frames
    return next((n for n in range(len(frames) - 1, -1, -1) if frames[n].owner is owner), None)


def _entered(stack: Stack, at: int) -> tuple[str | None, int]:
    """The kind of entry if library code shows it, and where the blamed code below it begins."""
    for above in range(at - 1, -1, -1):
        kind = _kind(stack.frames[above])
        if kind is not None:
            return kind, _first_of(stack, above + 1, at)
    return None, _first_of(stack, 0, at)


def _is_import(frame: Frame) -> bool:
    """An import statement has no call in its line; what runs it has."""
    return frame.module in ("importlib._bootstrap", "_frozen_importlib")


def _kind(frame: Frame) -> str | None:
    for name, kind in _KINDS.get(frame.module.removeprefix("_frozen_"), ()):
        if frame.function.startswith(name):
            return kind
    return None


def _first_of(stack: Stack, start: int, at: int) -> int:
    blamed, places = stack.frames[at], range(start, at + 1)
    worker = works_at(stack.frames[start : at + 1]) if blamed.owner is Owner.LIBRARY else None
    if worker is not None:
        return start + worker
    own = next((n for n in places if _belongs(stack.frames[n], blamed)), None)
    if own is not None:
        return own
    return next(n for n in places if stack.frames[n].owner is blamed.owner)


def _belongs(frame: Frame, blamed: Frame) -> bool:
    """Whether both are the application's, or of one installed package that is no framework."""
    if frame.owner is not blamed.owner:
        return False
    if blamed.owner is not Owner.LIBRARY:
        return True
    package = package_of(blamed)
    return package not in FRAMEWORKS and package_of(frame) == package
