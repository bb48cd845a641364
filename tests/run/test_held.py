"""Held time under the servers that people run FastAPI with, from the request to the recording."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.run.running import PATIENCE_S, Running, running
from tests.run.test_servers import BIN
from unstall.explain.report import report_of
from unstall.model.cost import EntryCost, PieceCost
from unstall.model.recording import Recording, read
from unstall.prove.processes import free_port
from unstall.report.text import render

pytestmark = [pytest.mark.live, pytest.mark.slow]

MS = 1_000_000
SERVERS = {
    "uvicorn": "uvicorn path:app --port {port}",
    "gunicorn": "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} path:app",
    "granian": "granian --interface asgi --port {port} path:app",
}
TIMES = 3


def argv(server: str, port: int) -> list[str]:
    program, *rest = SERVERS[server].format(port=port).split()
    return [str(BIN / program), *rest]


def served(server: str, folder: Path) -> tuple[Recording, str]:
    """What was recorded of some requests, and what was said meanwhile."""
    port, record = free_port(), folder / "run.jsonl"
    env = {"UNSTALL_SLOW_MS": "40"}
    with running(folder, argv(server, port), "--record", str(record), env=env) as service:
        for _ in range(TIMES):
            service.get(f"http://127.0.0.1:{port}/orders/7")
            service.get(f"http://127.0.0.1:{port}/report")
        service.until_said(r"^unstall: slow GET ")
        service.end()
        return read(record), service.stderr


def piece(cost: EntryCost, kind: str, name: str = "") -> PieceCost:
    (found,) = [each for each in cost.pieces if each.kind == kind and each.name.endswith(name)]
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_a_request_is_taken_apart_under(server: str, tmp_path: Path) -> None:
    recording, said = served(server, tmp_path)
    report = report_of(recording, server)
    costs = {cost.entry: cost for cost in report.entries}
    orders, reports = costs["GET /orders/{order}"], costs["GET /report"]

    assert orders.calls == reports.calls == TIMES
    assert orders.held.min_ns >= 8 * MS
    assert orders.took_ns >= TIMES * 48 * MS
    assert piece(orders, "section", "render").held_ns >= TIMES * 5 * MS
    assert piece(orders, "middleware", ":timing").own_ns >= TIMES * 2 * MS
    assert piece(orders, "dependency", ":session").waited_ns >= TIMES * 5 * MS
    assert piece(orders, "dependency", ":session (exit)").held_ns >= TIMES * 1 * MS
    assert piece(orders, "endpoint", ":show").waited_ns >= TIMES * 20 * MS

    work = piece(reports, "endpoint", ":report")
    assert work.hops == TIMES
    assert work.worked_ns >= TIMES * 50 * MS
    assert reports.held.sum_ns < reports.took_ns / 2
    (threads,) = [row for row in recording.threads if row.function.endswith(":report")]
    assert (threads.pool, threads.tokens, threads.full) == ("anyio default", 40, 0)

    line = next(line for line in said.splitlines() if line.startswith("unstall: slow "))
    assert "held the loop" in line
    assert "  pid " in line
    written = render(report)
    assert "entries by held time" in written
    assert "path of GET /orders/{order}" in written
    assert "every thread taken" not in written, "nobody queued"


def test_a_client_that_hangs_up_ends_its_request_and_the_next_is_measured(tmp_path: Path) -> None:
    port, record = free_port(), tmp_path / "run.jsonl"
    with running(tmp_path, argv("uvicorn", port), "--record", str(record)) as service:
        service.get(f"http://127.0.0.1:{port}/orders/7")
        for _ in range(2):
            hang_up(service, port)
        time.sleep(0.2)
        service.get(f"http://127.0.0.1:{port}/orders/7")
        service.end()
    recording = read(record)
    costs = {cost.entry: cost for cost in report_of(recording, "uvicorn").entries}
    assert costs["GET /events"].calls == 2
    assert piece(costs["GET /events"], "stream").held_ns >= 2 * MS
    assert costs["GET /orders/{order}"].calls == 2
    assert not [
        loss for losses in recording.losses for loss in losses.dropped if "internal" in loss
    ]


def hang_up(service: Running, port: int) -> None:
    """Asks for a stream without an end, reads a little of it and is gone."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        seen = b""
        while b"xxx" not in seen:
            seen += connection.recv(4_096)
    assert service.process.poll() is None
