"""A stage in a process of its own."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tally.settings import Settings
from tally.stack.processes import free_port


@contextmanager
def served(settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process of its own and the port that it serves."""
    port = free_port()
    words = ["-m", "uvicorn", "tally.app:app", "--port", str(port), "--log-level", "error"]
    env = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "TALLY_SPOOL": str(settings.spool),
        "TALLY_STAGE": settings.stage,
    }
    with subprocess.Popen([sys.executable, *words], env=env) as process:
        try:
            _until_ready(port)
            yield process, port
        finally:
            process.kill()


def _until_ready(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise AssertionError("the service did not become ready")
