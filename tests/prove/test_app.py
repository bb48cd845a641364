"""The app of a phase: how it is started, when it is ready, and what is said when it is not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.prove.playing import listening
from unstall.errors import TargetError, UsageError
from unstall.model.plan import AppPlan
from unstall.model.recording import read
from unstall.prove.app import command, started, until_ready, with_our_path
from unstall.prove.processes import child

SERVER = """
import asyncio, os, sys

async def answer(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    path = head.split()[1].decode()
    status = {"/busy": 503, "/bad": 500, "/gone": 404}.get(path, 200)
    writer.write(f"HTTP/1.1 {status} X\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
    writer.close()

async def main():
    for n in range(int(os.environ.get("NOISE", "0"))):
        print("x" * 200_000 if n % 2 else "y", flush=True)
    print("on", sys.argv[1], os.environ.get("PLACE"), flush=True)
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""


def booted(
    tmp_path: Path,
    ready: str,
    env: Mapping[str, str] | None = None,
    plan_env: dict[str, str] | None = None,
    **changes: object,
) -> tuple[str, list[str], int]:
    """Where it listened, what it said, and of how many processes the recording tells."""
    (tmp_path / "server.py").write_text(SERVER)
    words = f"{sys.executable} server.py {{port}}"
    given: dict[str, object] = {"command": words, "ready": ready, "patience": 20.0, **changes}
    plan = AppPlan(env=plan_env or {}, **given)  # type: ignore[arg-type]
    heard: list[str] = []
    record = tmp_path / "run.jsonl"

    async def play() -> str:
        full = {**os.environ, **plan.env, **(env or {})}
        async with started(plan, full, folder=tmp_path, record=record, hear=heard.append) as app:
            await until_recorded(record)
            return app.url

    url = asyncio.run(play())
    return url, heard, len(read(record).processes)


async def until_recorded(record: Path) -> None:
    """A process that SIGTERM ends as soon as it answers may not have said that it is watched."""
    async with asyncio.timeout(20):
        while not read(record).processes:
            await asyncio.sleep(0.02)


@pytest.mark.live
@pytest.mark.parametrize("ready", ["/", "/gone"])
def test_an_app_is_ready_when_it_answers_below_500_and_is_watched(
    tmp_path: Path, ready: str
) -> None:
    url, heard, watched = booted(tmp_path, ready, plan_env={"PLACE": "at {port}"})
    port = url.rpartition(":")[2]
    assert f"on {port} at {port}" in heard
    assert watched == 1


@pytest.mark.live
def test_an_app_that_says_much_is_not_stopped_by_it(tmp_path: Path) -> None:
    _, heard, _ = booted(tmp_path, "/", env={"NOISE": "40"})
    assert any(line.startswith("on ") for line in heard)  # a full pipe may be told of after it


@pytest.mark.live
def test_an_app_that_does_not_get_ready_is_told_with_its_last_answer(tmp_path: Path) -> None:
    with pytest.raises(
        TargetError, match=r"not ready within 6 s: GET /busy, and the last answer was 503"
    ):
        booted(tmp_path, "/busy", patience=6.0)


@pytest.mark.live
def test_an_app_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(
        TargetError, match=r"ended before it was ready \(it ended with code 1\).*ValueError"
    ):
        booted(tmp_path, "/", command=f"{sys.executable} -c \"raise ValueError('no')\" {{port}}")


def test_a_fixed_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    with (
        listening() as port,
        pytest.raises(TargetError, match=f"port {port} is taken already"),
    ):
        booted(tmp_path, "/", url=f"http://127.0.0.1:{port}", command="nosuch")


def test_a_command_with_an_open_quote_is_told() -> None:
    with pytest.raises(UsageError, match=r"cannot be read .*: correct its quotes"):
        command("uvicorn 'app:app", 1, Path("r"))


def test_the_command_runs_under_the_monitor_with_its_port() -> None:
    words = command("uvicorn 'a b:app' --port {port}", 8123, Path("r.jsonl"))
    assert words[words.index("--") + 1 :] == ("uvicorn", "a b:app", "--port", "8123")
    assert words[:4] == (sys.executable, "-m", "unstall", "run")


@pytest.mark.parametrize("what", ["until_ready", "first_line"])
def test_of_one_that_has_ended_the_last_words_are_waited_for(what: str) -> None:
    """They may come after the word of its end, here from a child of its own."""
    late = ("sh", "-c", "(exec >&-; sleep 0.3; echo its reason >&2) & exit 3")

    async def ask() -> None:
        async with child("the app", late, os.environ, first_line=what == "first_line") as process:
            while process.running:
                await asyncio.sleep(0.01)
            if what == "first_line":
                await process.first_line(5)
            await until_ready(process, "http://127.0.0.1:1", "/", 5)

    with pytest.raises(TargetError, match=r"\(it ended with code 3\): its reason"):
        asyncio.run(ask())


def test_last_words_are_told_without_secrets() -> None:
    says = ("sh", "-c", "echo 'GET /callback?token=hunter2 200'; exit 3")

    async def ask() -> None:
        async with child("the app", says, os.environ) as process:
            await process.heard_out()
            while process.running:
                await asyncio.sleep(0.01)
            assert process.ended.endswith(": GET /callback?token=… 200; run it alone to see why")

    asyncio.run(ask())


def test_programs_beside_this_interpreter_are_found_last() -> None:
    path = with_our_path({"PATH": "/usr/bin"})["PATH"].split(os.pathsep)
    assert path == ["/usr/bin", str(Path(sys.executable).parent)]


@pytest.mark.live
def test_who_stops_twice_leaves_nobody_who_ignores_it() -> None:
    deaf = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\n"
        "time.sleep(60)"
    )
    pids: list[int] = []

    async def play() -> None:
        ready = asyncio.Event()

        async def run() -> None:
            command = (sys.executable, "-c", deaf)
            async with child("it", command, os.environ, lambda _: ready.set()) as process:
                pids.append(process.pid)
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await ready.wait()
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for _ in range(200):  # until the loop has heard of its end
            try:
                os.kill(pids[0], 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it is still there")

    asyncio.run(play())


@pytest.mark.live
def test_a_pipe_that_outlives_the_child_keeps_nobody(tmp_path: Path) -> None:
    leaver = (
        "import subprocess, sys\n"
        "print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
    )
    heard: list[str] = []

    async def play() -> None:
        async with child("it", (sys.executable, "-c", leaver), os.environ, heard.append) as it:
            while it.running:
                await asyncio.sleep(0.01)

    asyncio.run(play())
    os.kill(int(heard[0]), signal.SIGKILL)  # it is still there, and we are done
