"""`unstall prove` for each stage, and the ground that all of them stand on."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tally.demo.plan import plan_for
from tally.demo.told import PODS, Played
from tally.errors import Unable
from tally.settings import Settings
from tally.stack.processes import Reaper, mortal, start, stop

UPSTREAMS_S = 20.0
ENDING_S = 25.0
"""How long a run that was interrupted may take to end what it started."""
PLAYED = frozenset({0, 1, 3})
"""Exit codes of `unstall prove` with a verdict behind them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    stages: Sequence[str]
    output: Path
    seconds: float | None
    """Of load in each phase; None: as the plan has it."""
    rate: float | None
    """Events a second; None: as the plan has it."""


def play(wanted: Wanted, environ: Mapping[str, str]) -> list[Played]:
    with ExitStack() as opened:
        reaper = opened.enter_context(Reaper())
        folder = Path(tempfile.mkdtemp(prefix="tally-demo-"))
        reaper.folder(folder)
        opened.callback(shutil.rmtree, folder, ignore_errors=True)
        plan = plan_for(wanted.seconds, wanted.rate, folder)
        ground = opened.enter_context(_ground(reaper, folder, environ))
        played = []
        for number, stage in enumerate(wanted.stages, 1):
            say(
                f"{stage}, {number} of {len(wanted.stages)}: all well, then one pod of billing hangs"
            )
            played.append(
                _prove(stage, plan, wanted.output, {**ground, "TALLY_STAGE": stage}, reaper)
            )
        return played


@contextmanager
def _ground(reaper: Reaper, folder: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment of an API that finds everything it needs."""
    from tally.schema.migrate import to
    from tally.schema.seed import customer
    from tally.stack import Stack, StackError

    say("starting PostgreSQL, Valkey, and three pods each of auth, billing and flags")
    with ExitStack() as opened:
        try:
            stack = opened.enter_context(Stack())
        except StackError as error:  # somebody's own database is not for this
            raise Unable(str(error).removesuffix(", or set DATABASE_URL")) from None
        if stack.without:
            say(f"works without a cache: {stack.without}")
        beside = str(Path(sys.executable).parent)
        variables = {
            **environ,
            "DATABASE_URL": stack.database_url,
            "REDIS_URL": stack.redis_url,
            "TALLY_SPOOL": str(folder / "spool"),
            "TALLY_DEMO_KEY": f"tally-{secrets.token_urlsafe(12)}",
            # The plan says `tally serve`: that of this environment.
            "PATH": os.pathsep.join((beside, environ.get("PATH", os.defpath))),
        }
        settings = Settings.from_environ(variables)
        to(settings)
        customer(settings, 1, "demo", variables["TALLY_DEMO_KEY"])
        yield {**variables, **opened.enter_context(_upstreams(reaper, folder, variables))}


@contextmanager
def _upstreams(
    reaper: Reaper, folder: Path, environ: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    ready, log = folder / "upstreams.json", folder / "upstreams.log"
    words = ("-m", "tally.upstreams", "--quiet", "--pods", str(PODS), "--ready-file", str(ready))
    process = start([*mortal(), sys.executable, *words], log, environ=environ)
    reaper.child(process.pid)
    try:
        until = time.monotonic() + UPSTREAMS_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise Unable(
                    f"the upstreams do not start: {log.read_text(errors='replace').strip()}"
                )
            time.sleep(0.02)
        urls = json.loads(ready.read_text())
        yield {f"{name.upper()}_URL": ",".join(pods) for name, pods in urls.items()}
    finally:
        stop(process, (signal.SIGTERM,))
        reaper.gone(process.pid)


def _prove(
    stage: str, plan: Path, output: Path, environ: Mapping[str, str], reaper: Reaper
) -> Played:
    """Its progress goes where ours goes. Raises `Unable`."""
    kept, said = output / f"{stage}.json", output / f"{stage}.txt"
    kept.unlink(missing_ok=True)
    words = ("-m", "unstall", "prove", str(plan), "--json", str(kept))
    with said.open("wb") as text:
        # Ctrl-C is ours to pass on, once: told twice, it would break off what it ends.
        process = subprocess.Popen(
            [*mortal(), sys.executable, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=text,
            start_new_session=True,
        )
        reaper.child(process.pid)
        try:
            code = process.wait()
        finally:
            _end(process)
            reaper.gone(process.pid)
    if code not in PLAYED or not kept.exists():
        raise Unable(
            f"unstall prove of the {stage} stage ended with code {code}: its words are above"
        )
    return Played(stage, json.loads(kept.read_text()), said.read_text())


def _end(process: subprocess.Popen[bytes]) -> None:
    """It has children to end first."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)
        stop(process, (signal.SIGKILL,))


def page_of(wanted: Wanted) -> Path | None:
    """Two of the runs side by side; None if one of them was not played."""
    if not {"blocking", "async"} <= set(wanted.stages):
        return None
    page = wanted.output / "blocking-async.html"
    page.unlink(missing_ok=True)
    runs = (str(wanted.output / "async.json"), "--before", str(wanted.output / "blocking.json"))
    words = ("-m", "unstall", "report", *runs, "--format", "html", "--output", str(page))
    done = subprocess.run(
        [sys.executable, *words], check=False, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if not page.exists():
        raise Unable(f"the page was not written: {done.stderr.decode(errors='replace').strip()}")
    return page


def say(words: str) -> None:
    print(f"tally: {words}", file=sys.stderr, flush=True)
