"""Traffic on the reference service while its processes are killed, and what the database has of it then."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment
from tally.settings import Settings
from tally.stack import Stack
from tests.reference.tally.crowd import Counted, Crowd, counted

CUSTOMER = 1
"""Of `tally serve --demo`."""
BILLED_S = 120.0
"""In which the worker must have told billing of everything; what a killed one claimed rests for a minute."""
_WORDS = {"api": "tally.api", "worker": "tally worker"}


@dataclass(frozen=True, slots=True)
class Survived:
    kills: dict[str, int]
    acknowledged: int
    lost: int
    """Acknowledged and not in the database."""
    found: Counted
    billed: int
    """Events that billing has booked."""

    @property
    def twice(self) -> int:
        """By how much anything counts more or less than what is stored."""
        found = self.found
        numbers = (len(found.stored), found.minutes, found.hours, found.usage, self.billed)
        return max(abs(found.rows - number) for number in numbers)


@contextmanager
def upstreams(database_url: str) -> Iterator[dict[str, list[str]]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tally.upstreams"],
        cwd=ROOT, env={**environment(), "DATABASE_URL": database_url}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        found: dict[str, list[str]] = json.loads(child.stdout.readline())
        yield found
    finally:
        child.terminate()
        child.wait(30)
        child.stdout.close()


def survived(
    serving: Callable[[dict[str, str]], Iterator[tuple[int, int]]],
    key: str,
    kills: int,
    chance: random.Random,
) -> Survived:
    """`serving` is given an environment, and gives a process and a port."""
    killed = dict.fromkeys(("api", "worker", "postgresql"), 0)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "stack") as stack:
        assert stack.postgres is not None
        settings = Settings(stack.database_url, stack.redis_url)
        with upstreams(stack.database_url) as urls:
            environ = {f"{name.upper()}_URL": ",".join(pods) for name, pods in urls.items()}
            environ |= {"DATABASE_URL": stack.database_url, "REDIS_URL": stack.redis_url}
            with contextmanager(serving)(environ) as (pid, port):
                crowd = Crowd(port, key, stays=True)
                for _ in range(kills):
                    crowd.until_enough()
                    victim = chance.choice(sorted(killed))
                    killed[victim] += 1
                    if victim == "postgresql":
                        stack.postgres.kill()
                        stack.postgres.start()
                    else:
                        _kill(pid, _WORDS[victim], chance)
                crowd.until_enough()
                crowd.end()
                booked = billed(urls["billing"][0], settings)
        found = counted(settings, CUSTOMER)
    return Survived(killed, len(crowd.ids), len(crowd.ids - found.stored), found, booked)


def billed(url: str, settings: Settings) -> int:
    """What billing has booked, when that is all, or when the time is over."""
    until = time.monotonic() + BILLED_S
    while True:
        with urllib.request.urlopen(f"{url}/v1/usage/{CUSTOMER}") as answer:
            booked = int(json.loads(answer.read())["events"])
        if booked >= counted(settings, CUSTOMER).usage or time.monotonic() > until:
            return booked
        time.sleep(0.5)


def _kill(parent: int, words: str, chance: random.Random) -> None:
    """One of the processes below `parent` whose command has these words."""
    victims = [pid for pid, command in below(parent) if words in command]
    if victims:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)


def below(parent: int) -> Iterator[tuple[int, str]]:
    """Children and theirs, with their commands."""
    with suppress(OSError):
        tasks = Path(f"/proc/{parent}/task").iterdir()
        for child in " ".join((task / "children").read_text() for task in tasks).split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            yield int(child), command
            yield from below(int(child))
