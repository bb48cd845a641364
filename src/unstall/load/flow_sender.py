"""Starts a flow for each arrival, and counts it as one request: from when it was due to its end.

Its status is the highest of all its answers. What its steps took is counted in streams of their own, each
from the end of the step before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, cast

from unstall.clock import NS_PER_S, Clock
from unstall.load.chance import key_of
from unstall.load.connection import Connections
from unstall.load.flows import Client, Flow, FlowError
from unstall.load.outcome import SecondBuilder, StreamBuilder
from unstall.load.place import Place
from unstall.load.task_sender import TaskSender
from unstall.load.templates import Part, Scope, compiled, places, rendered

DONE = 0
"""In place of a status, of a flow that got to its end and sent no request with its client."""
_MOST_STEPS = 100
_LOG = logging.getLogger("unstall.load")


class FlowSender(TaskSender):
    def __init__(
        self,
        tally: StreamBuilder,
        flow: Flow,
        place: Place,
        connections: Connections,
        *,
        headers: Mapping[str, str],
        seed: int,
        timeout_s: float,
        in_flight: int,
        clock: Clock,
    ) -> None:
        super().__init__(tally, timeout_s=timeout_s, in_flight=in_flight, clock=clock)
        self._flow = flow
        self._place = place
        self._connections = connections
        self._headers = _compiled(headers, tally.name, seed)
        self._told: set[str] = set()
        self._seed = seed
        self._steps: dict[str, StreamBuilder] = {}

    @property
    def steps(self) -> list[StreamBuilder]:
        return list(self._steps.values())

    async def _send(
        self, intended_ns: int, sent_ns: int, number: int, second: SecondBuilder
    ) -> None:
        tally, clock = self.tally, self._clock
        client = Client(
            self._place, self._connections,
            scenario=tally.name, number=number, seed=self._seed,
            headers={name: rendered(parts, number).decode() for name, parts in self._headers.items()},
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                await self._walk(client, intended_ns, sent_ns - intended_ns)
        except Exception as error:
            waited_ns = clock.monotonic_ns() - intended_ns
            if isinstance(error, TimeoutError) and limit.expired():
                tally.time_out(second, waited_ns)
            else:
                kind = error.kind if isinstance(error, FlowError) else self._kind(error)
                tally.fail(second, kind, max(waited_ns, round(self._timeout_s * NS_PER_S)))
            return
        done_ns = clock.monotonic_ns()
        status = max(client.statuses, default=None)
        tally.answer(
            second, DONE if status is None else status, done_ns - intended_ns, done_ns - sent_ns
        )

    async def _disconnect(self) -> None:
        await self._connections.close()

    def _kind(self, error: Exception) -> str:
        """Its name; the first of each is logged with its lines, for the flow's author."""
        kind = type(error).__name__
        if kind not in self._told:
            self._told.add(kind)
            _LOG.warning("the flow of scenario %r failed", self.tally.name, exc_info=error)
        return kind

    async def _walk(self, client: Client, intended_ns: int, late_ns: int) -> None:
        begun_ns = intended_ns
        async with aclosing(cast(Any, self._flow(client))) as steps:
            async for name in steps:
                now_ns = self._clock.monotonic_ns()
                step = self._step(str(name))
                if step is not None:
                    # In the second in which its flow was due.
                    second = step.expect(intended_ns)
                    step.leave(late_ns)
                    status = client.statuses[-1] if client.statuses else DONE
                    step.answer(second, status, now_ns - begun_ns, now_ns - begun_ns)
                begun_ns = now_ns

    def _step(self, name: str) -> StreamBuilder | None:
        """None beyond a number of names that only ids would make."""
        step = self._steps.get(name)
        if step is None and len(self._steps) < _MOST_STEPS:
            step = StreamBuilder(f"{self.tally.name} {name}", self.tally.from_ns)
            self._steps[name] = step
        return step


def _compiled(headers: Mapping[str, str], name: str, seed: int) -> dict[str, tuple[Part, ...]]:
    """Raises UsageError for a placeholder that is none."""
    found, used = {}, 0
    for key, text in headers.items():
        scope = Scope(name, key_of(seed, name), used)
        found[key] = compiled(text, scope, f"the header {key} of scenario {name!r}")
        used += places(text)
    return found
