"""What a run is to do: which app, which load, which faults, and the thresholds that decide.

Rates are per second, durations in seconds, probabilities from 0 to 1.
"""

from __future__ import annotations

import enum
from base64 import b64decode
from dataclasses import dataclass, field


class Arrivals(enum.StrEnum):
    """How far apart requests are meant to leave."""

    POISSON = "poisson"
    """As from many people who do not know of each other."""
    CONSTANT = "constant"


class Per(enum.StrEnum):
    """What a fault's dice are thrown for."""

    EXCHANGE = "exchange"
    """One question and its answer: bytes from the client after bytes from the server begin the next."""
    CONNECTION = "connection"
    REQUEST = "request"
    """An HTTP request, by its own framing; a pipelined one counts, too."""


@dataclass(frozen=True, slots=True)
class Stage:
    """So many requests a second, for so long."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class AppPlan:
    """How the app is started. `{port}` in the command and in values of `env` is a free one."""

    command: str = ""
    """Empty: what is tested runs already, at `url`."""
    url: str = ""
    ready: str = "/"
    """A path that answers with a status below 500 when requests can come."""
    env: dict[str, str] = field(default_factory=dict)
    folder: str = "."
    """Where it is started; relative to the plan's file."""
    patience: float = 30.0
    """Until it must be ready."""


@dataclass(frozen=True, slots=True)
class WitnessPlan:
    """A cheap request, asked on a connection of its own each time."""

    path: str = ""
    """Empty: `ready` of the app."""
    rate: float = 5.0


@dataclass(frozen=True, slots=True)
class Example:
    """A ready request: nothing in it is a template."""

    path: str
    """With its query, encoded."""
    headers: dict[str, str] = field(default_factory=dict)
    """Beside those of the scenario, and before them."""
    body: str = ""
    base64: bool = False
    """`body` stands for bytes that are no text."""

    @property
    def content(self) -> bytes:
        return b64decode(self.body) if self.base64 else self.body.encode()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of request, over and over."""

    name: str
    method: str = "GET"
    path: str = "/"
    """May hold the same `${...}` as a body."""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    """The template itself; a plan's file names another file, which is read when the plan is."""
    call: str = ""
    """`module:function` that makes the requests itself, in place of method, path and body."""
    stages: tuple[Stage, ...] = ()
    arrivals: Arrivals = Arrivals.POISSON
    timeout: float = 30.0
    examples: tuple[Example, ...] = ()
    """Sent in turn, in place of path and body."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one upstream during a phase."""

    upstream: str
    """The environment variable that names it; with several addresses in it, `bad` of them are ill."""
    kind: str
    """A name of the table in `unstall.chaos.kinds`: hang, latency, reset_peer, …"""
    name: str = ""
    """Of the phase; empty: made from kind and upstream."""
    seconds: float | None = None
    """Of a hang; other kinds have `attributes`."""
    attributes: dict[str, float] = field(default_factory=dict)
    """In the vocabulary and units of toxiproxy: `latency` and `jitter` in ms, `rate` in KB/s, …"""
    probability: float = 1.0
    per: Per = Per.EXCHANGE
    stream: str = ""
    """`downstream`, what is answered, or `upstream`, what is asked; empty: as the kind has it."""
    bad: int = 0
    """So many of the addresses that the variable lists; 0: all."""
    after: float = 0.0
    """It begins so long after the phase does."""
    until: float | None = None

    @property
    def title(self) -> str:
        return self.name or f"{self.kind} {self.upstream}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """`metric` compared with `value` must hold, in every phase that `phase` names."""

    metric: str
    """`STREAM.p95_ms`, `witness.p99_ms`, `loop.stalls`, …"""
    operator: str
    """<, <=, ==, >= or >"""
    value: float
    phase: str = ""
    """Empty: all."""

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run. Scenarios of one phase run side by side; phases one after the other."""

    name: str = ""
    app: AppPlan = AppPlan()
    witness: WitnessPlan = WitnessPlan()
    scenarios: tuple[Scenario, ...] = ()
    faults: tuple[Fault, ...] = ()
    upstreams: tuple[str, ...] = ()
    """Variables to put behind a proxy, beside those of the faults."""
    thresholds: tuple[Threshold, ...] = ()
    seed: int = 0
    repeat: int = 1
    """How often each phase runs; several give the noise between them."""
    in_flight: int = 5_000
    """Open requests of one scenario; what is due beyond is dropped, and counted."""
    file: str = ""
    """Where it was read; empty of one that was made up."""
