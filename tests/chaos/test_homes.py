"""Proxies in a process of their own: it ends with whoever started it, and says what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.test_chaos import until
from tests.chaos.upstreams import asked, connected, is_reset, serving
from unstall.chaos import Chaos
from unstall.errors import TargetError, UsageError

KILLED = """
import os, signal
from unstall.chaos import Chaos
chaos = Chaos(apart=True).start()
proxy = chaos.proxy("x", "127.0.0.1:1")
print(proxy.address, chaos._home._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _pid(chaos: Chaos) -> int:
    pid = chaos._home._process.pid  # type: ignore[union-attr]
    assert isinstance(pid, int)
    return pid


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def test_it_is_another_process_and_gone_when_it_is_closed() -> None:
    with Chaos(apart=True) as chaos:
        pid = _pid(chaos)
        assert pid != os.getpid()
        assert _is_alive(pid)
    assert not _is_alive(pid)


def test_it_ends_when_its_parent_is_killed() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED], capture_output=True, text=True, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    pid = int(ran.stdout.split()[1])
    until(lambda: not _is_alive(pid))


def test_the_same_exchanges_are_hit_as_on_a_thread() -> None:
    hits = []
    with serving() as upstream:
        for apart in (False, True):
            with Chaos(seed=7, apart=apart) as chaos:
                proxy = chaos.proxy("billing", upstream.address)
                toxic = proxy.add("jitter", jitter=0, probability=0.3)
                with connected(proxy.addresses[0]) as client:
                    seen = [(asked(client, b"x"), toxic.hits)[1] for _ in range(50)]
            hits.append(seen)
    assert hits[0] == hits[1]
    assert 0 < hits[0][-1] < 50


def test_one_that_was_killed_is_told_and_closed_in_peace() -> None:
    with Chaos(apart=True) as chaos:
        proxy = chaos.proxy("x", "127.0.0.1:1")
        os.kill(_pid(chaos), signal.SIGKILL)
        with pytest.raises(
            TargetError, match=r"^the proxies' process \d+ has ended .*: start them"
        ):
            proxy.counts()
    assert "has ended" in chaos.notes[-1]
    assert proxy.counts().exchanges == 0


def test_a_proxy_is_not_asked_on_its_own_thread() -> None:
    told: list[str] = []

    def ask(note: str) -> None:
        try:
            chaos.counts()
        except UsageError as error:
            told.append(str(error))

    with Chaos(on_note=ask) as chaos:
        proxy = chaos.proxy("GONE", "127.0.0.1:1")
        assert is_reset(proxy.addresses[0])
        until(lambda: bool(told))
    assert told[0].startswith("a proxy was asked on its own thread")
