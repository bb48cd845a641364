"""The public face: proxies that misbehave, to be used from any thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from unstall.chaos.addresses import Address
from unstall.chaos.board import Endpoint, Last, Places, Put, Tally
from unstall.chaos.homes import Home, OwnProcess, OwnThread
from unstall.errors import UsageError
from unstall.model.plan import Fault, Per
from unstall.model.proof import Exchanges
from unstall.traps.regions import allow

Note = Callable[[str], None]

_MOST_NOTES = 100


class Chaos:
    """Faults of upstreams, from `start` to `close`, or for the length of a `with` block.

    With the same seed the same exchanges are hit, whenever they come. The proxies run on a thread of their
    own, or, `apart`, in a process of their own, where a busy interpreter does not slow them. `on_note` is
    told, on whichever thread, what is good to know; `notes` keeps it.
    """

    def __init__(self, seed: int = 0, *, apart: bool = False, on_note: Note | None = None) -> None:
        self.seed = seed
        self.notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._apart = apart
        self._on_note = on_note
        self._home: Home | None = None
        self._last = Last({}, {})

    def start(self) -> Chaos:
        if self._home is None:
            self._home = (OwnProcess if self._apart else OwnThread)(self.seed, self._heard)
        return self

    def close(self) -> None:
        """Cuts all connections; thread or process are gone when it returns. Twice is once."""
        home, self._home = self._home, None
        if home is not None:
            with allow("the proxies end in a few milliseconds"):
                self._last = home.close()

    @property
    def is_running(self) -> bool:
        return self._home is not None

    def __enter__(self) -> Chaos:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def proxy(
        self,
        name: str,
        upstreams: Endpoint | Sequence[Endpoint],
        *,
        listen: Endpoint | Sequence[Endpoint] | None = None,
        shared: bool = False,
        remote: bool = False,
    ) -> Proxy:
        """A proxy in front of `upstreams`, with an address for each, on free ports unless told.

        `shared`: one address for all of them, each connection to the next in turn. `remote` lets other
        machines in. Raises UsageError.
        """
        to, places = _listed(upstreams), _listed(listen)
        return Proxy(self, name, self.ask("open", name, to, places, shared=shared, remote=remote))

    def serve(self, listen: Endpoint, *, remote: bool = False) -> tuple[str, int]:
        """Serves toxiproxy's HTTP interface there; where it listens. Raises UsageError."""
        at: tuple[str, int] = self.ask("serve", listen, remote=remote)
        return at

    def counts(self) -> tuple[Exchanges, ...]:
        """Of all proxies, those made over HTTP too, as `Proxy.counts`."""
        if not self.is_running:
            return tuple(self._last.counts.values())
        return tuple(self.ask("counts", name) for name in self.ask("names"))

    # --- for proxies and toxics -----------------------------------------------------------------

    def ask(self, what: str, *args: Any, **named: Any) -> Any:
        """Has it done where the proxies are, and waits, which takes well under a millisecond."""
        if self._home is None:
            raise UsageError("the chaos is not running: use it inside of `with Chaos() as chaos`")
        with allow("proxies on a thread of their own answer at once"):
            return self._home.ask(what, *args, **named)

    @property
    def last(self) -> Last:
        """What there is to know once it is closed."""
        return self._last

    def _heard(self, note: str) -> None:
        self.notes.append(note)
        if self._on_note is not None:
            try:
                self._on_note(note)
            except Exception as error:  # a listener's fault must not cut connections
                self.notes.append(f"on_note has failed: {error!r}")


class Proxy:
    """What stands in front of one upstream, or of several with the same name."""

    def __init__(self, chaos: Chaos, name: str, addresses: Places) -> None:
        self.name = name
        self.addresses = addresses
        """Host and port, one for each upstream, or a single one that stands for all."""
        self._chaos = chaos

    @property
    def address(self) -> str:
        """HOST:PORT of the first."""
        return str(Address(*self.addresses[0]))

    def put(self, fault: Fault) -> Toxic:
        """Applies a fault, at once or `after` so long, to what begins from then on.

        Thrown for connections, it acts on those that are open, too. Raises UsageError.
        """
        return Toxic(self._chaos, self._chaos.ask("put", self.name, fault))

    def add(
        self,
        kind: str,
        *,
        probability: float = 1.0,
        per: str = Per.EXCHANGE,
        stream: str = "",
        bad: int = 0,
        after: float = 0.0,
        until: float | None = None,
        **attributes: float,
    ) -> Toxic:
        """As `put`: `proxy.add("latency", latency=100, jitter=20)`. Raises UsageError."""
        return self.put(
            Fault(
                self.name, kind, attributes=attributes, probability=probability, per=per_of(per),
                stream=stream, bad=bad, after=after, until=until,
            )
        )  # fmt: skip

    def clear(self) -> None:
        """All toxics go; what they hold back goes on."""
        self._chaos.ask("clear", self.name)

    def counts(self, *, reset: bool = False) -> Exchanges:
        """What went through since the last `counts(reset=True)`; also when all is over."""
        if not self._chaos.is_running:
            return self._chaos.last.counts.get(self.name, Exchanges(self.name))
        told: Exchanges = self._chaos.ask("counts", self.name, reset=reset)
        return told

    def close(self) -> None:
        """Listens no longer, and cuts what is connected."""
        self._chaos.ask("discard", self.name)


class Toxic:
    """A fault that was put on a proxy."""

    def __init__(self, chaos: Chaos, put: Put) -> None:
        self.name = put.name
        self._number = put.number
        self._chaos = chaos

    @property
    def thrown(self) -> int:
        """How many it could have met of what it is thrown for."""
        return self._tally().thrown

    @property
    def hits(self) -> int:
        """How many of them it met."""
        return self._tally().hit

    def remove(self) -> None:
        """What it holds back goes on; where it took bytes away, the connection is closed. Twice is once."""
        if self._chaos.is_running:
            self._chaos.ask("remove", self._number)

    def _tally(self) -> Tally:
        if not self._chaos.is_running:
            return self._chaos.last.tallies.get(self._number, Tally(0, 0))
        told: Tally = self._chaos.ask("tally", self._number)
        return told


def per_of(text: str, name: str = "per") -> Per:
    """Raises UsageError."""
    try:
        return Per(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}: give exchange, connection or request") from None


def _listed(given: Endpoint | Sequence[Endpoint] | None) -> list[Endpoint]:
    """One, or several: a pair of host and port is one."""
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if isinstance(given, tuple) and len(given) >= 2 and isinstance(given[1], int):
        return [(str(given[0]), given[1])]
    return [each for each in given if not isinstance(each, int)]
