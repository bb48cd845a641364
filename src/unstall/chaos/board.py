"""All proxies of one loop, asked by plain values: what others hold are names and numbers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from unstall.chaos.addresses import LOCAL, Address, listen_of, upstream_of
from unstall.chaos.applied import Applied
from unstall.chaos.kinds import spec_of
from unstall.chaos.link import Buffer
from unstall.chaos.relay import Relay
from unstall.errors import UsageError
from unstall.model.plan import Fault
from unstall.model.proof import Exchanges

Endpoint = str | tuple[str, int]
"""As users give it."""
Places = tuple[tuple[str, int], ...]
_TURNS = 50


class Put(NamedTuple):
    """A toxic: its number, which no other has, and its name."""

    number: int
    name: str


class Tally(NamedTuple):
    """How many a toxic could have met, and how many it did."""

    thrown: int
    hit: int


class Last(NamedTuple):
    """What there is to know when all is over."""

    counts: dict[str, Exchanges]
    tallies: dict[int, Tally]


class Board:
    """All methods are called on the loop. Bad input raises UsageError."""

    def __init__(self, seed: int, note: Callable[[str], None]) -> None:
        self.relays: dict[str, Relay] = {}
        self._seed = seed
        self._note = note
        self._buffer = Buffer()
        self._put: dict[int, tuple[Relay, Applied]] = {}
        self._numbers = itertools.count(1)
        self._controls: list[asyncio.Server] = []

    async def open(
        self,
        name: str,
        upstreams: Sequence[Endpoint],
        listen: Sequence[Endpoint] = (),
        *,
        shared: bool = False,
        remote: bool = False,
        enabled: bool = True,
    ) -> Places:
        """Where it listens: an address for each upstream, or one for all."""
        if name in self.relays:
            raise UsageError(f"there is a proxy {name!r} already: give another name")
        to = [upstream_of(each, f"upstream of {name}") for each in upstreams]
        if not to:
            raise UsageError(f"{name} has no upstream: give HOST:PORT")
        number = 1 if shared else len(to)
        places = [listen_of(each, f"listen of {name}", remote=remote) for each in listen]
        if places and len(places) != number:
            raise UsageError(
                f"{name} has {len(places)} addresses to listen on and {len(to)} upstreams: give as many, "
                "or a single one to share"
            )
        loop = asyncio.get_running_loop()
        places = places or [Address(LOCAL)] * number
        relay = Relay(name, to, places, loop, self._buffer, self._seed, self._note)
        if enabled:
            await relay.start()
        self.relays[name] = relay
        return tuple((place.host, place.port) for place in relay.listen)

    async def discard(self, name: str) -> None:
        relay = self.relays.pop(name, None)
        if relay is not None:
            relay.stop()
            await _quiet((relay,))

    async def put(self, name: str, fault: Fault, called: str = "") -> Put:
        relay = self._relay(name)
        spec = spec_of(fault, called)
        if not called:
            spec = spec_of(fault, _free_name(spec.name, relay.applied))
        put = Put(next(self._numbers), spec.name)
        self._put[put.number] = relay, relay.put(spec)
        return put

    async def remove(self, number: int) -> None:
        relay, applied = self._put[number]
        await relay.remove(applied)

    async def clear(self, name: str) -> None:
        relay = self._relay(name)
        for applied in tuple(relay.applied.values()):
            await relay.remove(applied)

    async def counts(self, name: str, *, reset: bool = False) -> Exchanges:
        return self._relay(name).counts(reset=reset)

    async def tally(self, number: int) -> Tally:
        _, applied = self._put[number]
        return Tally(applied.thrown, applied.hit)

    async def serve(self, listen: Endpoint, *, remote: bool = False) -> tuple[str, int]:
        """toxiproxy's HTTP interface; where it is."""
        from unstall.chaos.control import served

        server, at = await served(self, listen_of(listen, "control", remote=remote), remote=remote)
        self._controls.append(server)
        return at.host, at.port

    async def names(self) -> tuple[str, ...]:
        return tuple(self.relays)

    async def end(self) -> Last:
        """Cuts everybody; nothing of ours is left on the loop."""
        for server in self._controls:
            server.close()
        relays = tuple(self.relays.values())
        for relay in relays:
            relay.stop()
        await _quiet(relays)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()
        return Last(
            {name: relay.counts() for name, relay in self.relays.items()},
            {number: Tally(each.thrown, each.hit) for number, (_, each) in self._put.items()},
        )

    def fault_of_ours(self, loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        """The connection is closed by asyncio; the host's log is not ours to write into."""
        self._note(f"a fault of the proxy: {told.get('message')}: {told.get('exception')!r}")

    def _relay(self, name: str) -> Relay:
        relay = self.relays.get(name)
        if relay is None:
            raise UsageError(f"the proxy {name!r} is closed: make another one")
        return relay


def _free_name(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}_{n}" for n in itertools.count(2))
    return next(each for each in itertools.chain((name,), numbered) if each not in taken)


async def _quiet(relays: Sequence[Relay]) -> None:
    """Until the sockets that were cut are closed, which takes a turn of the loop or two."""
    for _ in range(_TURNS):
        if all(relay.quiet for relay in relays):
            return
        await asyncio.sleep(0)
