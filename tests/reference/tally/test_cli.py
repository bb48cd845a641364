"""The command, as a user meets it."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import requests

from tally.cli import main
from tally.schema.migrate import to
from tally.schema.revisions import HEAD
from tally.schema.seed import customer
from tally.settings import Settings
from tally.stack.processes import free_port
from tests.support.postgres import Postgres

WAIT_S = 120.0


def test_its_version_and_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.live
def test_migrate_says_where_the_database_is(
    empty: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.database_url)
    assert main(["migrate"]) == 0
    assert main(["migrate", "--to", "0001"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"the database is at revision {HEAD}",
        "the database is at revision 0001",
    ]


@pytest.mark.live
def test_rollups_are_compared_and_made_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    today = dt.datetime.now(dt.UTC).date()
    words = [f"{today}", f"{today}T03:00Z"]
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(
            "INSERT INTO rollup_hour"
            " VALUES (1, 'n', tally_today() AT TIME ZONE 'UTC', '{}', '{}', 1, 1, 1, 1)"
        )
    assert main(["rollups", *words]) == 4
    told = capsys.readouterr()
    assert told.out == f"{today}T00Z customer 1 'n': not what the events say\n"
    assert told.err == f"tally: 1 differ: run `tally rollups --rebuild {' '.join(words)}`\n"
    assert main(["rollups", "--rebuild", *words]) == 0
    assert main(["rollups", *words]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{today}T00Z: 1 made again",
        "all of it was made again",
        "all of it is what the events say",
    ]


@pytest.mark.parametrize(
    ("words", "url", "code", "message"),
    [
        (["migrate"], "", 2, "tally: DATABASE_URL is not set: "),
        (["worker"], "mysql://db", 2, "tally: DATABASE_URL must begin with postgresql://"),
        (["migrate"], "postgresql://127.0.0.1:1/x", 4, "tally: PostgreSQL cannot be reached: "),
        (
            ["rollups", "yesterday", "2026-11-21"],
            "",
            2,
            "tally: 'yesterday' is no time: give one as",
        ),
        (["rollups", "2026-11-21", "2026-11-21"], "", 2, "tally: FROM must be before TO: "),
        (["serve", "--workers", "0"], "", 2, "tally: --workers and --pods must be 1 or more"),
        (["serve", "--port", "1"], "", 4, "name another --port"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    words: list[str],
    url: str,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--port" in words and os.access("/proc/1/environ", os.R_OK):
        words = [
            "serve",
            "--host",
            "192.0.2.1",
        ]  # root may listen anywhere, but not on others' addresses
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(words) == code
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.live
def test_a_worker_refuses_a_database_without_migrations(
    empty: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty.database_url)
    assert main(["worker"]) == 4
    assert "run `tally migrate`" in caplog.text


@pytest.mark.live
def test_stack_prints_urls_and_ends_with_all_it_started() -> None:
    with command("stack", "--scratch") as process:
        urls = json.loads(process.hears(r"^({.*})$"))
        with psycopg.connect(urls["database_url"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        process.process.terminate()
        assert process.ends() == 128 + signal.SIGTERM
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(urls["database_url"])


# --- serve -------------------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.slow
def test_one_command_and_an_event_is_counted_also_after_everything_was_killed() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with command("serve", "--port", str(port), "--workers", "1") as process:
        key = process.hears(r"key (\S+)")
        assert put(url, key, "e-1")[0] == "accepted"
        assert put(url, key, "e-1")[0] == "duplicate"
        for victim in ("postgres -D", "api --one", "api --fd", "upstreams", "worker", "valkey"):
            kill(process.process.pid, victim)
            status, tries = put(url, key, f"e-{victim}")
            # who dies between commit and answer leaves a try unheard: the next is rightly a duplicate
            assert status == "accepted" or (status == "duplicate" and tries > 1)
        assert put(url, key, "e-1")[0] == "duplicate"
        mine = descendants(process.process.pid)
        process.process.kill()
        until_gone(mine)


@pytest.mark.live
def test_serve_refuses_somebody_elses_database_without_migrations(empty: Settings) -> None:
    with command("serve", "--port", "0", DATABASE_URL=empty.database_url) as process:
        code = process.ends()
        assert "run `tally migrate`" in process.said()
        assert code == 4


@pytest.mark.live
@pytest.mark.slow
def test_a_database_that_is_away_is_waited_for(own: Postgres) -> None:
    to(Settings(own.url))
    customer(Settings(own.url), 7, "seven", "good")
    own.stop()
    url = f"http://127.0.0.1:{(port := free_port())}"
    words = ("serve", "--port", str(port), "--workers", "1")
    with command(*words, DATABASE_URL=own.url, REDIS_URL="redis://127.0.0.1:1") as process:
        process.hears(r"(after .* s, stage async)")
        answer = until_it_answers(f"{url}/readyz")
        assert answer.status_code == 503
        assert "waiting for PostgreSQL" in answer.text
        assert requests.get(f"{url}/livez", timeout=WAIT_S).status_code == 200
        own.start()
        end = time.monotonic() + WAIT_S
        while until_it_answers(f"{url}/readyz").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert put(url, "good", "e-1")[0] == "accepted", "also without a cache"
        process.process.terminate()
        assert process.ends() == 128 + signal.SIGTERM


class Running:
    """A command, and the lines that it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines.extend(self.process.stdout)

    def said(self) -> str:
        """All of it, when it has ended."""
        self._reader.join(WAIT_S)
        return "".join(self.lines)

    def hears(self, pattern: str) -> str:
        """What the group of the pattern stands for, as soon as a line has it."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found[1]
            assert not ended, self.said()
            time.sleep(0.02)
        raise AssertionError("".join(self.lines))

    def ends(self) -> int:
        return self.process.wait(WAIT_S)


@contextmanager
def command(*words: str, **environ: str) -> Iterator[Running]:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tally", *words],
        env={**kept, "PYTHONPATH": ":".join(sys.path), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = Running(process)
    try:
        yield running
    finally:
        process.terminate()
        try:
            process.wait(WAIT_S)
        finally:
            process.kill()
            running.said()


def put(url: str, key: str, event_id: str) -> tuple[str, int]:
    """Try until it is taken: its status, and at which try it was said.

    The service may be away for a moment, and must say so.
    """
    event = {"event_id": event_id, "name": "x", "at": "2026-01-01T00:00:00Z"}
    event["at"] = dt.datetime.now(dt.UTC).replace(microsecond=0).isoformat()
    end = time.monotonic() + WAIT_S
    said = ""
    tries = 0
    while time.monotonic() < end:
        tries += 1
        with suppress(requests.ConnectionError):
            answer = requests.post(
                f"{url}/v1/events", json=event, headers={"X-API-Key": key}, timeout=WAIT_S
            )
            if answer.status_code in (200, 201):
                return answer.json()["status"], tries
            said = answer.text
            assert answer.status_code == 503, said
        time.sleep(0.05)
    raise AssertionError(said)


def until_it_answers(url: str) -> requests.Response:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with suppress(requests.ConnectionError):
            return requests.get(url, timeout=WAIT_S)
        time.sleep(0.05)
    raise AssertionError("nobody listens")


def descendants(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
    found, below = [], [pid]
    while below:
        found += below
        below = [child for child, parent in parents.items() if parent in below]
    return found


def kill(root: int, word: str) -> None:
    """Those of `root`'s descendants that have the word in their command line, the first of them."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for pid in descendants(root):
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                if word in line and pid != root:
                    os.kill(pid, signal.SIGKILL)
                    return
        time.sleep(0.05)
    raise AssertionError(f"there is no {word}")


def until_gone(pids: list[int]) -> None:
    end = time.monotonic() + WAIT_S
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end, f"left: {left}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
