"""A run of Locust: its processes, our witness beside them, and what came back from both."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstall.clock import NS_PER_S, Clock, SystemClock
from unstall.errors import TargetError, UsageError
from unstall.load.engine import LEAD_NS, Generator, Limits
from unstall.load.locusts.command import (
    Crew,
    Locust,
    check,
    check_worker,
    command_of,
    find_locust,
    listener_in,
    meeting_port,
    worker_command,
)
from unstall.load.locusts.listener import FILE
from unstall.load.locusts.notes import read_notes
from unstall.load.scenarios import Loaded, witness_stream
from unstall.model.outcome import Outcome, Progress
from unstall.model.plan import WitnessPlan
from unstall.reaper import ended_with_us
from unstall.triage.secrets import in_text

_POLL_S = 0.1
_TAIL_LINES = 40
_DRAIN_S = 3.0
_END_S = 15.0
"""For a last report of the workers and the notes, once Locust was asked to end."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came back, and what it does not tell."""

    loaded: Loaded
    gaps: tuple[str, ...] = ()


async def run_locust(
    url: str,
    locust: Locust,
    witness: WitnessPlan,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: asyncio.Event | None = None,
    clock: Clock | None = None,
    program: Sequence[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Told:
    """Lets Locust's users loose on `url`, asks the witness meanwhile, and returns what came back.

    stop      when it is set, the run ends and what came until then is returned
    program   the beginning of Locust's command; None: where it is found

    Raises `UsageError` for what Locust cannot be asked or a locustfile that it does not take,
    `MissingExtra` without Locust, `TargetError` if it ends before its users began.
    """
    check(locust)
    if not witness.rate:
        raise UsageError(
            "the rate of the witness is 0, and beside users who wait it must be there: give one"
        )
    clock = clock or SystemClock()
    program = program or find_locust()
    port = meeting_port(locust.crew)
    with tempfile.TemporaryDirectory(prefix="unstall-locust-") as folder:
        file = Path(folder) / "notes.json"
        env = {**environ, FILE: str(file), "PYTHONUNBUFFERED": "1"}
        command = command_of(program, locust, url, port, listener_in(Path(folder)))
        async with _child(command, env) as child:
            stopping = asyncio.create_task(_end_at(stop, child))
            try:
                began_s = await _until_begun(child, file, locust)
                from_ns = clock.monotonic_ns() - round(max(0.0, time.time() - began_s) * NS_PER_S)
                watched, _ = await asyncio.gather(
                    _witnessed(url, witness, locust.seconds, child, clock),
                    _followed(child, file, progress, from_ns, clock),
                )
            finally:
                stopping.cancel()
            notes = read_notes(_read(file, child), by_name=locust.by_name)
    interrupted = stop is not None and stop.is_set()
    lasted = min(locust.seconds, (clock.monotonic_ns() - from_ns) / NS_PER_S)
    loaded = Loaded(notes.outcome + watched, from_ns, lasted, interrupted)
    return Told(loaded, notes.gaps)


async def work(files: Sequence[Path], crew: Crew, program: Sequence[str] | None = None) -> int:
    """A worker of a master elsewhere, until that is done; then 0.

    Raises `UsageError` for a master that cannot be or a locustfile that it does not take, `MissingExtra`
    without Locust, `TargetError` if it ends by itself.
    """
    check_worker(files, crew)
    program = program or find_locust()
    # What outlives Locust may still write there.
    with tempfile.TemporaryDirectory(
        prefix="unstall-locust-", ignore_cleanup_errors=True
    ) as folder:
        command = worker_command(program, files, crew, listener_in(Path(folder)))
        # The master's files are written where temporary files go, each over that of the same name: of two
        # workers that start at once, one would read what the other has just emptied.
        environ = os.environ if files else {**os.environ, "TMPDIR": folder}
        async with _child(command, environ) as child:
            code = await child.wait()
    if code not in (0, -signal.SIGTERM):
        raise child.failure(f"the worker of {crew.host}:{crew.port}")
    return 0


class Child:
    """Locust and the processes that it starts, in a group of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.over = asyncio.create_task(self._followed())

    async def wait(self) -> int:
        """Its exit code, once it has ended and all that it said was read."""
        await asyncio.shield(self.over)
        return await self._process.wait()

    def ask_to_end(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)

    async def end(self) -> None:
        """As it likes for a while, and then at once."""
        self.ask_to_end()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self.over

    def failure(self, who: str) -> TargetError | UsageError:
        """What its last words make of it."""
        said = in_text(_gist(self.tail))
        code = self._process.returncode
        kind = UsageError if any(each in said for each in _OF_THE_FILE) else TargetError
        return kind(
            f"{who} ended with code {code}{f': {said}' if said else ''}; run it alone to see why"
        )

    async def _followed(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.tail.append(line.decode(errors="replace").rstrip())


_OF_THE_FILE = ("Error:", "No User class found", "Unknown User", "Could not find")


def _gist(lines: Sequence[str]) -> str:
    """The error that was logged last, or else the last line of a traceback."""
    for line in reversed(lines):
        if "/ERROR/" in line:
            return line.rsplit(": ", 1)[-1]
    ends = (
        line for line in reversed(lines) if line and not line.startswith((" ", "[", "Traceback"))
    )
    return next(ends, "")


@asynccontextmanager
async def _child(command: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[Child]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C is ours to pass on, and the group ours to end
        )
    except OSError as error:
        raise TargetError(
            f"Locust cannot be started as {command[0]}: {error.strerror or error}"
        ) from None
    child = Child(process)
    with ended_with_us(process.pid):
        try:
            yield child
        finally:
            await asyncio.shield(child.end())


async def _end_at(stop: asyncio.Event | None, child: Child) -> None:
    if stop is not None:
        await stop.wait()
        child.ask_to_end()


async def _until_begun(child: Child, file: Path, locust: Locust) -> float:
    """When its users began, on the wall clock. Raises what its end tells, if it ends first."""
    while True:
        ended = child.over.done()
        told = _glance(file)
        if told is not None and told["began"] is not None:
            return float(told["began"])
        if ended:
            await child.wait()
            waited = "Gave up waiting for workers" in "\n".join(child.tail)
            if waited:
                raise TargetError(
                    f"fewer than {locust.crew.workers} workers came to {locust.crew.host}:"
                    f"{locust.crew.port} within {locust.crew.patience:g} s: start them with "
                    "unstall load --engine locust --worker --master-host HOST"
                )
            raise child.failure("Locust")
        await asyncio.sleep(_POLL_S)


async def _witnessed(
    url: str, witness: WitnessPlan, seconds: float, child: Child, clock: Clock
) -> Outcome:
    """The witness, for as long as there are users."""
    stream = witness_stream(witness, seconds, 0)
    alone = asyncio.Event()
    child.over.add_done_callback(lambda _: alone.set())
    async with Generator(url, [stream], Limits(drain=_DRAIN_S), clock=clock) as generator:
        await generator.run(clock.monotonic_ns() + LEAD_NS, stop=alone)
        return generator.outcome()


async def _followed(
    child: Child,
    file: Path,
    progress: Callable[[Progress], None] | None,
    from_ns: int,
    clock: Clock,
) -> None:
    while not child.over.done():
        await asyncio.wait({child.over}, timeout=5 * _POLL_S)
        told = _glance(file)
        if progress is not None and told is not None:
            sent, failed = told["sent"], told["failed"]
            progress(
                Progress(clock.monotonic_ns() - from_ns, sent, sent, sent - failed, told["users"])
            )
    await child.wait()


def _glance(file: Path) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads(file.with_name(file.name + ".progress").read_text())
    except (OSError, ValueError):
        return None
    return told


def _read(file: Path, child: Child) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise child.failure("Locust") from None
