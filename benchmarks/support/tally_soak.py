"""The reference service under faults of everything it needs: is anything lost, or kept for good?"""

from __future__ import annotations

import random
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.support.tally_killed import CUSTOMER, Survived, below, billed, upstreams
from tally.settings import Settings
from tally.stack import Stack
from tally.stack.processes import free_port
from tests.reference.tally.crowd import Crowd, counted
from unstall.chaos import Chaos, Proxy

TURN_S, ILL_S = 8.0, 5.0
"""Each turn something is ill for a while, and then all is well."""
QUIET_S = 60.0
"""In which everything that was taken must be given back."""
QUERY_S = 0.05

Serving = Callable[[Mapping[str, str]], Iterator[tuple[int, int]]]
Ill = tuple[str, dict[str, Any]]

HTTP: tuple[Ill, ...] = (
    ("hang", {"seconds": 15.0, "probability": 0.5}),
    ("latency", {"latency": 300, "jitter": 200}),
    ("reset_peer", {"probability": 0.5}),
    ("down", {"per": "connection"}),
)
TCP: tuple[Ill, ...] = (
    ("latency", {"latency": 50, "jitter": 30, "per": "connection"}),
    ("reset_peer", {"probability": 0.5, "per": "connection"}),
    ("timeout", {"timeout": 0, "per": "connection"}),
    ("down", {"per": "connection"}),
)


@dataclass(frozen=True, slots=True)
class Soaked:
    faults: Counter[str]
    """By upstream and kind."""
    refused: int
    queries: Counter[int]
    """Answers by status; 0 is none."""
    mistakes: int
    """Answers with 500, requests without one, and clients that ended because of it."""
    stored: Survived
    grown: float
    """The largest factor by which the memory of a process that lived on was more in the last quarter than in
    the second."""
    ended: int
    """Processes that did not live on."""
    kept: tuple[str, ...]
    """Metrics of what was not given back."""


def soaked(serving: Serving, key: str, seconds: float, chance: random.Random) -> Soaked:
    """`serving` is given an environment, and gives a process and a port."""
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "stack") as stack:
        assert stack.postgres is not None
        settings = Settings(stack.database_url, stack.redis_url)
        with (
            upstreams(stack.database_url) as urls,
            Chaos(chance.getrandbits(32), apart=True) as chaos,
        ):
            environ, proxies = _behind(chaos, stack, urls)
            metrics = free_port()
            environ["UNSTALL_METRICS_PORT"] = str(metrics)
            with contextmanager(serving)(environ) as (pid, port):
                crowd = Crowd(port, key, stays=True)
                asking = Asking(port, key)
                memory = Memory(pid)
                for each in (asking, memory):
                    each.start()
                faults = _turns(proxies, seconds, chance)
                crowd.until_enough()
                for thread in (asking, memory):
                    thread.stop.set()
                    thread.join(60)
                mistakes = asking.statuses[500] + asking.statuses[0]
                mistakes += sum(not each.is_alive() for each in crowd.senders)
                crowd.end()
                kept = _kept(metrics)
                booked = billed(urls["billing"][0], settings)
        found = counted(settings, CUSTOMER)
    stored = Survived({}, len(crowd.ids), len(crowd.ids - found.stored), found, booked)
    refused = sum(each.refused for each in crowd.senders)
    return Soaked(
        faults, refused, asking.statuses, mistakes, stored,
        memory.grown(), memory.ended(), tuple(kept),
    )  # fmt: skip


def _behind(
    chaos: Chaos, stack: Stack, urls: Mapping[str, list[str]]
) -> tuple[dict[str, str], dict[str, tuple[Proxy, tuple[Ill, ...]]]]:
    """The environment of a service that reaches all through proxies, and the proxies with their ills."""
    environ: dict[str, str] = {}
    proxies: dict[str, tuple[Proxy, tuple[Ill, ...]]] = {}
    wanted = {f"{name.upper()}_URL": (pods, HTTP) for name, pods in urls.items()}
    wanted["DATABASE_URL"] = [stack.database_url], TCP
    wanted["REDIS_URL"] = [stack.redis_url], TCP
    for name, (addresses, ills) in wanted.items():
        proxy = chaos.proxy(name, [_place(url) for url in addresses])
        proxies[name] = proxy, ills
        environ[name] = ",".join(
            _moved(url, place[1]) for url, place in zip(addresses, proxy.addresses, strict=True)
        )
    return environ, proxies


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}127.0.0.1:{port}").geturl()


def _turns(
    proxies: Mapping[str, tuple[Proxy, tuple[Ill, ...]]], seconds: float, chance: random.Random
) -> Counter[str]:
    """Every upstream has its turn with every ill, in an order that is thrown, until the time is over."""
    faults: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        round_ = [(name, ill) for name, (_, ills) in proxies.items() for ill in ills]
        chance.shuffle(round_)
        for name, (kind, given) in round_:
            if time.monotonic() >= until:
                break
            toxic = proxies[name][0].add(kind, **given)
            time.sleep(ILL_S)
            toxic.remove()
            time.sleep(TURN_S - ILL_S)
            faults[f"{name} {kind}"] += 1
    return faults


class Asking(threading.Thread):
    """Asks for metrics again and again."""

    def __init__(self, port: int, key: str) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.statuses: Counter[int] = Counter()
        path = "/v1/metrics?name=killed&dimensions=country"
        self._request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"X-API-Key": key}
        )

    def run(self) -> None:
        while not self.stop.wait(QUERY_S):
            try:
                with urllib.request.urlopen(self._request, timeout=30) as answer:
                    self.statuses[answer.status] += 1
            except urllib.error.HTTPError as error:
                self.statuses[error.code] += 1
                error.close()
            except OSError:
                self.statuses[0] += 1


class Memory(threading.Thread):
    """Looks at the processes of API and worker once a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self._pid = pid
        self._bytes: defaultdict[int, list[int]] = defaultdict(list)
        self._looks = 0

    def run(self) -> None:
        while not self.stop.wait(1.0):
            self._looks += 1
            for pid, command in below(self._pid):
                if "tally.api --one" in command or "tally worker" in command:
                    with suppress(OSError, StopIteration):
                        self._bytes[pid].append(_resident(pid))

    def grown(self) -> float:
        lived = [each for each in self._bytes.values() if len(each) >= max(4, self._looks * 0.9)]
        return max((_growth(each) for each in lived), default=float("inf"))

    def ended(self) -> int:
        return sum(len(each) < self._looks * 0.9 for each in self._bytes.values())


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def _growth(sizes: list[int]) -> float:
    quarter = len(sizes) // 4
    return statistics.median(sizes[-quarter:]) / statistics.median(sizes[quarter : 2 * quarter])


# --- what was not given back -----------------------------------------------------------------------

GIVEN_BACK: Mapping[str, float] = {
    "unstall_lane_queue": 0,
    "unstall_lane_running": 0,
    "unstall_lane_abandoned": 0,
    "unstall_guard_in_flight": 0,
    "unstall_guard_queue": 0,
    "db_client_connection_pending_requests": 0,
    'db_client_connection_count{pool="httpx2",state="used"}': 0,
    'db_client_connection_count{pool="tally",state="used"}': 1,  # the writer keeps one
}
"""What each may be when nobody asks for anything."""


def _kept(port: int) -> list[str]:
    """Lines of the metrics that say more, when that does not change any more."""
    until = time.monotonic() + QUIET_S
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if _is_more(line)]
        if not any(line.startswith("unstall_guard_in_flight") for line in lines):
            raise RuntimeError("the metrics do not tell what is in flight")
        if not found or time.monotonic() > until:
            return found
        time.sleep(1.0)


def _is_more(line: str) -> bool:
    name, _, value = line.rpartition(" ")
    for wanted, most in GIVEN_BACK.items():
        metric, _, labels = wanted.partition("{")
        if name.partition("{")[0] == metric:
            each = [label for label in labels.rstrip("}").split(",") if label]
            if all(label in name for label in each):
                return float(value) > most
    return False
