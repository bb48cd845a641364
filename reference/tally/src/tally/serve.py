"""`tally serve`: the whole service from one command, ready in a few seconds.

What needs nobody starts at once: the API processes import their code while PostgreSQL makes its
cluster, and wait for the migrations, which run here as soon as it is there.
"""

from __future__ import annotations

import importlib
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tally import api
from tally.errors import Unable
from tally.settings import Settings
from tally.stack import Stack
from tally.stack.processes import Reaper, free_port
from tally.supervise import LOOK_S, GaveUp, Program, Supervisor

UPSTREAMS = ("AUTH_URL", "BILLING_URL", "FLAGS_URL")
"""In the order in which `tally.upstreams` opens its ports."""
SCHEMA_WAIT_S = 60.0
UNABLE = 4


@dataclass(frozen=True, slots=True)
class Options:
    stage: str
    workers: int
    host: str
    port: int
    folder: Path | None
    pods: int
    hangs: tuple[str, ...]
    demo: bool


def serve(options: Options, environ: Mapping[str, str]) -> None:
    """Until it is interrupted. Raises `SettingsError` or `Unable`."""
    began = time.monotonic()
    with ExitStack() as opened:
        listening = opened.enter_context(api.listen(options.host, options.port))
        warming = threading.Thread(target=_warm, daemon=True)
        warming.start()
        given = environ.get("DATABASE_URL", ""), environ.get("REDIS_URL", "")
        stack = opened.enter_context(
            Stack(options.folder, database_url=given[0], redis_url=given[1], start=False)
        )
        if stack.without:
            say(f"works without a cache: {stack.without}")
        reaper = opened.enter_context(Reaper())
        supervisor = Supervisor(reaper, say)
        opened.callback(supervisor.stop)
        spool = environ.get("TALLY_SPOOL") or str(_spool(opened, reaper, options.folder))
        ours = options.demo or stack.postgres is not None

        variables = _variables(options, environ, stack, spool, ours)
        settings = Settings.from_environ(variables)
        if not ours:
            _check(settings)
        if not all(environ.get(name) for name in UPSTREAMS):
            supervisor.start(_upstreams(options, variables))
        supervisor.start(api.program(listening, options.workers, variables))
        stack.start()
        if (stack.database_url, stack.redis_url) != (settings.database_url, settings.redis_url):
            raise Unable("somebody took a port that PostgreSQL or Valkey was to have: try again")
        warming.join()
        key = _prepare(settings, environ) if ours else ""
        where = f"http://{_reachable(options.host)}:{listening.getsockname()[1]}"
        _await_api(supervisor, where, ready=ours)
        supervisor.start(_worker(variables))
        _greet(options, where, key, time.monotonic() - began)
        while True:
            time.sleep(LOOK_S)
            _look(supervisor, stack)


def say(words: str) -> None:
    print(f"tally: {words}", flush=True)


def _look(supervisor: Supervisor, stack: Stack) -> None:
    for name, server in (("PostgreSQL", stack.postgres), ("Valkey", stack.valkey)):
        if server is not None and not server.is_running:
            say(f"{name} ended and is started again")
            server.kill()  # what is left of it
            server.start()
    try:
        supervisor.look()
    except GaveUp as error:
        raise Unable(str(error)) from None


def _warm() -> None:
    """Alembic takes half a second to import, and PostgreSQL as long to make a cluster."""
    importlib.import_module("tally.schema.migrate")


def _prepare(settings: Settings, environ: Mapping[str, str]) -> str:
    """Run the migrations and make a customer; its key."""
    from tally.schema.migrate import to, wait_for
    from tally.schema.seed import customer

    wait_for(settings, 10.0)
    to(settings)
    key = environ.get("TALLY_DEMO_KEY") or f"tally-{secrets.token_urlsafe(12)}"
    customer(settings, 1, "demo", key)
    return key


def _check(settings: Settings) -> None:
    """Somebody else's database is not changed: it is as it should be, away for now, or refused."""
    from tally.schema.migrate import revision
    from tally.schema.revisions import SchemaError, judge

    try:
        judge(revision(settings))
    except SchemaError as error:
        raise Unable(str(error)) from None
    except OSError as error:
        say(f"waits for the database: {error}")


def _variables(
    options: Options, environ: Mapping[str, str], stack: Stack, spool: str, ours: bool
) -> dict[str, str]:
    """The environment of all that is started; upstreams that nobody gave get ports in a row."""
    variables = {
        **environ,
        "DATABASE_URL": stack.database_url,
        "REDIS_URL": stack.redis_url,
        "TALLY_STAGE": options.stage,
        "TALLY_WORKERS": str(options.workers),
        "TALLY_SPOOL": spool,
    }
    if ours:
        variables["TALLY_SCHEMA_WAIT_S"] = f"{SCHEMA_WAIT_S:g}"
    first = _row_of_ports(len(UPSTREAMS) * options.pods)
    variables["TALLY_UPSTREAMS_PORT"] = str(first)
    for place, name in enumerate(UPSTREAMS):
        ports = range(first + place * options.pods, first + (place + 1) * options.pods)
        urls = ",".join(f"http://127.0.0.1:{port}" for port in ports)
        variables[name] = environ.get(name) or urls
    return variables


def _upstreams(options: Options, environ: Mapping[str, str]) -> Program:
    words = ["--pods", str(options.pods), "--port", environ["TALLY_UPSTREAMS_PORT"]]
    words += [word for hang in options.hangs for word in ("--hang", hang)]
    command = (sys.executable, "-m", "tally.upstreams", "--quiet", *words)
    return Program("upstreams", command, environ, frozenset({2}))


def _worker(environ: Mapping[str, str]) -> Program:
    command = (sys.executable, "-m", "tally", "worker")
    return Program("worker", command, environ, frozenset({UNABLE}))


def _await_api(supervisor: Supervisor, where: str, ready: bool) -> None:
    """Until it answers, and with `ready` until it says that it is ready."""
    while True:
        try:
            supervisor.look()
            with urllib.request.urlopen(f"{where}/readyz", timeout=1.0):
                return
        except GaveUp as error:
            raise Unable(str(error)) from None
        except urllib.error.HTTPError:
            if not ready:
                return
        except OSError:
            pass  # it is not there yet
        time.sleep(0.02)


def _greet(options: Options, where: str, key: str, seconds: float) -> None:
    say(f"{where} after {seconds:.1f} s, stage {options.stage}, {options.workers} API processes")
    if key:
        event = '{"event_id": "e-1", "name": "signup", "at": "\'$(date -u +%FT%TZ)\'"}'
        say(f"customer 1, key {key}")
        say(f"try: curl -H 'X-API-Key: {key}' -d '{event}' {where}/v1/events")


def _row_of_ports(count: int) -> int:
    """The first of so many free ones in a row."""
    for _ in range(50):
        first = free_port()
        if first + count < 65_536 and all(_is_free(first + n) for n in range(1, count)):
            return first
    raise Unable(f"there are no {count} free ports in a row")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _spool(opened: ExitStack, reaper: Reaper, folder: Path | None) -> Path:
    if folder is not None:
        spool = folder.resolve() / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        return spool
    spool = Path(tempfile.mkdtemp(prefix="tally-spool-"))
    reaper.folder(spool)
    opened.callback(shutil.rmtree, spool, ignore_errors=True)
    return spool
