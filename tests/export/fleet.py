"""A server with several workers that show each other's numbers, as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.run.running import clean_environment, processes_of_session
from unstall.export import joining
from unstall.prove.processes import free_port

PATIENCE_S = 30.0
APP = Path(__file__).parent / "app"
THRESHOLD_S = 0.15


def get(url: str, timeout_s: float = PATIENCE_S, accept: str = "*/*") -> str:
    """The answer, whatever its status."""
    try:
        asked = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(asked, timeout=timeout_s) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.read().decode()


@dataclass(frozen=True)
class Fleet:
    process: subprocess.Popen[bytes]
    port: int
    metrics: int
    log: Path
    left_open: list[socket.socket] = field(default_factory=list)

    def ask(self, path: str) -> str:
        return get(f"http://127.0.0.1:{self.port}{path}")

    def health(self, of: str | None = None) -> list[dict[str, Any]]:
        """What one exporter says of all workers."""
        where = of or f"http://127.0.0.1:{self.metrics}/"
        workers: list[dict[str, Any]] = json.loads(get(f"{where}health"))["workers"]
        return workers

    def freeze(self, path: str) -> None:
        """Sends a request whose answer nobody waits for."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: fleet\r\nConnection: close\r\n\r\n".encode()
        )
        self.left_open.append(connection)


@contextmanager
def fleet(folder: Path, *options: str, workers: int = 4) -> Iterator[Fleet]:
    """Uvicorn with `app/fleet.py`; all its processes are gone after the block."""
    port, metrics, log = free_port(), free_port(), folder / "log.txt"
    key = f"fleet-{os.getpid()}-{port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "fleet:app", "--port", str(port),
             "--workers", str(workers), "--log-level", "warning",
             "--timeout-worker-healthcheck", "60", *options],
            cwd=APP,
            env=clean_environment() | {
                "UNSTALL_METRICS_PORT": str(metrics),
                "UNSTALL_THRESHOLD_MS": str(THRESHOLD_S * 1e3),
                "UNSTALL_SEGMENT": key,
            },
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    running = Fleet(process, port, metrics, log)
    try:
        _wait(running, workers)
        yield running
    finally:
        for connection in running.left_open:
            connection.close()
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
        for pid in processes_of_session(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        for left in joining.folders():  # who was killed could not remove it
            for file in left.glob(f"*-{key}"):
                file.unlink()


def _wait(running: Fleet, workers: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            found = running.health()
            ready = [worker for worker in found if worker["state"] == "alive" and worker["address"]]
            if len(ready) == workers:
                running.ask("/pid")
                return
        except OSError:
            pass
        assert running.process.poll() is None, running.log.read_text()
        assert time.monotonic() < deadline, running.log.read_text()
        time.sleep(0.1)
