"""What a proxy of `unstall chaos` adds to an exchange, how many pass through it, and whether it counts them.

A real Valkey answers PING. One connection that asks again as soon as it has its answer shows what is added;
32 of them show how many exchanges a second a proxy passes on. The proxy has a core of its own, client and
server share the other. Beside it: no proxy, the same proxy throwing dice for each exchange, and a proxy as
one writes it with asyncio's streams. toxiproxy needs Go and is not measured.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1] / "reference/tally/src")
)  # tests need it
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import ROOT, cpu_ns, pin, two_cores
from benchmarks.support.statistics import median_interval, quantile
from tests.support.valkey import running_valkey
from unstall.chaos import Chaos

PROXY_CORE, CLIENT_CORE = two_cores()
ADDED_MS, EXCHANGES = 0.3, 20_000
QUESTION, ANSWER = b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"
CONNECTIONS = 32
DIRECT, CHAOS, DICE, STREAMS = (
    "no proxy", "unstall chaos", "unstall chaos, dice thrown", "asyncio streams",
)  # fmt: skip
INSIDE, APART = "Chaos(), same process", "Chaos(apart=True)"
DICE_ARGS = ("--toxic", "jitter:jitter=0", "--probability", "0.05", "--seed", "1")


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int
    asked: int
    """Exchanges one after the other, in each round."""
    seconds: float
    """Of saturation, in each round."""


FULL = Effort(rounds=15, asked=4_000, seconds=3.0)
QUICK = Effort(rounds=5, asked=1_500, seconds=0.8)


@dataclass(slots=True)
class Seen:
    """Of one contender, by round."""

    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    """CPU time of the proxy for one exchange."""
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Contender:
    address: tuple[str, int]
    pid: int | None = None


def latencies(address: tuple[str, int], number: int) -> list[float]:
    """Milliseconds of exchanges on one connection, one after the other."""
    took = []
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(number):
            before = time.perf_counter_ns()
            connection.sendall(QUESTION)
            if connection.recv(64) != ANSWER:
                raise RuntimeError("another answer came: the figure means nothing")
            took.append((time.perf_counter_ns() - before) / 1e6)
    return took


def answered(address: tuple[str, int], seconds: float) -> tuple[int, float]:
    """Exchanges on many connections, each asking again at once, and the seconds they took."""
    with ExitStack() as stack:
        by_number = {}
        poll = stack.enter_context(select.epoll())
        for _ in range(CONNECTIONS):
            each = stack.enter_context(socket.create_connection(address))
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            by_number[each.fileno()] = each
            poll.register(each.fileno(), select.EPOLLIN)
        began = time.monotonic()
        until, count, asking = began + seconds, 0, True
        for each in by_number.values():
            each.send(QUESTION)
        waiting = len(by_number)
        while waiting:
            for number, _ in poll.poll():
                each = by_number[number]
                if each.recv(64) != ANSWER:
                    raise RuntimeError("another answer came: the figure means nothing")
                count += 1
                if asking:
                    each.send(QUESTION)
                else:
                    waiting -= 1
            asking = time.monotonic() < until
        return count, time.monotonic() - began


@contextmanager
def proxied(*command: object) -> Iterator[tuple[Contender, list[str]]]:
    """A proxy in a process of its own; what it prints in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said: list[str] = []
    try:
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"{command[0]} did not start")
        if PROXY_CORE is not None:
            os.sched_setaffinity(process.pid, {PROXY_CORE})
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {PROXY_CORE})
        yield Contender(("127.0.0.1", int(found[1])), process.pid), said
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        said.append(out)


def round_of(seen: Seen, contender: Contender, effort: Effort) -> None:
    took = latencies(contender.address, effort.asked)
    seen.p50_ms.append(quantile(took, 0.5))
    seen.p99_ms.append(quantile(took, 0.99))
    before = cpu_ns(contender.pid) if contender.pid is not None else 0
    count, seconds = answered(contender.address, effort.seconds)
    if contender.pid is not None:
        seen.cpu_us.append((cpu_ns(contender.pid) - before) / count / 1e3)
    seen.rate.append(count / seconds)
    seen.asked += len(took) + count


def measured(harness: Harness, effort: Effort) -> tuple[dict[str, Seen], dict[str, str]]:
    """What was seen of each, and what the proxies counted."""
    told: dict[str, list[str]] = {}
    with ExitStack() as stack:
        valkey = stack.enter_context(running_valkey())
        if CLIENT_CORE is not None:
            os.sched_setaffinity(valkey.pid, {CLIENT_CORE})
        to = f"127.0.0.1:{valkey.port}"
        contenders = {DIRECT: Contender((valkey.host, valkey.port))}
        for name, command in {
            CHAOS: ("unstall", "chaos", "--upstream", to),
            DICE: ("unstall", "chaos", "--upstream", to, *DICE_ARGS),
            STREAMS: ("benchmarks.support.plain_proxy", valkey.port, PROXY_CORE),
        }.items():
            contenders[name], told[name] = stack.enter_context(proxied(*command))
        chaos = stack.enter_context(Chaos())
        inside = chaos.proxy("inside", to)
        contenders[INSIDE] = Contender(inside.addresses[0])
        pin(CLIENT_CORE)
        seen = {name: Seen() for name in contenders}
        for number in range(effort.rounds):
            for name in harness.chance.sample(list(contenders), len(contenders)):
                round_of(seen[name], contenders[name], effort)
            harness.progress(f"round {number + 1} of {effort.rounds}")
    return seen, {name: "".join(lines) for name, lines in told.items()}


def crowded(harness: Harness, effort: Effort) -> dict[str, list[list[float]]]:
    """p50 and p99 of a client elsewhere, while a thread computes in the process that began the proxies."""
    seen: dict[str, list[list[float]]] = {INSIDE: [], APART: []}
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(1_000))

    with ExitStack() as stack:
        valkey = stack.enter_context(running_valkey())
        apart, inside = (stack.enter_context(Chaos(apart=each)) for each in (True, False))
        to = f"127.0.0.1:{valkey.port}"
        addresses = {
            APART: apart.proxy("apart", to).addresses[0],
            INSIDE: inside.proxy("inside", to).addresses[0],
        }
        spawned = multiprocessing.get_context("spawn")
        client = stack.enter_context(ProcessPoolExecutor(1, mp_context=spawned))
        client.submit(latencies, addresses[APART], 10).result()
        thread = threading.Thread(target=compute)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        for _ in range(effort.rounds):
            for name in harness.chance.sample(list(addresses), 2):
                took = client.submit(latencies, addresses[name], effort.asked // 20).result()
                seen[name].append([quantile(took, 0.5), quantile(took, 0.99)])
    return seen


def counted(text: str) -> int:
    found = re.search(r"([\d,]+) exchanges", text)
    return int(found[1].replace(",", "")) if found else -1


def main() -> int:
    harness = Harness(parser(__doc__).parse_args())
    effort = QUICK if harness.quick else FULL
    harness.section(
        f"PING through each, {effort.rounds} rounds: 1 connection for ms, {CONNECTIONS} for the rate"
    )
    seen, told = measured(harness, effort)
    harness.raw["seen"] = {
        name: {"p50_ms": s.p50_ms, "p99_ms": s.p99_ms, "rate": s.rate, "cpu_us": s.cpu_us}
        for name, s in seen.items()
    }
    added = {
        name: median_interval(
            [there - here for there, here in zip(s.p50_ms, seen[DIRECT].p50_ms, strict=True)]
        )
        for name, s in seen.items()
    }
    rates = {name: median_interval(s.rate) for name, s in seen.items()}
    rows = [
        (
            name,
            median_interval(s.p50_ms).text("{:.3f}".format),
            median_interval(s.p99_ms).text("{:.3f}".format),
            "" if name == DIRECT else added[name].text("{:.3f}".format),
            rates[name].text("{:,.0f}".format),
            f"{median_interval(s.cpu_us).median:.1f}" if s.cpu_us else "",
        )
        for name, s in seen.items()
    ]
    print(table(("", "p50 ms", "p99 ms", "p50 added", "exchanges/s", "CPU us each"), rows))
    busy = crowded(harness, effort)
    harness.raw["crowded"] = busy
    harness.section("The same beside a thread that computes in Python, reported and not judged")
    print(
        table(
            ("", "p50 ms", "p99 ms"),
            [
                (
                    name,
                    *(
                        median_interval([r[n] for r in rounds]).text("{:.3f}".format)
                        for n in (0, 1)
                    ),
                )
                for name, rounds in busy.items()
            ],
        )
    )
    sent = seen[CHAOS].asked, seen[DICE].asked
    heard = counted(told[CHAOS]), counted(told[DICE])
    print(f"\nsent {sent[0]:,} and {sent[1]:,}; counted {heard[0]:,} and {heard[1]:,}")
    return harness.finish(
        [
            Bar(
                "chaos_added_p50_ms", added[CHAOS].text("{:.3f}".format), f"<= {ADDED_MS:g}",
                added[CHAOS].median <= ADDED_MS,
            ),
            Bar(
                "chaos_exchanges_per_s", rates[CHAOS].text("{:,.0f}".format), f">= {EXCHANGES:,}",
                rates[CHAOS].median >= EXCHANGES,
            ),
            Bar(
                "chaos_counts_exact", f"{sum(heard):,} of {sum(sent):,}", "all", sent == heard,
            ),
        ]
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
