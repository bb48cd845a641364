"""Feature switches: off at once where something goes wrong, on for some where something is new."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from unstall.errors import SwitchedOff, UsageError
from unstall.guard.sources import (
    OFF,
    ON,
    EnvironmentSource,
    Source,
    State,
    key_of,
    source_of,
)
from unstall.meters import METERS, Counter, Gauge, Labels

F = TypeVar("F", bound=Callable[..., Any])

REFRESH_S: Final = 5.0
_LOG = logging.getLogger("unstall.switches")
_MISSING: Final = object()
_SIZE: Final = 1 << 32


def chosen(name: str, key: str, percent: float) -> bool:
    """Pure, and the same in every process and version: who is in at 10 % is in at 20 %."""
    if percent >= 100:
        return True
    number = int.from_bytes(
        hashlib.blake2b(f"{name}:{key}".encode(), digest_size=4).digest(), "big"
    )
    return number < percent / 100 * _SIZE


def decided(state: State, name: str, key: str | None, roll: Callable[[], float]) -> bool:
    """Pure: without a key `roll`, 0 to 1, decides for this call alone."""
    if state.percent >= 100:
        return True
    if key is None:
        return roll() * 100 < state.percent
    return key in state.allow or chosen(name, key, state.percent)


@dataclass(frozen=True, slots=True)
class Reading:
    """The board at one moment."""

    states: Mapping[str, State]
    """Of the switches that were made, by name."""
    failing: str | None
    """Why the source could not be read last time; what it said before still counts."""


class Board:
    """The states of all switches of a process. Reading it costs a look into a dictionary.

    The environment wins over the source. A source is read once when it is given, then every `refresh`
    seconds on a thread; when it cannot be read, the last good states stay, which is said once.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environment = EnvironmentSource(environ)
        self._source: Source | None = None
        self._refresh_s = REFRESH_S
        self._states: dict[str, State] = {}
        self._failing: str | None = None
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._pid = 0
        self.names: dict[str, tuple[str, bool]] = {}
        """By key: the switch as it was written, and what counts where nothing is said."""

    def configure(self, source: Source | str | None, *, refresh: float = REFRESH_S) -> None:
        """Reads it at once, so give it before requests are served. Raises UsageError for a time of 0."""
        if refresh <= 0:
            raise UsageError(f"refresh is {refresh}: give seconds greater than 0")
        self.close()
        self._source = source_of(source) if isinstance(source, str) else source
        self._refresh_s = refresh
        self._end = threading.Event()
        self.refresh()
        self._start()

    def refresh(self) -> None:
        """Never raises. On the thread of whoever calls."""
        try:
            found = {} if self._source is None else self._source.read()
            self._states = found | self._environment.read()
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            if self._failing is None:
                _LOG.warning("switches cannot be read, the last good states count: %s", told)
            self._failing = told
            return
        if self._failing is not None:
            _LOG.warning("switches can be read again")
        self._failing = None

    def state(self, key: str) -> State:
        if self._source is not None and self._pid != os.getpid():
            self._start()  # in a forked child
        found = self._states.get(key)
        if found is not None:
            return found
        return ON if self.names[key][1] else OFF

    def reading(self) -> Reading:
        """Safe from any thread."""
        states = {name: self.state(key) for key, (name, _) in list(self.names.items())}
        return Reading(states, self._failing)

    def close(self) -> None:
        """Ends the thread; the states stay."""
        self._end.set()
        self._thread = None

    def _start(self) -> None:
        with self._lock:
            if self._source is None or (self._pid == os.getpid() and self._thread is not None):
                return
            self._pid = os.getpid()
            self._thread = threading.Thread(
                target=self._run, args=(self._end,), name="unstall-switches", daemon=True
            )
            self._thread.start()

    def _run(self, end: threading.Event) -> None:
        while not end.wait(self._refresh_s):
            self.refresh()

    def _forked(self) -> None:
        self._lock = threading.Lock()
        self._thread = None
        self._pid = 0


def _first() -> Board:
    board = Board()
    source = os.environ.get("UNSTALL_SWITCHES")
    if source:
        board.configure(source)
    else:
        board.refresh()
    return board


class _Boards:
    """The board of this process, made when the first switch is."""

    def __init__(self) -> None:
        self._board: Board | None = None

    def here(self) -> Board:
        if self._board is None:
            self._board = _first()
        return self._board

    def known(self) -> Board | None:
        return self._board

    def replace(self, board: Board | None) -> None:
        self._board = board

    def forked(self) -> None:
        if self._board is not None:
            self._board._forked()


BOARDS = _Boards()


def configure(source: Source | str | None, *, refresh: float = REFRESH_S) -> None:
    """Where switches are read from: a path, an address of Redis, or a `Source`."""
    BOARDS.here().configure(source, refresh=refresh)


class Switch:
    """One switch. Ask it with `on(key)`, put it over a function, or give it to FastAPI's `Depends`.

    Over a function, synchronous or asynchronous: where it is off, `instead` is answered, called if it is
    a function, or SwitchedOff is raised. As a dependency it says true or false for the request.
    """

    def __init__(
        self,
        name: str,
        *,
        default: bool = True,
        key: Callable[..., str | None] | None = None,
        instead: Any = _MISSING,
        board: Board | None = None,
    ) -> None:
        self.name = name
        self._key = key_of(name)
        self._key_of = key
        self._instead = instead
        self._board = board or BOARDS.here()
        known = self._board.names.setdefault(self._key, (name, default))
        if known != (name, default):
            raise UsageError(
                f"the switch {name!r} with default {default} is there already as {known[0]!r} with "
                f"{known[1]}: "
                "give both the same, or another name"
            )
        self.__signature__ = _dependency_signature()

    def on(self, key: str | None = None) -> bool:
        """For this key; without one a share of calls is by chance."""
        found = decided(self._board.state(self._key), self.name, key, random.random)
        DECIDED.add((self.name, "on" if found else "off"))
        return found

    def __call__(self, request: Any) -> Any:
        if inspect.isroutine(request) or isinstance(request, functools.partial):
            return self._over(request)
        return self.on(None if self._key_of is None else self._key_of(request))

    def _over(self, function: F) -> F:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def switched(*args: Any, **named: Any) -> Any:
                if self._on_for(args, named):
                    return await function(*args, **named)
                found = self._off(args, named)
                return await found if inspect.isawaitable(found) else found

        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise UsageError(
                f"{function.__qualname__} is a generator function: ask the switch with on() inside of it"
            )
        else:

            @functools.wraps(function)
            def switched(*args: Any, **named: Any) -> Any:
                if self._on_for(args, named):
                    return function(*args, **named)
                return self._off(args, named)

        return switched  # type: ignore[return-value]

    def _on_for(self, args: Any, named: Any) -> bool:
        return self.on(None if self._key_of is None else self._key_of(*args, **named))

    def _off(self, args: Any, named: Any) -> Any:
        if self._instead is _MISSING:
            raise SwitchedOff(
                f"the switch {self.name!r} is off for this call: switch it on, or give instead=",
                self.name,
            )
        return self._instead(*args, **named) if callable(self._instead) else self._instead


def switch(
    name: str,
    *,
    default: bool = True,
    key: Callable[..., str | None] | None = None,
    instead: Any = _MISSING,
) -> Switch:
    """`default` counts where nothing is said, `key` takes what the function or the dependency is given."""
    return Switch(name, default=default, key=key, instead=instead)


def _dependency_signature() -> inspect.Signature:
    """What FastAPI reads: one parameter, the connection."""
    try:
        from starlette.requests import HTTPConnection
    except ImportError:  # then there is no FastAPI either
        annotation: Any = Any
    else:
        annotation = HTTPConnection
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter("request", kind, annotation=annotation)])


# --- metrics --------------------------------------------------------------------------------

DECIDED = Counter("unstall_switch_decided_total", "What switches said.", ("switch", "state"))


def _percent() -> list[tuple[Labels, float]]:
    board = BOARDS.known()
    if board is None:
        return []
    return [((name,), state.percent / 100) for name, state in board.reading().states.items()]


def _source_failing() -> list[tuple[Labels, float]]:
    board = BOARDS.known()
    return [] if board is None else [((), float(board.reading().failing is not None))]


METERS.add(
    DECIDED,
    Gauge("unstall_switch_ratio", "Share of keys for which a switch is on.", _percent, ("switch",)),
    Gauge("unstall_switch_source_failing", "1 while the source cannot be read.", _source_failing),
)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=BOARDS.forked)
