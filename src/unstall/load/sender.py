"""One request, from the moment it was meant to leave to its place in the outcome.

A request has a connection to itself: an idle one of its stream, or else a new one. There is no
pool with a limit, and no shared state between requests in flight, so a request never waits in the
generator for another one, and a thousand hanging requests cost the next one nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Self

from unstall.clock import NS_PER_S, Clock
from unstall.errors import MissingExtra, UsageError
from unstall.load.outcome import StreamBuilder

if TYPE_CHECKING:
    import httpx2

# Shorter than the 5 s after which uvicorn closes: a connection is never used as it is being closed.
IDLE_S = 2.0


def client_library() -> ModuleType:
    """`httpx2`, imported on first use. Raises `MissingExtra`."""
    try:
        import httpx2
    except ImportError:
        raise MissingExtra("httpx2", "load") from None
    return httpx2


class Sender:
    """Sends the one request of a stream again and again and notes what came of it.

    `fresh` opens a new connection for every request, as the probes of an orchestrator do.
    Raises `UsageError` when the URL cannot be used.
    """

    def __init__(
        self,
        tally: StreamBuilder,
        *,
        method: str,
        url: str,
        headers: Mapping[str, str],
        timeout_s: float,
        clock: Clock,
        body: bytes = b"",
        fresh: bool = False,
    ) -> None:
        self.tally = tally
        self.in_flight = 0
        self._fresh = fresh
        self._timeout_s = timeout_s
        self._clock = clock
        self._httpx = httpx = client_library()
        self._idle: list[httpx2.AsyncHTTPTransport] = []
        self._limits = httpx.Limits(keepalive_expiry=IDLE_S)
        self._body = body
        self._label = "-".join(tally.name.split())
        named = {"User-Agent": "unstall", "X-Scenario": tally.name, **headers}
        try:
            self._request: httpx2.Request = httpx.Request(
                method,
                url,
                headers={name: value.encode() for name, value in named.items()},
                content=body,
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"no request can be sent to {url!r}: {error}") from None
        if self._request.url.scheme not in ("http", "https") or not self._request.url.host:
            raise UsageError(
                f"no request can be sent to {url!r}: it must be an http:// or https:// URL"
            )
        self._tls = httpx.create_ssl_context() if self._request.url.scheme == "https" else False

    async def send(self, intended_ns: int) -> None:
        """Send now what was meant to leave at `intended_ns`; returns when it is over, never raises.

        Cancelling it counts the request as unanswered.
        """
        tally, clock = self.tally, self._clock
        connection = self._idle.pop() if self._idle else self._connection()
        reusable = False
        self.in_flight += 1
        sent_ns = clock.monotonic_ns()
        tally.leave(sent_ns - intended_ns)
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await connection.handle_async_request(self._numbered(tally.sent))
                await response.aread()
            done_ns = clock.monotonic_ns()
            tally.answer(response.status_code, done_ns - intended_ns, done_ns - sent_ns)
            reusable = not self._fresh
        except TimeoutError:
            tally.time_out(clock.monotonic_ns() - intended_ns)
        except asyncio.CancelledError:
            tally.abandon(clock.monotonic_ns() - intended_ns)
            raise
        except Exception as error:
            waited_ns = clock.monotonic_ns() - intended_ns
            tally.fail(_kind(error), max(waited_ns, round(self._timeout_s * NS_PER_S)))
        finally:
            self.in_flight -= 1
            if reusable:
                self._idle.append(connection)
            else:
                with suppress(Exception):  # it is counted already, however it closes
                    await connection.aclose()

    def _numbered(self, number: int) -> httpx2.Request:
        """The request with an `X-Request-ID` of its own, by which the server's side can name it."""
        plain = self._request
        if "x-request-id" in plain.headers:
            return plain
        identity = f"{self._label}-{number}".encode()
        headers = [*plain.headers.raw, (b"X-Request-ID", identity)]
        request: httpx2.Request = self._httpx.Request(
            plain.method, plain.url, headers=headers, content=self._body
        )
        return request

    def _connection(self) -> httpx2.AsyncHTTPTransport:
        # Straight to the server: a proxy from the environment would be measured in its place.
        transport: httpx2.AsyncHTTPTransport = self._httpx.AsyncHTTPTransport(
            verify=self._tls, limits=self._limits, trust_env=False
        )
        return transport

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        for transport in self._idle:
            await transport.aclose()
        self._idle.clear()


async def rehearse(clock: Clock) -> None:
    """One exchange with a server of our own, so that no measured request pays for first imports."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        tally = StreamBuilder("rehearsal")
        async with Sender(
            tally, method="GET", url=url, headers={}, timeout_s=1.0, clock=clock
        ) as sender:
            await sender.send(clock.monotonic_ns())


def _kind(error: Exception) -> str:
    """`ConnectError` becomes `connect`, `RemoteProtocolError` becomes `remote protocol`."""
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in type(error).__name__)
    return words.removesuffix(" error").strip()
