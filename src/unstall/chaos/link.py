"""One connection of a client, and the one to the upstream behind it."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

from unstall.chaos.addresses import Address
from unstall.chaos.framing import NotHttp
from unstall.chaos.http import Http, Met
from unstall.chaos.pieces import Hit, Mark, Stream
from unstall.chaos.pipe import Pipe

_AT_ONCE = struct.pack("ii", 1, 0)
"""Linger for no time: closing is a reset."""
_VIEW = 262_144


class Relay(Protocol):
    """What a connection asks of the proxy that it goes through. Met are toxics that hit it."""

    def accepted(self, link: Link) -> Met | None:
        """None: it is refused."""
        ...

    def exchange(self, link: Link) -> Met: ...
    def request(self, link: Link) -> Met: ...
    def unreachable(self, link: Link, error: OSError) -> None: ...
    def no_http(self, link: Link) -> None: ...
    def gone(self, link: Link) -> None: ...


class Buffer:
    """Where a loop's sockets are read into. Each reading is used up before the next."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_VIEW))


class Link:
    """An exchange begins with bytes of the client after bytes of the upstream, or with the first of all."""

    def __init__(
        self,
        relay: Relay,
        loop: asyncio.AbstractEventLoop,
        buffer: Buffer,
        backend: int,
        to: Address,
    ) -> None:
        self.backend = backend
        self.number = 0
        self.exchange = 0
        """Its number, over all connections of the proxy."""
        self.always: Met = ()
        """Toxics that hit the connection."""
        self.by_exchange = False
        """Requests are not told apart here, so what is thrown for them is thrown for exchanges."""
        self._relay = relay
        self._loop = loop
        self._buffer = buffer
        self._to = to
        self.up = Pipe(loop, self, Stream.UPSTREAM)
        self.down = Pipe(loop, self, Stream.DOWNSTREAM)
        self.client = _Client(self, buffer.view)
        self._server = _Server(self, buffer.view)
        self._sides: list[asyncio.Transport] = []
        self._connecting: asyncio.Task[None] | None = None
        self._asked = False
        self._fresh = False
        self._met: Met = ()
        """`always`, and those that hit this exchange."""
        self._http: Http | None = None
        self._frame_next = False
        self._over = False
        self._lost = 0

    # --- from its beginning to its end ----------------------------------------------------------

    def accepted(self, transport: asyncio.Transport) -> None:
        self._sides.append(transport)
        self.up.source = self.down.target = transport
        met = self._relay.accepted(self)
        if met is None:
            self.reset()
            return
        self.always = self._met = met
        self._connecting = self._loop.create_task(self._connect())
        for hit in met:
            self._start(hit)

    def connected(self, transport: asyncio.Transport) -> None:
        self._sides.append(transport)
        if self._over:
            transport.abort()
            return
        self.down.source = transport
        self.up.open(transport)

    def lost(self, transport: asyncio.Transport) -> None:
        """A side is gone: after `close`, or because it broke."""
        self._lost += 1
        if not self._over:
            if transport is self._sides[0] or self.down.over:
                self.reset()
            else:  # behind what the client is still to get
                self.up.drop()
                self.down.mark(Mark.RESET, self._met)
        if self._over and self._lost == len(self._sides) and self._connecting is None:
            self._relay.gone(self)

    def ended(self) -> None:
        if self.up.over and self.down.over:
            self.close()

    def close(self) -> None:
        """Both sides get what was passed on to them, and then the end."""
        if not self._over:
            self._end()
            for side in self._sides:
                side.close()

    def reset(self) -> None:
        if not self._over:
            self._end()
            for side in self._sides:
                _reset(side)

    def hang_up(self) -> None:
        """At once, when the proxy closes; also what is closing already and waits to be read."""
        if not self._over:
            self._end()
        for side in self._sides:
            side.abort()

    def _end(self) -> None:
        self._over = True
        self.up.drop()
        self.down.drop()
        if self._connecting is not None:
            self._connecting.cancel()

    async def _connect(self) -> None:
        to, loop = self._to, self._loop
        try:
            if to.path:
                await loop.create_unix_connection(lambda: self._server, to.path)
            else:
                await loop.create_connection(lambda: self._server, to.host, to.port)
        except OSError as error:
            self._relay.unreachable(self, error)
            self.reset()
        finally:
            self._connecting = None
            if self._over and self._lost == len(self._sides):
                self._relay.gone(self)

    # --- what goes through ----------------------------------------------------------------------

    def asks(self, data: bytes) -> None:
        first = not self._asked
        if first:
            self._asked = self._fresh = True
            self._begin()
            if self._frame_next:
                self._frame_next = False
                self._http = Http()
        if self._http is None:
            self.up.take(data, self._met, self.exchange, first=first)
        else:
            self._ask_framed(self._http, data)

    def answers(self, data: bytes) -> None:
        first, self._fresh = self._fresh, False
        if not self.exchange:
            self._begin()
            first = True
        self._asked = False
        if self._http is None:
            self.down.take(data, self._met, self.exchange, first=first)
        else:
            self._answer_framed(self._http, data)

    def frame(self) -> None:
        """Tells HTTP requests apart from the next exchange on."""
        if self._http is None and not self.by_exchange:
            self._frame_next = True

    def hit(self, hit: Hit) -> None:
        """By a toxic that is thrown for connections, and came later than this one."""
        self.always = (*self.always, hit)
        self._met = (*self._met, hit)
        self._start(hit)

    def cured(self) -> None:
        """A toxic has gone. Where it took bytes away, the connection cannot go on."""
        hits = (*self._met, *(self._http.hits() if self._http is not None else ()))
        if any(hit.swallowed and not hit.effect.live for hit in hits):
            self.close()
            return
        self.always = tuple(hit for hit in self.always if hit.effect.live)
        self._met = tuple(hit for hit in self._met if hit.effect.live)
        self.up.again()
        self.down.again()

    def _start(self, hit: Hit) -> None:
        if hit.effect.from_start:
            pipe = self.up if hit.effect.stream is Stream.UPSTREAM else self.down
            pipe.take(b"", (hit,), self.exchange, first=True)

    def _begin(self) -> None:
        met = self._relay.exchange(self)
        self._met = (*self.always, *met) if met else self.always
        if self._http is not None:
            self._http.begin()

    def _ask_framed(self, http: Http, data: bytes) -> None:
        read = 0
        try:
            for begins, part in http.requests.feed(data):
                if begins:
                    http.asked(self._relay.request(self))
                read += len(part)
                self.up.take(part, (*self._met, *http.asking), self.exchange, first=begins)
        except NotHttp:
            self._no_http(http)
            self.up.take(data[read:], self._met, self.exchange, first=not read)

    def _answer_framed(self, http: Http, data: bytes) -> None:
        read = 0
        try:
            for begins, part in http.answers.feed(data):
                if begins:
                    http.answering = http.waiting.popleft() if http.waiting else ()
                read += len(part)
                self.down.take(part, (*self._met, *http.answering), self.exchange, first=begins)
        except NotHttp:
            self._no_http(http)
            self.down.take(data[read:], self._met, self.exchange, first=not read)

    def _no_http(self, http: Http) -> None:
        """From here on it is thrown for exchanges; the one going on keeps what its request has met."""
        self._http = None
        self.by_exchange = True
        self._relay.no_http(self)
        self._met = (*self._met, *(http.met() if http.thrown else self._relay.request(self)))


class _Side(asyncio.BufferedProtocol):
    """A socket of a connection."""

    def __init__(self, link: Link, view: memoryview) -> None:
        self._link = link
        self._view = view
        self._transport: asyncio.Transport | None = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._link.lost(self._transport)


class _Client(_Side):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._link.accepted(transport)

    def buffer_updated(self, nbytes: int) -> None:
        self._link.asks(bytes(self._view[:nbytes]))

    def eof_received(self) -> bool:
        self._link.up.mark(Mark.END, self._link.always)
        return True

    def pause_writing(self) -> None:
        self._link.down.choke(True)

    def resume_writing(self) -> None:
        self._link.down.choke(False)


class _Server(_Side):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._link.connected(transport)

    def buffer_updated(self, nbytes: int) -> None:
        self._link.answers(bytes(self._view[:nbytes]))

    def eof_received(self) -> bool:
        self._link.down.mark(Mark.END, self._link.always)
        return True

    def pause_writing(self) -> None:
        self._link.up.choke(True)

    def resume_writing(self) -> None:
        self._link.up.choke(False)


def _reset(transport: asyncio.Transport) -> None:
    """The peer reads that the connection was reset, and nothing that was still on its way."""
    told: socket.socket | None = transport.get_extra_info("socket")
    if told is not None and told.family != getattr(socket, "AF_UNIX", None):
        try:
            told.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        except OSError:
            pass  # it has gone by itself
    transport.abort()
