"""The app of one phase: started under the monitor, ready to be asked, and gone when the phase is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from unstall.errors import UsageError
from unstall.model.plan import AppPlan
from unstall.prove.ground import check_free
from unstall.prove.processes import Child, child, free_port

_ASK_S = 2.0
_PAUSE_S = 0.05
_BEFORE_READY_BELOW = 500


@dataclass(frozen=True, slots=True)
class App:
    url: str
    process: Child


@asynccontextmanager
async def started(
    plan: AppPlan,
    env: Mapping[str, str],
    *,
    folder: Path,
    record: Path,
    hear: Callable[[str], None],
) -> AsyncIterator[App]:
    """The app, ready, with a monitor in each of its processes that writes to `record`.

    Raises UsageError for a command that is none, TargetError if it is not ready in time.
    """
    port = free_port()
    url = (plan.url or "http://127.0.0.1:{port}").replace("{port}", str(port)).rstrip("/")
    if "{port}" not in plan.url:
        await check_free(url)
    ported = {name: env[name].replace("{port}", str(port)) for name in plan.env}
    words = command(plan.command, port, record)
    async with child("the app", words, with_our_path({**env, **ported}), hear, folder) as process:
        await until_ready(process, url, plan.ready, plan.patience)
        yield App(url, process)


def command(text: str, port: int, record: Path) -> tuple[str, ...]:
    """What is run: the app's own command under `unstall run`. Raises UsageError."""
    try:
        words = shlex.split(text.replace("{port}", str(port)))
    except ValueError as error:
        raise UsageError(
            f"the command {text!r} cannot be read ({error}): correct its quotes"
        ) from None
    run = (
        sys.executable,
        "-m",
        "unstall",
        "run",
        "--latent",
        "--no-summary",
        "--record",
        str(record),
    )
    return (*run, "--", *words)


def with_our_path(env: Mapping[str, str]) -> dict[str, str]:
    """So that `uvicorn` is found beside this interpreter, if it is found nowhere else."""
    ours = str(Path(sys.executable).parent)
    return {**env, "PATH": os.pathsep.join(filter(None, (env.get("PATH", os.defpath), ours)))}


async def until_ready(process: Child, url: str, path: str, patience_s: float) -> None:
    """Returns when `path` is answered below 500. Raises TargetError if the app ends first, or time does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    last = "nobody listened there"
    while loop.time() < deadline:
        if not process.running:
            await process.heard_out()
            raise process.failure("ended before it was ready")
        answer = await status_of(url, path)
        if isinstance(answer, int) and answer < _BEFORE_READY_BELOW:
            return
        if isinstance(answer, int):
            last = f"the last answer was {answer} (ready of [app] names the path, without a plan --witness)"
        else:
            last = answer or last
        await asyncio.sleep(_PAUSE_S)
    raise process.failure(f"was not ready within {patience_s:g} s: GET {path}, and {last}")


async def status_of(url: str, path: str) -> int | str | None:
    """The status of one answer; why there was none; None if nobody listens."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    target = f"{parts.path}/{path.lstrip('/')}"
    head = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_ASK_S):
            reader, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if secure else 80),
                ssl=_unchecked() if secure else None,
            )
            with contextlib.closing(writer):
                writer.write(head.encode())
                line = await reader.readline()
    except ConnectionRefusedError:
        return None
    except TimeoutError:
        return f"it did not answer within {_ASK_S:g} s"
    except OSError as error:
        return f"it hung up ({error.strerror or error})"
    words = line.split()
    if len(words) > 1 and line.startswith(b"HTTP/") and words[1].isdigit():
        return int(words[1])
    return "what came back was no HTTP"


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
