"""Connections of our own to one place: a request never waits in the generator for another one.

An idle connection is used again, else a new one is opened; there is no limit, and nothing that requests in
flight share, so a thousand that hang cost the next one nothing. Everything is a callback: a task for each
request would cost more than the request.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

from unstall.clock import NS_PER_S
from unstall.load.answer import Malformed, Reader
from unstall.load.place import Place

# Shorter than the 2 s after which gunicorn closes, and the 5 s of uvicorn: hardly any request meets a close.
IDLE_S = 1.0

_BY_NUMBER = {
    errno.EMFILE: "too many files",
    errno.ENFILE: "too many files",
    errno.EADDRNOTAVAIL: "no free port",
    errno.ECONNREFUSED: "refused",
}


class Exchange(ABC):
    """A request, and who is told what came of it: `answered` or `failed`, once."""

    __slots__ = ("bodiless", "connection", "data", "keep", "repeatable")

    def __init__(
        self, data: bytes, *, bodiless: bool = False, keep: bool = False, repeatable: bool = True
    ) -> None:
        self.data = data
        self.bodiless = bodiless
        """It is a HEAD request."""
        self.keep = keep
        """The body of the answer is wanted."""
        self.repeatable = repeatable
        """Its method is idempotent, so a server that was just closing the connection may be asked anew."""
        self.connection: Connection | None = None

    @abstractmethod
    def answered(self, reader: Reader) -> None:
        """The answer is whole; `reader` is good for it until this returns."""

    @abstractmethod
    def failed(self, kind: str) -> None:
        """There will be no answer."""

    @abstractmethod
    def repeated(self) -> None:
        """It is sent again, on a connection of its own."""

    def drop(self) -> None:
        """Nobody waits for it any more, and nothing will be told."""
        if self.connection is not None:
            self.connection.drop()


class Connections:
    """To one place. Used on one event loop; `close` ends what is open."""

    def __init__(
        self,
        place: Place,
        addresses: tuple[str, ...],
        *,
        fresh: bool = False,
        tls: ssl.SSLContext | None = None,
        now_ns: Callable[[], int],
    ) -> None:
        """`fresh`: each request has a new connection, as the probes of an orchestrator do."""
        self.fresh = fresh
        self._place = place
        self._addresses = addresses
        self._tls = tls
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._idle: dict[Connection, None] = {}  # the last one in is the first one out
        self._opening: set[asyncio.Task[None]] = set()

    def begin(self, exchange: Exchange) -> None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if self._now_ns() - connection.idle_from_ns < IDLE_S * NS_PER_S:
                connection.send(exchange)
                return
            connection.close()
        self.begin_anew(exchange)

    def begin_anew(self, exchange: Exchange) -> None:
        connection = Connection(self)
        connection.expect(exchange)
        task = self._loop.create_task(self._open(connection))
        connection.opening = task
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def rest(self, connection: Connection) -> None:
        connection.idle_from_ns = self._now_ns()
        self._idle[connection] = None

    def forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    async def close(self) -> None:
        for connection in list(self._idle):
            connection.close()
        self._idle.clear()
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next turn

    async def _open(self, connection: Connection) -> None:
        name = self._place.host if self._tls else None
        problem = OSError("no address")
        for address in self._addresses:
            try:
                await self._loop.create_connection(
                    lambda: connection,
                    address,
                    self._place.port,
                    ssl=self._tls,
                    server_hostname=name,
                )
            except OSError as error:
                problem = error
            else:
                self._prefer(address)
                return
        connection.fail(kind_of(problem, "connect"))

    def _prefer(self, address: str) -> None:
        """A name may have two addresses, and the server listen at one."""
        if address != self._addresses[0]:
            others = (each for each in self._addresses if each != address)
            self._addresses = (address, *others)


class Connection(asyncio.Protocol):
    """One exchange after the other, never two at a time."""

    def __init__(self, home: Connections) -> None:
        self.opening: asyncio.Task[None] | None = None
        self.idle_from_ns = 0
        self._home = home
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._used = False

    def expect(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.connection = self
        self._reader.expect(bodiless=exchange.bodiless, keep=exchange.keep)

    def send(self, exchange: Exchange) -> None:
        self.expect(exchange)
        assert self._transport is not None
        self._transport.write(exchange.data)

    def drop(self) -> None:
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    def close(self) -> None:
        self._home.forget(self)  # now: it would be used until the loop tells that it is lost
        if self._transport is not None:
            self._transport.close()

    def fail(self, kind: str) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.failed(kind)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.opening = None
        if self._exchange is None:
            self._transport.abort()
        else:
            self._transport.write(self._exchange.data)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:  # an idle connection has nothing to say
            self.close()
            return
        try:
            whole = self._reader.feed(data)
        except Malformed:
            self.close()
            self.fail("protocol")
            return
        if whole:
            self._end()

    def eof_received(self) -> None:
        self._home.forget(self)
        if self._exchange is not None and self._reader.end():
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        self._home.forget(self)
        exchange = self._exchange
        if exchange is None:
            return
        if error is None and self._reader.end():  # a reset may take bytes along
            self._end()
        elif self._used and exchange.repeatable and not self._reader.begun:
            # It was closed while our request was on its way; browsers send it again, and so do we.
            self._exchange = None
            exchange.repeatable = False
            exchange.repeated()
            self._home.begin_anew(exchange)
        else:
            self.fail(kind_of(error, "closed"))

    def _end(self) -> None:
        """The answer is whole. The connection is free before its request is told: it may want it."""
        exchange, self._exchange = self._exchange, None
        reader = self._reader
        head = reader.head
        if head is None or not head.lasting or reader.surplus or self._home.fresh:
            self.close()
        else:
            self._used = True
            self._home.rest(self)
        if exchange is not None:
            exchange.answered(reader)


def kind_of(error: Exception | None, otherwise: str) -> str:
    """What broke, in a word or two."""
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    number = getattr(error, "errno", None)
    return _BY_NUMBER.get(number, otherwise) if number is not None else otherwise
