"""What a guard saves under overload, what it costs without, and how fast JSON is scanned.

Offered load at 0.5 to 10 times what a service can do, with and without `Guard`: how many answers come
within the second that clients wait. The first seconds of each load are not counted. Nobody can refuse whom
the loop has not taken in, and uvloop takes one new connection a turn: a service that computes on it with
turns of 100 ms lets clients give up at its door, so it is shown on both loops and judged on asyncio's. Then
comes a no-op route at saturation, with the guard taken in and out in one process, and then the scanner beside
`json.loads` on texts of several shapes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.guarded import COMPUTE_S, SLOTS, WAIT_S
from benchmarks.support.harness import Harness, parser
from benchmarks.support.http import get
from benchmarks.support.machine import ROOT, pin, two_cores
from benchmarks.support.offered import Offered, connected, offer, saturate
from benchmarks.support.processes import command, environment
from benchmarks.support.statistics import Interval, median_interval, quantile
from unstall.guard.json_scan import SLICE, JsonLimits, JsonScan

PATIENCE_S = 1.0
CAPACITY = {"pool": SLOTS / WAIT_S, "loop": 0.9 / COMPUTE_S, "uvloop": 0.9 / COMPUTE_S}
"""Requests a second; of those that compute a tenth is left for HTTP."""
JUDGED = ("pool", "loop")
KEPT, COST, SPEED, HELD_MS = 0.9, 0.03, 150.0, 5.0


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int
    times: tuple[float, ...]
    """Offered loads, as multiples of what the service can do; 10 is among them."""
    warm_s: float
    """Of each load before it counts."""
    seconds: float
    """Of each load that counts."""
    pairs: int
    requests: int
    """In a window of the cost."""
    scans: int


FULL = Effort(5, (0.5, 1.0, 2.0, 5.0, 10.0), 3.0, 10.0, pairs=300, requests=1_000, scans=15)
QUICK = Effort(1, (1.0, 10.0), 1.0, 1.5, pairs=20, requests=400, scans=2)


@contextmanager
def guarded(kind: str, guard: str, core: int | None) -> Iterator[int]:
    """The port of a fresh service."""
    process = subprocess.Popen(
        command("guarded", kind, guard, core),
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {kind} service ended with {process.wait(30)}")
        yield int(line)
    finally:
        process.kill()  # its backlog is of no interest
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


# --- goodput ----------------------------------------------------------------------------------


async def load(port: int, rate: float, effort: Effort) -> Offered:
    await get(port, "/work")  # returns when the service is up
    return await offer(port, rate, effort.seconds, PATIENCE_S, effort.warm_s)


Key = tuple[str, str, float]


def goodput(harness: Harness, effort: Effort, cores: tuple[int | None, int | None]) -> list[Bar]:
    harness.section(
        f"Goodput, answers in {PATIENCE_S:g} s for each second of {effort.seconds:g}: "
        f"{effort.rounds} rounds in random order"
    )
    found: dict[Key, list[Offered]] = {}
    for _ in range(effort.rounds):
        order = [
            (kind, guard, times)
            for kind in CAPACITY
            for guard in ("off", "on")
            for times in effort.times
        ]
        harness.chance.shuffle(order)
        for kind, guard, times in order:
            harness.progress(f"{kind} guard {guard} at {times:g}")
            with guarded(kind, guard, cores[0]) as port:
                seen = uvloop.run(load(port, CAPACITY[kind] * times, effort))
            found.setdefault((kind, guard, times), []).append(seen)
    harness.raw["offered"] = [[*key, *map(asdict, seen)] for key, seen in found.items()]
    rates = {key: rate_of(seen, effort.seconds) for key, seen in found.items()}
    rows = [row_of(key, found[key], rates[key]) for key in sorted(found)]
    print(table(("service", "guard", "load", "goodput", "refused", "p99 of good"), rows, left=2))
    bars = []
    for kind in JUDGED:
        peak = {
            guard: max(rates[kind, guard, times].median for times in effort.times)
            for guard in ("on", "off")
        }
        kept = {guard: rates[kind, guard, 10.0].median / peak[guard] for guard in ("on", "off")}
        name = f"goodput_{kind}_10x"
        bars.append(
            Bar(name, f"{kept['on']:.0%} of the peak", f">= {KEPT:.0%}", kept["on"] >= KEPT)
        )
        bars.append(
            Bar(f"{name}_without", f"{kept['off']:.0%} of the peak", "falls", kept["off"] < KEPT)
        )
    return bars


def rate_of(seen: list[Offered], seconds: float) -> Interval:
    return median_interval([each.good / seconds for each in seen])


def row_of(key: Key, seen: list[Offered], rate: Interval) -> tuple[str, ...]:
    kind, guard, times = key
    due, refused = sum(each.due for each in seen), sum(each.refused for each in seen)
    took = [seconds for each in seen for seconds in each.good_s]
    p99 = f"{quantile(took, 0.99) * 1e3:.0f} ms" if took else "-"
    return (
        kind,
        guard,
        f"{times:g} x",
        rate.text(lambda v: f"{v:.0f}/s"),
        f"{refused / due:.0%}",
        p99,
    )


# --- cost -------------------------------------------------------------------------------------


async def windows(harness: Harness, port: int, effort: Effort) -> list[tuple[float, float]]:
    """Microseconds of the server's CPU time a request, without and with, in neighbouring windows."""
    await get(port, "/work")
    clients = [await connected(port) for _ in range(32)]
    await saturate(clients, effort.requests)
    pairs: list[tuple[float, float]] = []
    for _ in range(effort.pairs):
        cost: dict[str, float] = {}
        for state in harness.chance.sample(("off", "on"), 2):
            await get(port, f"/guard/{state}")
            before = (await get(port, "/cpu"))["us"]
            statuses = await saturate(clients, effort.requests)
            used = (await get(port, "/cpu"))["us"] - before
            if set(statuses) != {200}:
                raise RuntimeError(f"with the guard {state} the answers were {dict(statuses)}")
            cost[state] = used / effort.requests
        pairs.append((cost["off"], cost["on"]))
    return pairs


def cost(harness: Harness, effort: Effort, cores: tuple[int | None, int | None]) -> list[Bar]:
    harness.section(f"Cost on a no-op route, CPU a request: {effort.pairs} pairs of windows")
    with guarded("noop", "switched", cores[0]) as port:
        pairs = uvloop.run(windows(harness, port, effort))
    harness.raw["cost_us"] = pairs
    without, added = (
        median_interval([off for off, _ in pairs]),
        median_interval([on - off for off, on in pairs]),
    )
    more = median_interval([on / off - 1 for off, on in pairs])
    print(f"without {without.text(micro)} us, the guard adds {added.text(micro)} us")
    return [Bar("guard_cost", more.text(share), f"< {COST:.0%}", more.median < COST)]


# --- the scanner ------------------------------------------------------------------------------


def texts() -> dict[str, bytes]:
    record = {
        "id": 12_345, "name": "Ada Lovelace", "mail": "ada@example.com", "score": 0.61803398875,
        "tags": ["a", "bb", "ccc"], "address": {"city": "Paris", "zip": "75001"}, "active": True,
    }  # fmt: skip
    event = {"message": "the quick brown fox " * 20, "level": "info", "at": "2025-11-21T10:00:00Z"}
    return {
        "numbers": json.dumps([n * 0.618 for n in range(60_000)]).encode(),
        "records": json.dumps([record] * 6_000).encode(),
        "records, compact": json.dumps([record] * 6_000, separators=(",", ":")).encode(),
        "logs": json.dumps([event] * 2_000).encode(),
        "escapes": json.dumps(['a\n"b"\\'] * 60_000).encode(),
        "keys of one object": json.dumps({f"key-{n}": n for n in range(60_000)}).encode(),
        "empty strings": b"[" + b",".join([b'""'] * 300_000) + b"]",
        "small lists": json.dumps([[1], [2]] * 60_000).encode(),
    }


def scanned(text: bytes, limits: JsonLimits) -> tuple[float, float]:
    """MB/s, and the longest slice in ms, by the CPU time of this thread."""
    scan = JsonScan(limits)
    longest = 0
    begun = time.thread_time_ns()
    for at in range(0, len(text), SLICE):
        before = time.thread_time_ns()
        if scan.feed(text[at : at + SLICE]) is not None:
            raise RuntimeError("a text of the benchmark exceeds its limits")
        longest = max(longest, time.thread_time_ns() - before)
    if scan.end() is not None:
        raise RuntimeError("a text of the benchmark exceeds its limits")
    return len(text) / max(1, time.thread_time_ns() - begun) * 1e3, longest / 1e6


def parsed(text: bytes) -> float:
    begun = time.thread_time_ns()
    json.loads(text)
    return len(text) / max(1, time.thread_time_ns() - begun) * 1e3


def scanner(harness: Harness, effort: Effort) -> list[Bar]:
    harness.section(f"The scanner, MB/s of CPU time: {effort.scans} times in random order")
    loose = JsonLimits(items=10_000_000, duplicate_keys=True)
    strict = JsonLimits(items=10_000_000)
    speeds: dict[tuple[str, str], list[float]] = {}
    held = 0.0
    for _ in range(effort.scans):
        order = list(texts().items())
        harness.chance.shuffle(order)
        for name, text in order:
            for way, limits in (("scan", strict), ("scan, keys not looked at", loose)):
                speed, longest = scanned(text, limits)
                speeds.setdefault((name, way), []).append(speed)
                held = max(held, longest)
            speeds.setdefault((name, "json.loads"), []).append(parsed(text))
    harness.raw["scan"] = [[*key, *values] for key, values in speeds.items()]
    ways = ("scan", "scan, keys not looked at", "json.loads")
    medians = {key: median_interval(values) for key, values in speeds.items()}
    rows = [(name, *(medians[name, way].text(whole) for way in ways)) for name in texts()]
    print(table(("text", *ways), rows))
    slowest = min(texts(), key=lambda name: medians[name, "scan"].median)
    figure = f"{medians[slowest, 'scan'].median:.0f} MB/s ({slowest})"
    return [
        Bar(
            "scan_slowest", figure, f">= {SPEED:.0f} MB/s", medians[slowest, "scan"].median >= SPEED
        ),
        Bar("scan_slice", f"{held:.2f} ms at most", f"< {HELD_MS:.0f} ms", held < HELD_MS),
    ]


def micro(value: float) -> str:
    return f"{value:.1f}"


def whole(value: float) -> str:
    return f"{value:.0f}"


def share(value: float) -> str:
    return f"{value:.1%}"


def main() -> int:
    harness = Harness(parser(__doc__).parse_args())
    effort = QUICK if harness.quick else FULL
    cores = two_cores()
    pin(cores[1])
    bars = scanner(harness, effort)
    bars += cost(harness, effort, cores)
    bars += goodput(harness, effort, cores)
    return harness.finish(bars)


if __name__ == "__main__":
    sys.exit(main())
