"""What a run works with: a load, proxies and an app. The real ones, unless somebody brings their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from unstall.chaos import Chaos as RealChaos
from unstall.load import Loaded, run_scenarios
from unstall.model.outcome import Progress
from unstall.model.plan import AppPlan, Fault, Scenario, WitnessPlan
from unstall.model.proof import Exchanges
from unstall.prove.app import App, started, status_of


class Load(Protocol):
    """Sends all scenarios side by side with the witness; see `unstall.load.run_scenarios`."""

    async def __call__(
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
    ) -> Loaded: ...


class Proxy(Protocol):
    """Stands before one upstream: see `unstall.chaos`."""

    @property
    def addresses(self) -> Sequence[tuple[str, int]]: ...
    def put(self, fault: Fault, /) -> object: ...
    def clear(self) -> None: ...
    def counts(self, *, reset: bool = False) -> Exchanges: ...


class Proxies(Protocol):
    def proxy(self, name: str, backends: Sequence[tuple[str, int]], /) -> Proxy: ...


class Start(Protocol):
    """The app, ready, for as long as the block lasts; see `started`."""

    def __call__(
        self,
        plan: AppPlan,
        env: Mapping[str, str],
        /,
        *,
        folder: Path,
        record: Path,
        hear: Callable[[str], None],
    ) -> AbstractAsyncContextManager[App]: ...


class Chaos(Protocol):
    def __call__(
        self, seed: int, /, *, on_note: Callable[[str], None]
    ) -> AbstractContextManager[Proxies]: ...


_APART = partial(RealChaos, apart=True)
"""In a process of its own: beside the load, a proxy on a thread would add its turns to latencies."""


@dataclass(frozen=True, slots=True)
class Tools:
    load: Load = run_scenarios
    chaos: Chaos = _APART
    start: Start = started
    ask: Callable[[str, str], Awaitable[object]] = status_of
    """GETs a path of an app once, on a connection of its own; never raises for what the app does."""
