"""Several processes that send one schedule: each its share, all from the same moment.

The monotonic clock is one for all processes of a machine, so the moment is a number. A worker reads a line of
JSON with its job, says that it is ready, reads when to start, and tells how far it is until it tells the
outcome. When its standard input ends, we are gone, and it ends, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unstall.clock import NS_PER_S, Clock
from unstall.errors import TargetError, UsageError
from unstall.load.engine import Generator, Limits, Share, Stream
from unstall.load.pacing import with_progress
from unstall.model.codec import dump, load
from unstall.model.outcome import Outcome, Progress
from unstall.model.plan import Scenario

# From the order to the first due request: enough for a line to reach every worker.
_LEAD_NS = NS_PER_S // 4
_PATIENCE_S = 30.0
_STOP_S = 5.0
_LINE_BYTES = 1 << 30
MOST = 64
WORKER = "unstall.load.worker"


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is to send."""

    base_url: str
    scenarios: tuple[Scenario, ...]
    seed: int
    limits: Limits
    share: Share
    client: str = "unstall"
    folder: str = "."
    """Where the modules of flows lie."""


async def worked(
    job: Job,
    own: Sequence[Stream],
    processes: int,
    *,
    progress: Callable[[Progress], None] | None,
    progress_s: float,
    clock: Clock,
    start_ns: int | None,
    stop: asyncio.Event | None,
) -> tuple[Outcome, int]:
    """What all came to, and when it began. Raises `UsageError`, `TargetError` if a worker fails."""
    if not 1 <= processes <= MOST:
        raise UsageError(f"there shall be {processes} processes: give 1 to {MOST}")
    async with AsyncExitStack() as stack:
        shares = job.share.split(processes)
        workers = [Worker(number) for number in range(processes)]
        for worker in workers:
            stack.push_async_callback(worker.end)
            await worker.start()
        generator = await stack.enter_async_context(
            Generator(job.base_url, own, job.limits, share=job.share, clock=clock)
        )
        await asyncio.gather(
            *(
                worker.prepare(replace(job, share=share))
                for worker, share in zip(workers, shares, strict=True)
            )
        )
        from_ns = start_ns or clock.monotonic_ns() + _LEAD_NS
        outcomes: list[Outcome] = []

        async def everything() -> None:
            sending = [worker.work(from_ns, progress_s) for worker in workers]
            outcomes.extend(await _all(generator.run(from_ns, stop=stop), sending))

        stopping = asyncio.create_task(_pass_on(stop, workers)) if stop is not None else None
        try:
            await with_progress(
                everything(),
                lambda: _sum([generator.glance(), *(worker.progress for worker in workers)]),
                progress,
                progress_s,
            )
        finally:
            if stopping is not None:
                stopping.cancel()
        return sum(outcomes, Outcome()) + generator.outcome(), from_ns


class Worker:
    """One process."""

    def __init__(self, number: int) -> None:
        self.progress = Progress(0, 0, 0, 0, 0)
        self._number = number
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", WORKER,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES,
                env=os.environ | {"PYTHONPATH": _import_path()},
                start_new_session=True,  # Ctrl-C is ours to pass on
            )  # fmt: skip
        except OSError as error:
            raise TargetError(
                f"process {self._number + 1} of the load cannot be started: {error.strerror}; "
                "give fewer with --processes"
            ) from None

    async def prepare(self, job: Job) -> None:
        self.say(dump(job))
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._heard()
        except TimeoutError:
            raise self._failure(f"was not ready within {_PATIENCE_S:g} s") from None

    async def work(self, from_ns: int, progress_s: float) -> Outcome:
        self.say({"from_ns": from_ns, "progress_s": progress_s})
        while True:
            heard = await self._heard()
            if "outcome" in heard:
                return Outcome.from_json(heard["outcome"])
            self.progress = Progress(**heard["progress"])

    def say(self, what: Any) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, and reading will tell
            self._process.stdin.write(json.dumps(what).encode() + b"\n")

    async def end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def _heard(self) -> dict[str, Any]:
        """Its next line. Raises the error that it tells, TargetError if it has ended."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise self._failure(f"ended with code {await self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        if "usage" in heard:
            raise UsageError(heard["usage"])
        return heard

    def _failure(self, what: str) -> TargetError:
        return TargetError(
            f"process {self._number + 1} of the load {what}: see what it wrote above, or use one process"
        )


async def _all(own: Coroutine[None, None, None], others: Sequence[Any]) -> list[Outcome]:
    """The outcomes of the others. The first error ends all, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(own)
            tasks = [group.create_task(each) for each in others]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _pass_on(stop: asyncio.Event, workers: Sequence[Worker]) -> None:
    """A worker that does not answer to it is ended, so that nobody waits for ever."""
    await stop.wait()
    for worker in workers:
        worker.say("stop")
    await asyncio.sleep(_STOP_S)
    for worker in workers:
        await worker.end()


def _sum(parts: Sequence[Progress]) -> Progress:
    fields = [asdict(part) for part in parts]
    summed = {name: sum(each[name] for each in fields) for name in fields[0]}
    return Progress(**{**summed, "elapsed_ns": fields[0]["elapsed_ns"]})


def _import_path() -> str:
    """A worker imports what we do, also where we are not installed."""
    here = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))


def job_of(data: Any) -> Job:
    return load(Job, data)
