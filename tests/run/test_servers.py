"""Every server that people run FastAPI under, as they start it: named while it happens, ended cleanly."""

from __future__ import annotations

import importlib.util
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.run.running import APP, PATIENCE_S, Running, line_in, running
from unstall.explain.report import report_of, settled
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause, Stall
from unstall.model.recording import Recording, read
from unstall.prove.processes import free_port

pytestmark = [pytest.mark.live, pytest.mark.slow]

BIN = Path(sys.executable).parent
BLOCKS = line_in(APP / "service.py", "# BLOCKS")
HOLDS = line_in(APP / "service.py", "# HOLDS")

MATCH_SIZE = 26
"""A second or two on the machines of these years."""


@dataclass(frozen=True)
class Server:
    command: str
    on_term: int = 0
    needs: str = ""

    def argv(self, port: int) -> list[str]:
        program, *rest = self.command.format(port=port).split()
        return [str(BIN / program), *rest]


SERVERS = {
    # uvicorn raises the signal once more when it has shut down, so that its parent sees what it died of.
    "uvicorn": Server("uvicorn service:app --port {port} --loop asyncio", 143),
    "uvloop": Server("uvicorn service:app --port {port} --loop uvloop", 143),
    "uvicorn-workers": Server("uvicorn service:app --port {port} --workers 2"),
    "uvicorn-reload": Server("uvicorn service:app --port {port} --reload"),
    "gunicorn-uvicorn": Server(
        "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} service:app"
    ),
    "gunicorn-asgi": Server("gunicorn -k asgi -b 127.0.0.1:{port} service:app"),
    "granian": Server("granian --interface asgi --port {port} service:app"),
    "hypercorn": Server("hypercorn -b 127.0.0.1:{port} service:app"),
    "fastapi": Server("fastapi run service.py --port {port}", 143, needs="fastapi_cli"),
}


def stalls_in(recording: Recording) -> list[Stall]:
    """Without those that the machine is to blame for."""
    stalls = [stall_of(stretch, 150_000_000) for stretch in settled(recording.stretches)]
    return [stall for stall in stalls if stall.cause is not Cause.STARVED]


def ask_for_a_stall(service: Running, port: int) -> None:
    """Until one is told with its line: on a busy machine nobody may have looked while it lasted."""
    service.get(f"http://127.0.0.1:{port}/pid")
    for _ in range(5):
        service.get(f"http://127.0.0.1:{port}/users/7")
        if service.says(
            rf"^unstall: (free after|froze) .*  service.py:{BLOCKS} in user  ", within_s=5
        ):
            return
    raise AssertionError(service.stderr)


@pytest.mark.parametrize("name", SERVERS)
def test_a_blocking_route_is_named_under(name: str, tmp_path: Path) -> None:
    server, port, record = SERVERS[name], free_port(), tmp_path / "run.jsonl"
    if server.needs and importlib.util.find_spec(server.needs) is None:
        pytest.skip(f"{server.needs} is not installed")
    with running(tmp_path, server.argv(port), "--record", str(record)) as service:
        ask_for_a_stall(service, port)
        assert service.end(signal.SIGTERM) == server.on_term
    frozen = [line for line in service.stderr.splitlines() if "FROZEN" in line]
    # A worker that a busy machine kept from running as it started is told, too, and as what it is.
    line = next(line for line in frozen if f"  service.py:{BLOCKS} in user  " in line)
    assert "  GET /users/{user}  " in line
    assert "  time.sleep  waiting in clock_nanosleep  pid " in line
    report = report_of(read(record), name)
    finding = next(f for f in report.findings if f.code == "US101")
    assert finding.site is not None
    assert (finding.site.file, finding.site.line, finding.site.call) == (
        "service.py", BLOCKS, "time.sleep",
    )  # fmt: skip
    assert finding.entry is not None
    assert (finding.entry.kind, finding.entry.name) == ("route", "GET /users/{user}")
    assert finding.cause is Cause.WAITING
    assert not [gap for gap in report.gaps if "last word" in gap]


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-workers", "hypercorn"])
def test_ctrl_c_ends_the_server_with_its_own_code(name: str, tmp_path: Path) -> None:
    server, port = SERVERS[name], free_port()
    with running(tmp_path, server.argv(port)) as service:
        service.get(f"http://127.0.0.1:{port}/pid")
        assert service.end(signal.SIGINT) == 0


def test_nothing_is_said_of_a_clean_service_before_its_summary(tmp_path: Path) -> None:
    port = free_port()
    command = [*SERVERS["uvicorn"].argv(port), "--log-level", "critical"]
    with running(tmp_path, command) as service:
        for _ in range(50):
            service.get(f"http://127.0.0.1:{port}/pid")
        service.end()
    starved = re.findall("^US902 ", service.stderr, re.MULTILINE)  # by a busy machine
    assert starved == re.findall(r"^US\d+ ", service.stderr, re.MULTILINE)
    assert service.stderr.startswith(
        "\nfindings: " if starved else "\nclean: no stall was seen in "
    )


def test_a_call_in_c_that_holds_the_interpreter_lock_is_named_before_it_ends(
    tmp_path: Path,
) -> None:
    port = free_port()
    record = tmp_path / "run.jsonl"
    named = rf"^unstall: FROZEN (\S+) .*  service.py:{HOLDS} in match  re.match  holding the interpreter lock"
    with running(
        tmp_path, SERVERS["uvicorn"].argv(port), "--inside-c", "--record", str(record)
    ) as service:
        service.get(f"http://127.0.0.1:{port}/pid")
        for times in range(1, 9):  # a busy machine may hide that one thread alone runs
            service.get(f"http://127.0.0.1:{port}/match/{MATCH_SIZE}")
            service.until_said(rf"(?:^unstall: free after [\s\S]*){{{times}}}")
            if re.search(named, service.stderr, re.MULTILINE):
                break
        service.end()
    told = [line for line in service.stderr.splitlines() if line.startswith("unstall: ")]
    live = re.search(named, service.stderr, re.MULTILINE)
    assert live is not None, service.stderr
    assert "GET /match/{size}" in told[-1]
    *_, stall = [s for s in stalls_in(read(record)) if s.site and s.site.line == HOLDS]
    assert stall.cause is Cause.GIL
    assert not stall.ongoing
    assert float(live[1]) < stall.held_ns / 1e9 - 0.1


def test_a_worker_killed_while_it_is_frozen_is_still_in_the_report(tmp_path: Path) -> None:
    port = free_port()
    record = tmp_path / "run.jsonl"
    command = SERVERS["uvicorn"].argv(port)
    with running(tmp_path, command, "--inside-c", "--record", str(record)) as service:
        pid = int(service.get(f"http://127.0.0.1:{port}/pid"))
        with pytest.raises(ConnectionError):
            kill_when_frozen(service, pid, f"http://127.0.0.1:{port}/match/40")
        assert service.process.wait(PATIENCE_S) == 137
    (stall,) = [s for s in stalls_in(read(record)) if s.site and s.site.line == HOLDS]
    assert stall.ongoing
    assert stall.cause is Cause.GIL
    assert "ended without a last word" in service.stderr


def kill_when_frozen(service: Running, pid: int, url: str) -> None:
    import os
    import threading
    import urllib.request

    def kill() -> None:
        service.until_said(rf"^unstall: FROZEN .*  service.py:{HOLDS} in match  ")
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        urllib.request.urlopen(url, timeout=PATIENCE_S)
    finally:
        killer.join()
