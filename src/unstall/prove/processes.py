"""Child processes of a run: started in groups of their own, and gone when the run is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from unstall.errors import TargetError

_TAIL_LINES = 12


class Child:
    """One process and those it starts; each line of its stderr goes to `on_line`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def first_line(self, patience_s: float) -> str:
        """The first line of stdout. Raises TargetError if it does not come in time."""
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), patience_s)
        except TimeoutError:
            line = b""
        if not line:
            raise self.failure("did not say that it is ready")
        return line.decode()

    def failure(self, what: str) -> TargetError:
        said = f": {self.tail[-1]}" if self.tail else ""
        code = self._process.returncode
        ended = f" (it ended with code {code})" if code is not None else ""
        return TargetError(f"{self.name} {what}{ended}{said}; run it alone to see why")

    async def stop(self, patience_s: float = 5.0) -> None:
        """SIGTERM to the process, and SIGKILL to its whole group for what is left of it."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def follow(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            text = line.decode(errors="replace").rstrip()
            self.tail.append(text)
            on_line(text)


@asynccontextmanager
async def child(
    name: str,
    command: Sequence[str],
    env: Mapping[str, str],
    on_line: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Child]:
    """A child process for as long as the block lasts, whatever ends the block.

    Raises TargetError if the command cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to pass on, and the group ours to end
        )
    except OSError as error:
        raise TargetError(f"{name} cannot be started: {error.strerror or error}") from None
    started = Child(name, process)
    following = asyncio.create_task(started.follow(on_line))
    try:
        yield started
    finally:
        await asyncio.shield(started.stop())
        await following


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_accepting(child: Child, port: int, patience_s: float) -> None:
    """Returns when the port accepts. Raises TargetError if the child ends or time runs out first."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while asyncio.get_running_loop().time() < deadline:
        if not child.running:
            raise child.failure("ended before it served a request")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise child.failure(f"did not listen on port {port} within {patience_s:g} s")
