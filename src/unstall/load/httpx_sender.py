"""The same requests through httpx2, or httpx: for who wants to see what the service's own clients would.

A request has a transport to itself: an idle one of its stream, or else a new one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from unstall.clock import NS_PER_S, Clock
from unstall.errors import MissingExtra, UsageError
from unstall.load.connection import IDLE_S
from unstall.load.outcome import SecondBuilder, StreamBuilder
from unstall.load.recipe import Requests
from unstall.load.task_sender import TaskSender


def client_library(name: str) -> Any:
    """`httpx2` or `httpx`, imported on first use. Raises MissingExtra."""
    try:
        if name == "httpx":
            import httpx

            return httpx
        import httpx2
    except ImportError:
        raise MissingExtra(name, "load") from None
    return httpx2


class HttpxSender(TaskSender):
    """One transport for each request under way."""

    def __init__(
        self,
        tally: StreamBuilder,
        requests: Requests,
        url: str,
        *,
        library: str = "httpx2",
        timeout_s: float,
        in_flight: int,
        fresh: bool = False,
        clock: Clock,
    ) -> None:
        """`url` is what all paths are appended to. Raises MissingExtra without the library."""
        super().__init__(tally, timeout_s=timeout_s, in_flight=in_flight, clock=clock)
        self._requests = requests
        self._httpx = httpx = client_library(library)
        try:
            self._url = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise UsageError(f"no request can be sent to {url!r}: {error}") from None
        self._fresh = fresh
        self._limits = httpx.Limits(keepalive_expiry=IDLE_S)
        self._tls = httpx.create_ssl_context() if self._url.scheme == "https" else False
        self._idle: list[Any] = []

    async def _send(
        self, intended_ns: int, sent_ns: int, number: int, second: SecondBuilder
    ) -> None:
        tally, clock = self.tally, self._clock
        reusable = False
        connection: Any = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = self._idle.pop() if self._idle else self._connection()
                response = await connection.handle_async_request(self._request(number))
                await response.aread()
            done_ns = clock.monotonic_ns()
            tally.answer(second, response.status_code, done_ns - intended_ns, done_ns - sent_ns)
            reusable = not self._fresh
        except TimeoutError:
            tally.time_out(second, clock.monotonic_ns() - intended_ns)
        except Exception as error:
            waited_ns = clock.monotonic_ns() - intended_ns
            tally.fail(second, _kind(error), max(waited_ns, round(self._timeout_s * NS_PER_S)))
        finally:
            if reusable:
                self._idle.append(connection)
            elif connection is not None:
                with suppress(Exception):  # it is counted already, however it closes
                    await connection.aclose()

    async def _disconnect(self) -> None:
        for transport in self._idle:
            await transport.aclose()
        self._idle.clear()

    def _request(self, number: int) -> Any:
        """From our own bytes, so that both clients send the same."""
        head, _, body = self._requests(number).partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        method, path, _ = line.split(b" ")
        headers = [tuple(field.split(b": ", 1)) for field in fields]
        url = self._url.copy_with(raw_path=path)
        return self._httpx.Request(method.decode(), url, headers=headers, content=body)

    def _connection(self) -> Any:
        # Straight to the server: a proxy from the environment would be measured in its place.
        return self._httpx.AsyncHTTPTransport(
            verify=self._tls, limits=self._limits, trust_env=False
        )


def _kind(error: Exception) -> str:
    """`ConnectError` becomes `connect`, `RemoteProtocolError` becomes `remote protocol`."""
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in type(error).__name__)
    return words.removesuffix(" error").strip()
