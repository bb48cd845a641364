"""`unstall run --metrics`: one address for all processes of a command."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.run.running import PATIENCE_S, Running, run, running
from tests.run.test_servers import SERVERS
from unstall.errors import UsageError
from unstall.export.server import Place
from unstall.prove.processes import free_port
from unstall.run.metrics import place_asked, told_to_children

MATCH_SIZE = 27


def health(service: Running, port: int) -> list[dict[str, Any]]:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/health", timeout=PATIENCE_S
        ) as answer:
            body = answer.read()
    except urllib.error.HTTPError as answer:  # the only worker is frozen
        with answer:
            body = answer.read()
    workers: list[dict[str, Any]] = json.loads(body)["workers"]
    return workers


def test_the_supervisor_serves_what_all_workers_write_also_while_one_can_say_nothing(
    tmp_path: Path,
) -> None:
    port, metrics = free_port(), free_port()
    command = SERVERS["uvicorn-workers"].argv(port)
    with running(tmp_path, command, "--metrics", str(metrics)) as service:
        service.get(f"http://127.0.0.1:{port}/pid")
        assert re.search(
            rf"^unstall: metrics and the live page are at http://127.0.0.1:{metrics}/$",
            service.stderr,
            re.MULTILINE,
        )
        deadline = time.monotonic() + PATIENCE_S
        while len(workers := health(service, metrics)) < 2:
            assert time.monotonic() < deadline, workers
            time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port)) as asks:
            asks.sendall(f"GET /match/{MATCH_SIZE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            while not (frozen := [w for w in health(service, metrics) if w["state"] == "frozen"]):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            # C code holds the interpreter lock: at most a stall before it can have been told.
            assert frozen[0]["stall"] is None or frozen[0]["stall"]["site"] is None
            asks.recv(1_000)
        text = service.get(f"http://127.0.0.1:{metrics}/metrics").decode()
        assert "unstall_victims_total " in text
        assert "<h2>Workers</h2>" in service.get(f"http://127.0.0.1:{metrics}/").decode()
        service.end(signal.SIGTERM)


def test_a_clean_service_is_alive_and_has_no_stall(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    with running(
        tmp_path, SERVERS["uvicorn"].argv(port), env={"UNSTALL_METRICS_PORT": str(metrics)}
    ) as service:
        for _ in range(20):
            service.get(f"http://127.0.0.1:{port}/pid")
        deadline = time.monotonic() + PATIENCE_S
        while [w["state"] for w in health(service, metrics)] != ["alive"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        text = service.get(f"http://127.0.0.1:{metrics}/metrics").decode()
        assert not re.search(
            r'^asyncio_eventloop_stall_seconds_count\{cause="(?!starved)', text, re.MULTILINE
        )
        service.end()


def test_a_taken_port_is_said_and_the_next_one_is_used(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asked = taken.getsockname()[1]
        command = SERVERS["uvicorn"].argv(free_port())
        with running(tmp_path, command, "--metrics", str(asked)) as service:
            said = service.until_said(
                rf"^unstall: http://127.0.0.1:{asked}/ is taken: .* at (http://\S+)$"
            )
            assert service.get(said.group(1) + "metrics")
            service.end()


def test_a_port_that_is_none_ends_the_run_before_it_begins() -> None:
    done = run(["python3", "-c", "print('ran')"], "--metrics", "ninety")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "unstall: --metrics is 'ninety', which is no port: give a number up to 65535, for example 9108\n"
    )


def test_nothing_is_left_in_shared_memory(tmp_path: Path) -> None:
    command = SERVERS["uvicorn"].argv(free_port())
    key = f"left-{free_port()}"
    with running(
        tmp_path, command, "--metrics", "0", env={"UNSTALL_SEGMENT": key, "TMPDIR": str(tmp_path)}
    ) as service:
        service.until_said("^unstall: metrics and the live page")
        service.end()
    left = [*Path("/dev/shm").glob(f"unstall-*/*{key}*"), *tmp_path.glob(f"unstall-*/*{key}*")]
    assert left == []


# --- what is asked and handed on -----------------------------------------------------------------


def test_the_flag_wins_over_the_environment() -> None:
    assert place_asked("81", {"UNSTALL_METRICS_PORT": "82"}) == Place("127.0.0.1", 81)
    assert place_asked(None, {"UNSTALL_METRICS_PORT": "0.0.0.0:82"}) == Place("0.0.0.0", 82)
    assert place_asked(None, {}) is None
    with pytest.raises(UsageError, match="UNSTALL_METRICS_PORT is 'x'"):
        place_asked(None, {"UNSTALL_METRICS_PORT": "x"})


def test_children_write_under_one_name_and_leave_the_port_alone() -> None:
    told = told_to_children({"UNSTALL_METRICS_PORT": "82", "HOME": "x"})
    assert "UNSTALL_METRICS_PORT" not in told
    assert told["HOME"] == "x"
    assert told["UNSTALL_SEGMENT"] != told_to_children({})["UNSTALL_SEGMENT"]
    assert told_to_children({"UNSTALL_SEGMENT": "mine"})["UNSTALL_SEGMENT"] == "mine"
