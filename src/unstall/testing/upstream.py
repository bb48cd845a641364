"""An upstream that pauses: a dependency of the app, or a server on loopback."""

from __future__ import annotations

import asyncio
import functools
import inspect
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from unstall.chaos import Chaos, Proxy
from unstall.errors import UsageError
from unstall.testing.asking import App, Asked
from unstall.testing.burst import Burst, burst

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
_CHUNK = 65_536


class SlowUpstream:
    """What is slow while the block lasts. `calls` is how often it was asked."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self.host = "127.0.0.1"
        self.port = 0
        """0 where the upstream is a dependency."""
        self._calls = 0
        self._passed_on: Callable[[], int] = int
        """Calls that a proxy has counted."""
        self._over = threading.Event()
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        return self._calls + self._passed_on()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def check(
        self,
        app: App,
        request: str | Asked,
        *,
        bystander: str | Asked,
        n: int = 1,
        bystander_s: float = 0.25,
        within_s: float | None = None,
    ) -> Burst:
        """Asks for what needs the upstream, and meanwhile for what does not, which must answer in time.

        Any answer of `request` is allowed. Raises AssertionError as `burst`, and if the upstream was not
        asked.
        """
        before = self.calls
        seen = await burst(
            app, request, n,
            within_s=within_s, allowed=lambda _: True, bystander=bystander, bystander_s=bystander_s,
        )  # fmt: skip
        if self.calls == before:
            codes = ", ".join(map(str, sorted(seen.codes)))
            raise AssertionError(
                f"{request} did not ask the slow upstream (it answered {codes}), so nothing was shown: "
                "point the app at it, or name the dependency that the route has"
            )
        return seen

    # --- used by what pauses --------------------------------------------------------------------

    def asked(self) -> None:
        with self._lock:
            self._calls += 1

    def stand_before(self, proxy: Proxy) -> None:
        """A proxy pauses in its place."""
        proxy.add("hang", seconds=self.pause_s)
        self.host, self.port = proxy.addresses[0]
        self._passed_on = lambda: proxy.counts().exchanges

    def pause(self) -> None:
        """Blocks this thread, at most until the block is over."""
        self._over.wait(self.pause_s)

    def end(self) -> None:
        self._over.set()


@contextmanager
def slow_upstream(
    pause_s: float,
    *,
    answer: bytes = ANSWER,
    forward: tuple[str, int] | None = None,
    app: Any = None,
    dependency: Callable[..., Any] | None = None,
) -> Iterator[SlowUpstream]:
    """Makes one upstream take `pause_s` longer.

    With `app` and `dependency`, FastAPI's dependency waits as it would wait: an asynchronous one awaits,
    a plain one blocks its thread; then it does what it did. Otherwise a TCP server on loopback takes
    whatever it is sent, pauses, and sends `answer`, or what the server at `forward` says. Raises
    UsageError.
    """
    if pause_s <= 0:
        raise UsageError(f"pause_s is {pause_s}: give seconds greater than 0")
    if (app is None) != (dependency is None):
        raise UsageError("slow_upstream needs app and dependency together: give both or neither")
    slow = SlowUpstream(pause_s)
    if dependency is not None:
        with _overridden(app, dependency, _paused(dependency, slow)):
            try:
                yield slow
            finally:
                slow.end()
        return
    if forward is None:
        with _serving(slow, answer):
            yield slow
        return
    with Chaos() as chaos:
        slow.stand_before(chaos.proxy("upstream", forward))
        yield slow


# --- a dependency ---------------------------------------------------------------------------


@contextmanager
def _overridden(
    app: Any, dependency: Callable[..., Any], stand_in: Callable[..., Any]
) -> Iterator[None]:
    overrides = getattr(app, "dependency_overrides", None)
    if overrides is None:
        raise UsageError(
            f"{type(app).__name__} has no dependency_overrides: give a FastAPI app, or use the TCP upstream"
        )
    before = dict(overrides)
    overrides[dependency] = stand_in
    try:
        yield
    finally:
        overrides.clear()
        overrides.update(before)


def _paused(dependency: Callable[..., Any], slow: SlowUpstream) -> Callable[..., Any]:
    """Of the same kind, because the kind decides where it waits."""
    faces = _faces(dependency)
    if any(map(inspect.isasyncgenfunction, faces)):
        entered = asynccontextmanager(dependency)

        async def opening(*args: Any, **named: Any) -> AsyncIterator[Any]:
            slow.asked()
            await asyncio.sleep(slow.pause_s)
            async with entered(*args, **named) as value:
                yield value

        return functools.wraps(dependency)(opening)
    if any(map(inspect.isgeneratorfunction, faces)):
        plainly = contextmanager(dependency)

        def opening_plainly(*args: Any, **named: Any) -> Iterator[Any]:
            slow.asked()
            time.sleep(slow.pause_s)
            with plainly(*args, **named) as value:
                yield value

        return functools.wraps(dependency)(opening_plainly)
    if any(map(inspect.iscoroutinefunction, faces)):

        async def awaiting(*args: Any, **named: Any) -> Any:
            slow.asked()
            await asyncio.sleep(slow.pause_s)
            return await dependency(*args, **named)

        return functools.wraps(dependency)(awaiting)

    def blocking(*args: Any, **named: Any) -> Any:
        slow.asked()
        time.sleep(slow.pause_s)
        return dependency(*args, **named)

    return functools.wraps(dependency)(blocking)


def _faces(dependency: Callable[..., Any]) -> tuple[Any, ...]:
    """By any of which FastAPI tells the kind: it looks through partials and wrappers, and at `__call__`."""
    plain = _unwrapped(dependency)
    if inspect.isclass(plain) or inspect.isroutine(plain):
        return dependency, plain
    call = getattr(plain, "__call__", None)  # noqa: B004
    return dependency, plain, call, _unwrapped(call)


def _unwrapped(call: Any) -> Any:
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.unwrap(call)


# --- a server -------------------------------------------------------------------------------


@contextmanager
def _serving(slow: SlowUpstream, answer: bytes) -> Iterator[None]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(_CHUNK):
                slow.asked()
                slow.pause()
                self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is no error here."""

    server = Server((slow.host, 0), Handler)
    slow.port = server.server_address[1]
    poll = {"poll_interval": 0.02}
    thread = threading.Thread(target=server.serve_forever, kwargs=poll, name="slow upstream")
    thread.start()
    try:
        yield
    finally:
        slow.end()
        server.shutdown()
        thread.join()
        server.server_close()
