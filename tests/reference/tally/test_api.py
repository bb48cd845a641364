"""The API's processes on one socket."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tally import api
from tally.errors import Unable
from tally.settings import Settings
from tally.stack.processes import children, free_port

pytestmark = pytest.mark.live

WAIT_S = 60.0


@contextmanager
def running(
    settings: Settings, port: int, workers: int = 2, **more: str
) -> Iterator[subprocess.Popen[str]]:
    environ = {
        **os.environ,
        "PYTHONPATH": ":".join(sys.path),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": "",
        **more,
    }
    words = ["--port", str(port), "--workers", str(workers)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tally.api", *words],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(WAIT_S)
        assert process.stdout is not None
        process.stdout.close()


def is_alive(url: str) -> bool:
    return requests.get(f"{url}/livez", timeout=WAIT_S).status_code == 200


def listens(url: str) -> None:
    end = time.monotonic() + WAIT_S
    while True:
        try:
            assert is_alive(url)
            return
        except requests.ConnectionError:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_killed_process_comes_back_and_nobody_is_refused_meanwhile(settings: Settings) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running(settings, port, workers=1) as process:
        listens(url)
        (one,) = served(process.pid)
        os.kill(one, signal.SIGKILL)
        # It takes a moment to import, and these wait for it.
        with ThreadPoolExecutor(4) as threads:
            assert all(threads.map(is_alive, [url] * 4))
        assert served(process.pid) != [one]


def test_one_process_speaks_for_all_of_them(settings: Settings) -> None:
    """What watches a process knows its siblings, so a frozen one is told by another."""
    port, metrics = free_port(), free_port()
    with running(settings, port, UNSTALL_METRICS_PORT=str(metrics)) as process:
        listens(f"http://127.0.0.1:{port}")
        expected = {f'worker="{pid}"' for pid in served(process.pid)}
        end = time.monotonic() + WAIT_S
        while True:
            with suppress(requests.ConnectionError):
                said = requests.get(f"http://127.0.0.1:{metrics}/metrics", timeout=WAIT_S).text
                if all(word in said for word in expected):
                    break
            assert time.monotonic() < end
            time.sleep(0.05)


def test_every_process_ends_with_the_first(settings: Settings) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running(settings, port) as process:
        listens(url)
        assert len(served(process.pid)) == 2
        process.terminate()
        assert process.wait(WAIT_S) == 128 + signal.SIGTERM
        with pytest.raises(requests.ConnectionError):
            is_alive(url)


def test_it_refuses_a_database_without_migrations_and_says_what_to_run(empty: Settings) -> None:
    with running(empty, free_port(), workers=1) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(WAIT_S) == api.REFUSED
    assert "run `tally migrate`" in said
    assert "API process 1 does not start" in said


def test_a_port_that_is_taken_is_told() -> None:
    with (
        api.listen("127.0.0.1", 0) as taken,
        pytest.raises(Unable, match=r"cannot be listened on .*: name another --port"),
    ):
        api.listen("127.0.0.1", taken.getsockname()[1])


def served(pid: int) -> list[int]:
    """Of a process's children those that serve."""
    return [
        each for each in children(pid) if b"--one" in Path(f"/proc/{each}/cmdline").read_bytes()
    ]
