"""Child processes of a run: started in groups of their own, and gone when the run is over or killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from unstall.errors import TargetError
from unstall.reaper import ended_with_us
from unstall.triage.secrets import in_text

_TAIL_LINES = 12
_LAST_WORDS_S = 2.0


class Child:
    """One process and those it starts; each line of its stderr goes to `on_line`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._heard = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def ended(self) -> str:
        """That it did so while it was asked, as a sentence; empty while it runs."""
        return "" if self.running else str(self.failure("ended while it was asked"))

    async def first_line(self, patience_s: float) -> str:
        """The first line of stdout. Raises TargetError if it does not come in time."""
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), patience_s)
        except TimeoutError:
            line = b""
        if not line:
            if not self.running:
                await self.heard_out()
            raise self.failure("did not say that it is ready")
        return line.decode()

    async def heard_out(self) -> None:
        """Of one that has ended: its last words are in `tail`. Somebody else may hold the pipes open."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), _LAST_WORDS_S)

    def failure(self, what: str) -> TargetError:
        # Of its own, perhaps a line of its access log, or an error with an address.
        said = f": {in_text(self.tail[-1])}" if self.tail else ""
        code = self._process.returncode
        ended = f" (it ended with code {code})" if code is not None else ""
        return TargetError(f"{self.name} {what}{ended}{said}; run it alone to see why")

    async def stop(self, patience_s: float = 8.0) -> None:
        """SIGTERM to the process, and SIGKILL to its whole group for what is left of it."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """SIGKILL to its whole group, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def let_go(self) -> None:
        """Closes our ends of its pipes, which asyncio keeps open as long as anybody holds the others."""
        self._process._transport.close()  # type: ignore[attr-defined]

    async def follow(self, on_line: Callable[[str], None], *, all_of_it: bool) -> None:
        """Until it ends: a pipe that nobody reads would stop who writes to it."""
        streams = [self._process.stderr, self._process.stdout if all_of_it else None]
        await asyncio.gather(*(self._follow(each, on_line) for each in streams if each is not None))
        self._heard.set()

    async def _follow(self, stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than anybody reads, and let go
                continue
            if not line:
                return
            if text := line.decode(errors="replace").rstrip():
                self.tail.append(text)
                on_line(text)


@asynccontextmanager
async def child(
    name: str,
    command: Sequence[str],
    env: Mapping[str, str],
    on_line: Callable[[str], None] = lambda _: None,
    folder: Path | None = None,
    *,
    first_line: bool = False,
) -> AsyncIterator[Child]:
    """A child process for as long as the block lasts, whatever ends the block; started in `folder`.

    With `first_line` its stdout is left to `Child.first_line`.

    Raises TargetError if the command cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to pass on, and the group ours to end
        )
    except OSError as error:
        raise TargetError(f"{name} cannot be started: {error.strerror or error}") from None
    started = Child(name, process)
    following = asyncio.create_task(started.follow(on_line, all_of_it=not first_line))
    with ended_with_us(process.pid):
        try:
            yield started
        finally:
            try:
                await asyncio.shield(started.stop())
                # Somebody who left the group may hold the pipes open.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(following, _LAST_WORDS_S)
            except asyncio.CancelledError:  # Ctrl-C again: nobody waits for it, and nothing is left
                if started.running:
                    started.kill()
                raise
            finally:
                started.let_go()


def free_port() -> int:
    """A loopback port that nobody has at this moment, of those that no system gives away by itself.

    Between this and its use, every `connect` and every `bind` to any port draws from the others.
    """
    for _ in range(100):
        port = 10_240 + secrets.randbelow(32_768 - 10_240)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
