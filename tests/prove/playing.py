"""A run without processes: an app, proxies and a load that do what a test says, and note what was asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from tests.prove.phases import BEGAN_MS, CALM
from unstall.errors import TargetError
from unstall.load import Loaded
from unstall.model.histogram import Histogram
from unstall.model.observation import Losses, Process, Pulse, Stretch
from unstall.model.outcome import Outcome, Progress, StreamOutcome
from unstall.model.plan import AppPlan, Fault, Plan, Scenario, Stage, WitnessPlan
from unstall.model.proof import Exchanges, Phase
from unstall.model.recording import Recording
from unstall.prove.app import App
from unstall.prove.processes import Child
from unstall.prove.run import Audience
from unstall.prove.tools import Tools
from unstall.testing import ns_of

PLAN = Plan(
    name="shop",
    app=AppPlan(command="serve shop:app --port {port}", ready="/readyz"),
    scenarios=(Scenario("pay", "POST", "/pay", stages=(Stage(50, 5),)),),
    faults=(Fault("BILLING_URL", "hang", seconds=1, probability=0.05),),
)
PAID = StreamOutcome("pay", due=250, sent=250, statuses={"200": 250})


@dataclass
class FakeProxy:
    name: str
    backends: Sequence[tuple[str, int]]
    world: World
    present: Fault | None = None
    hit: int = 24
    asked: int = 0

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [("127.0.0.1", 41_000 + n) for n in range(len(self.backends))]

    def put(self, fault: Fault) -> None:
        self.present = fault
        self.world.log.append(f"put {fault.title}")

    def clear(self) -> None:
        self.present = None
        self.world.log.append(f"clear {self.name}")

    def counts(self, *, reset: bool = False) -> Exchanges:
        hit = self.hit if self.present else 0
        return Exchanges(self.name, 3, 500 + self.asked, 0 if reset else hit, 500)


class FakeChild:
    tail = ("bye",)

    def __init__(self) -> None:
        self.running = True

    @property
    def ended(self) -> str:
        return "" if self.running else "the app ended while it was asked: bye"

    def failure(self, what: str) -> TargetError:
        return TargetError(f"the app {what}: bye")


@dataclass
class World:
    """`felt`: what the load comes to, by the title of the fault that is in force."""

    felt: Mapping[str, Outcome] = field(default_factory=dict)
    seen: Mapping[str, Sequence[Stretch]] = field(default_factory=dict)
    during: Callable[[World, str], None] = lambda world, title: None
    hit: int = 24
    readiness_asks: bool = False
    """Whether the path that the witness asks for asks all upstreams."""
    log: list[str] = field(default_factory=list)
    envs: list[Mapping[str, str]] = field(default_factory=list)
    asked: list[tuple[float, str, int]] = field(default_factory=list)
    """Seconds of load, the witness's path, the seed."""
    proxies: list[FakeProxy] = field(default_factory=list)
    child: FakeChild = field(default_factory=FakeChild)

    @property
    def tools(self) -> Tools:
        return Tools(load=self.load, chaos=self.chaos, start=self.start, ask=self.ask)

    @property
    def in_force(self) -> str:
        return next((p.present.title for p in self.proxies if p.present), "healthy")

    async def ask(self, url: str, path: str) -> int:
        for proxy in self.proxies:
            proxy.asked += self.readiness_asks
        return 200

    async def load(
        self,
        base_url: str,
        scenarios: Sequence[Scenario],
        witness: WitnessPlan,
        /,
        *,
        seed: int,
        in_flight: int,
        processes: int,
        drain_s: float,
        progress: Callable[[Progress], None] | None,
        folder: Path,
        stop: asyncio.Event,
    ) -> Loaded:
        seconds = scenarios[0].stages[0].seconds
        self.asked.append((seconds, witness.path, seed))
        title = self.in_force
        self.log.append(f"load {seconds:g} s {title}")
        if progress is not None:
            self.during(self, title)
        await asyncio.sleep(0)
        outcome = self.felt.get(title, CALM)
        return Loaded(outcome + Outcome((PAID,)), ns_of(BEGAN_MS), seconds, stop.is_set())

    @contextmanager
    def chaos(self, seed: int, /, *, on_note: Callable[[str], None]) -> Iterator[World]:
        self.log.append("chaos begins")
        yield self
        self.log.append("chaos ends")

    def proxy(self, name: str, backends: Sequence[tuple[str, int]], /) -> FakeProxy:
        self.proxies.append(FakeProxy(name, backends, self, hit=self.hit))
        return self.proxies[-1]

    @asynccontextmanager
    async def start(
        self,
        plan: AppPlan,
        env: Mapping[str, str],
        /,
        *,
        folder: Path,
        record: Path,
        hear: Callable[[str], None],
    ) -> AsyncIterator[App]:
        self.log.append("app starts")
        self.envs.append(env)
        hear("unstall: watching")
        hear("something of the app's own")
        self.child.running = True
        title = "healthy"
        try:
            yield App("http://127.0.0.1:9", cast(Child, self.child))
            title = self.log[-2].partition(" s ")[2] or title
        finally:
            self.log.append("app ends")
            recording(self.seen.get(title, ())).save(record)


def recording(stretches: Sequence[Stretch] = ()) -> Recording:
    """Of one process that was watched for five seconds of load."""
    lag = Histogram.of([ns_of(1)] * 50)
    began = ns_of(BEGAN_MS)
    return Recording(
        tool="unstall test",
        processes=(Process("1-abc", 1, 0.0, 0, ("serve",), "3.13", ns_of(100)),),
        stretches=tuple(replace(each, process="1-abc") for each in stretches),
        pulses=(Pulse("1-abc", 1, began, began + ns_of(5_000), lag, 250),),
        losses=(Losses("1-abc"),),
    )


class Notes(Audience):
    def __init__(self) -> None:
        self.began: list[str] = []
        self.heard: list[str] = []
        self.ended: list[Phase] = []

    def begins(self, phase: str, seconds: float) -> None:
        self.began.append(f"{phase} {seconds:g} s")

    def hears(self, line: str) -> None:
        self.heard.append(line)

    def ends(self, phase: Phase) -> None:
        self.ended.append(phase)


@contextmanager
def listening() -> Iterator[int]:
    """A port of this machine where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
