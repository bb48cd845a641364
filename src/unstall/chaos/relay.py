"""What one proxy does, on the loop of `Chaos`: it listens, counts, throws the dice, and cuts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from unstall.chaos.addresses import Address, address_of, bound
from unstall.chaos.applied import Applied, Counts
from unstall.chaos.dice import Dice
from unstall.chaos.http import Met
from unstall.chaos.kinds import Spec
from unstall.chaos.link import Buffer, Link
from unstall.chaos.pieces import Effect, Hit
from unstall.errors import UsageError
from unstall.model.plan import Per
from unstall.model.proof import Exchanges

Say = Callable[[str], None]


class Relay:
    """All methods are called on the loop."""

    def __init__(
        self,
        name: str,
        upstreams: Sequence[Address],
        listen: Sequence[Address],
        loop: asyncio.AbstractEventLoop,
        buffer: Buffer,
        seed: int,
        say: Say,
    ) -> None:
        self.name = name
        self.upstreams = tuple(upstreams)
        self.listen = tuple(listen)
        """One for each upstream, or one for all of them in turn; real ports once it listens."""
        self.enabled = False
        self.applied: dict[str, Applied] = {}
        self._loop = loop
        self._buffer = buffer
        self._seed = seed
        self._say = say
        self._counts = Counts()
        self._before = Counts()
        self._links: set[Link] = set()
        self._servers: dict[int, asyncio.Server] = {}
        self._turn = 0
        self._by: dict[Per, tuple[Applied, ...]] = dict.fromkeys(Per, ())
        self._said_no_http = False
        self._expiring: asyncio.Task[None] | None = None

    @property
    def shared(self) -> bool:
        """Whether one address stands for all upstreams."""
        return len(self.listen) == 1 < len(self.upstreams)

    # --- listening ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises UsageError if an address cannot be listened on; then it listens nowhere."""
        self.enabled = True
        try:
            await self._open()
        except UsageError:
            self.stop()
            raise

    def stop(self) -> None:
        """Listens no longer, and cuts everybody."""
        self.enabled = False
        for applied in self.applied.values():
            for timer in applied.timers:
                timer.cancel()
        self._shut(range(len(self.listen)))
        for link in tuple(self._links):
            link.hang_up()

    @property
    def quiet(self) -> bool:
        return not self._links

    async def _open(self) -> None:
        """Listens wherever nothing is down."""
        places = list(self.listen)
        try:
            for at, place in enumerate(places):
                if at in self._servers or not self.enabled or self._is_closed(at):
                    continue
                listening = bound(place, f"listen of {self.name}")
                places[at] = Address(place.host, address_of(listening).port)
                self._servers[at] = await self._serve(listening, at)
        finally:
            self.listen = tuple(places)

    async def _serve(self, listening: socket.socket, at: int) -> asyncio.Server:
        return await self._loop.create_server(lambda: self._link(at).client, sock=listening)

    def _shut(self, places: Sequence[int]) -> None:
        for at in places:
            server = self._servers.pop(at, None)
            if server is not None:
                server.close()

    def _is_closed(self, at: int) -> bool:
        if self.shared:
            return all(map(self._is_down, range(len(self.upstreams))))
        return self._is_down(at)

    def _is_down(self, backend: int) -> bool:
        return any(
            each.spec.kind.shuts and _is_ill(each.spec, backend)
            for each in self._by[Per.CONNECTION]
        )

    # --- toxics ---------------------------------------------------------------------------------

    def put(self, spec: Spec) -> Applied:
        """It acts at once or later, on what begins then, and on all connections if thrown for them.

        Raises UsageError.
        """
        number = len(self.upstreams)
        if spec.bad > number:
            raise UsageError(
                f"bad is {spec.bad}, and {self.name} has {number} upstream{'s' * (number != 1)}: give "
                "no more than that"
            )
        if spec.name in self.applied:
            raise UsageError(f"{self.name} has a toxic {spec.name!r} already: give another name")
        dice = Dice(self._seed, self.name, spec.name, "hit")
        applied = Applied(spec, self._effect(spec), dice)
        self.applied[spec.name] = applied
        if spec.after:
            self._later(applied, spec.after, lambda: self._begin(applied))
        else:
            self._begin(applied)
        if spec.until is not None:
            self._later(applied, spec.until, lambda: self._expire(applied))
        return applied

    async def remove(self, applied: Applied) -> None:
        """What it holds back goes on. Raises UsageError if an address was taken meanwhile."""
        spec = applied.spec
        if self.applied.get(spec.name) is not applied:
            return
        del self.applied[spec.name]
        for timer in applied.timers:
            timer.cancel()
        self._by[spec.per] = tuple(each for each in self._by[spec.per] if each is not applied)
        applied.effect.live = False
        for link in tuple(self._links):
            link.cured()
        await self._open()

    def _later(self, applied: Applied, seconds: float, call: Callable[[], None]) -> None:
        applied.timers.append(self._loop.call_later(seconds, call))

    def _begin(self, applied: Applied) -> None:
        spec = applied.spec
        applied.base = self._counts.of(spec.per)
        applied.effect.base = self._counts.exchanges
        self._by[spec.per] = (*self._by[spec.per], applied)
        if spec.per is Per.REQUEST:
            for link in self._links:
                link.frame()
        elif spec.kind.shuts:
            self._take_down()
        elif spec.per is Per.CONNECTION and not spec.kind.refuses:
            for link in tuple(self._links):
                for hit in self._throw(Per.CONNECTION, link.backend, link.number, (applied,)):
                    link.hit(hit)

    def _expire(self, applied: Applied) -> None:
        async def expired() -> None:
            try:
                await self.remove(applied)
            except UsageError as error:
                self._say(str(error))

        self._expiring = self._loop.create_task(expired())

    def _effect(self, spec: Spec) -> Effect:
        kind = spec.kind
        spread = Dice(self._seed, self.name, spec.name, "spread")
        return Effect(
            values=spec.attributes,
            spread=spread,
            stream=spec.stream,
            delays=kind.delays,
            cuts=kind.cuts,
            from_start=kind.from_start,
            refuses=kind.refuses,
        )

    def _take_down(self) -> None:
        self._shut([at for at in range(len(self.listen)) if self._is_closed(at)])
        for link in tuple(self._links):
            if self._is_down(link.backend):
                self._cut(link.backend)
                link.reset()

    def _cut(self, backend: int) -> None:
        """Counts a connection to an upstream that is down as one that was hit."""
        for each in self._by[Per.CONNECTION]:
            if each.spec.kind.shuts and _is_ill(each.spec, backend):
                each.thrown += 1
                each.hit += 1
        self._counts.thrown += 1
        self._counts.hit += 1

    def _throw(
        self, per: Per, backend: int, number: int, toxics: Sequence[Applied] | None = None
    ) -> Met:
        """A unit counts once, however many toxics there are."""
        concerned = [
            each
            for each in (self._by[per] if toxics is None else toxics)
            if _is_ill(each.spec, backend) and not each.spec.kind.shuts
        ]
        hits = tuple([Hit(each.effect) for each in concerned if each.meets(number)])
        self._counts.thrown += bool(concerned)
        self._counts.hit += bool(hits)
        return hits

    # --- counting -------------------------------------------------------------------------------

    def counts(self, *, reset: bool = False) -> Exchanges:
        """Since the last reset."""
        told = Exchanges(self.name, **self._counts.since(self._before))
        if reset:
            self._before = self._counts.copy()
        return told

    # --- what connections ask -------------------------------------------------------------------

    def accepted(self, link: Link) -> Met | None:
        counts = self._counts
        counts.connections += 1
        link.number = counts.connections
        self._links.add(link)
        if self._by[Per.REQUEST]:
            link.frame()
        if not self._by[Per.CONNECTION]:
            return ()
        if self._is_down(link.backend):
            self._cut(link.backend)
            return None
        met = self._throw(Per.CONNECTION, link.backend, link.number)
        return None if any(hit.effect.refuses for hit in met) else met

    def exchange(self, link: Link) -> Met:
        self._counts.exchanges += 1
        link.exchange = number = self._counts.exchanges
        met = self._throw(Per.EXCHANGE, link.backend, number) if self._by[Per.EXCHANGE] else ()
        if link.by_exchange and self._by[Per.REQUEST]:
            met = (*met, *self.request(link))
        return met

    def request(self, link: Link) -> Met:
        if link.by_exchange:
            return self._throw(Per.REQUEST, link.backend, link.exchange)
        self._counts.requests += 1
        return self._throw(Per.REQUEST, link.backend, self._counts.requests)

    def unreachable(self, link: Link, error: OSError) -> None:
        self._counts.unreachable += 1
        if self._counts.unreachable == self._before.unreachable + 1:
            to = self.upstreams[link.backend]
            self._say(f"{self.name}: {to} does not take connections ({_why(error)})")

    def no_http(self, link: Link) -> None:
        if not self._said_no_http:
            self._said_no_http = True
            self._say(
                f"{self.name}: what goes to {self.upstreams[link.backend]} is no HTTP/1.1 that can be "
                "read, so faults that are thrown for each request are thrown for each exchange"
            )

    def gone(self, link: Link) -> None:
        self._links.discard(link)

    def _link(self, at: int) -> Link:
        if self.shared:
            at, self._turn = self._turn, (self._turn + 1) % len(self.upstreams)
        return Link(self, self._loop, self._buffer, at, self.upstreams[at])


def _is_ill(spec: Spec, backend: int) -> bool:
    """Of several upstreams the first are the bad ones."""
    return not spec.bad or backend < spec.bad


def _why(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
