"""What everybody else feels while one call in twenty hangs: shared pool, lane, lane with a deadline.

The incident of `reference/incident`, with its pods: one of them keeps each request for 15 s. Three streams
of an open model ask the same service: calls to healthy pods, calls to the ill one, and a plain function that
calls nobody; so who is affected is known before the answer, and a request that is never answered counts, too.
A witness asks for a route that touches nothing. With `--users` a crowd of 500 asks as well, in the closed
model of the write-up, and is reported without a bar.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.http import get
from benchmarks.support.machine import ROOT, pin, two_cores
from benchmarks.support.pricing import KINDS, SHARE
from benchmarks.support.processes import command, environment
from unstall.load import (
    Crowd,
    Outcome,
    Stream,
    StreamOutcome,
    constant,
    poisson,
    quiet_gc,
    run,
    run_users,
)
from unstall.load import witness as witness_stream
from unstall.model.histogram import Histogram

PODS, HANG_S, DEADLINE_S = 20, 15.0, 2.0
RATE, REPORTS, WITNESS_RATE = 100.0, 20.0, 20.0
USERS, SPAWN_RATE, CROWD_S = 500, 50.0, 300.0
CALM_MS, WITNESS_MS, OLDER = 50.0, 50.0, 1.1
SHARED_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int
    seconds: float
    """Of each variant."""
    drain_s: float
    """For answers after the last request; what has none then is as old as it is."""


FULL = Effort(rounds=3, seconds=60.0, drain_s=20.0)
QUICK = Effort(rounds=1, seconds=11.0, drain_s=3.0)


@contextmanager
def printing(words: list[str], env: dict[str, str]) -> Iterator[str]:
    """The first line that a child prints; it is ended with the block."""
    child = subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"{words} ended with {child.wait(30)}")
        yield line
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@contextmanager
def incident(kind: str, cores: tuple[int | None, int | None]) -> Iterator[int]:
    """The port of a fresh service with fresh pods."""
    env = environment()
    folders = os.pathsep.join((env["PYTHONPATH"], str(ROOT / "reference")))
    hang = ["--pods", str(PODS), "--hang", str(HANG_S)]
    words = [sys.executable, "-m", "incident.downstream", *hang]
    with printing(words, env | {"PYTHONPATH": folders}) as told:
        urls = ",".join(json.loads(told)["urls"])
        with printing(command("pricing", kind, DEADLINE_S, urls, cores[0]), env) as port:
            yield int(port)


async def offered(port: int, effort: Effort, seed: int) -> Outcome:
    await get(port, "/livez")  # returns when the service is up
    seconds = effort.seconds
    streams = [
        Stream("healthy", "GET", "/price", poisson(RATE * (1 - SHARE), seconds, seed)),
        Stream("ill", "GET", "/price?ill=1", poisson(RATE * SHARE, seconds, seed + 1)),
        Stream("reports", "GET", "/report", constant(REPORTS, seconds)),
        witness_stream("/livez", WITNESS_RATE, seconds),
    ]
    base = f"http://127.0.0.1:{port}"
    return await run(base, streams, timeout_s=2 * HANG_S, drain_s=effort.drain_s)


async def crowded(port: int, seconds: float, seed: int) -> Outcome:
    await get(port, "/livez")
    base = f"http://127.0.0.1:{port}"
    crowd = Crowd("users", "/price?draw=1", USERS, SPAWN_RATE, seconds, seed=seed)
    users, watched = await asyncio.gather(
        run_users(base, crowd, timeout_s=seconds, drain_s=HANG_S),
        run(base, [witness_stream("/livez", WITNESS_RATE, seconds)], timeout_s=seconds),
    )
    return users + watched


def unaffected(outcome: Outcome) -> Histogram:
    """Latencies of those that had nothing to do with the ill pod."""
    return outcome["healthy"].latency + outcome["reports"].latency


def oldest_ms(outcome: Outcome) -> float:
    """Of all requests, answered or not."""
    return max(outcome[name].latency.max_ns for name in ("healthy", "ill", "reports")) / 1e6


def ms(latency: Histogram, share: float) -> float:
    return (latency.quantile_ns(share) or 0) / 1e6


def good(streams: list[StreamOutcome]) -> str:
    """Share of what was due that was answered with 200."""
    return f"{sum(s.statuses.get('200', 0) for s in streams) / sum(s.due for s in streams):.1%}"


def row_of(kind: str, outcome: Outcome) -> tuple[str, ...]:
    calm, seen = unaffected(outcome), outcome["witness"].latency
    return (
        kind,
        *(f"{ms(calm, share):.0f}" for share in (0.5, 0.95, 0.99)),
        good([outcome["healthy"], outcome["reports"]]),
        good([outcome["ill"]]),
        f"{oldest_ms(outcome):.0f}",
        f"{ms(seen, 0.99):.1f}",
    )


def bars_of(found: dict[str, Outcome]) -> list[Bar]:
    bars = []
    for kind in ("lane", "deadline"):
        p95, seen = ms(unaffected(found[kind]), 0.95), ms(found[kind]["witness"].latency, 0.99)
        bars.append(
            Bar(f"incident_{kind}_p95", f"{p95:.0f} ms", f"< {CALM_MS:.0f} ms", p95 < CALM_MS)
        )
        goal = f"< {WITNESS_MS:.0f} ms"
        bars.append(Bar(f"incident_{kind}_witness_p99", f"{seen:.1f} ms", goal, seen < WITNESS_MS))
    shared, oldest = ms(unaffected(found["shared"]), 0.95), oldest_ms(found["deadline"])
    bars.append(Bar("incident_shared_p95", f"{shared:.0f} ms", "> 1 s", shared > SHARED_MS))
    most = DEADLINE_S * OLDER * 1e3
    bars.append(
        Bar("incident_deadline_oldest", f"{oldest:.0f} ms", f"<= {most:.0f} ms", oldest <= most)
    )
    late = max(ms(each.lateness, 0.99) for each in found.values())
    punctual = all(each.trustworthy for each in found.values())
    bars.append(Bar("incident_load_late_p99", f"{late:.1f} ms", "<= 25 ms", punctual))
    return bars


def crowd_rows(
    harness: Harness, cores: tuple[int | None, int | None], seconds: float
) -> list[tuple[str, ...]]:
    rows = []
    for kind in KINDS:
        harness.progress(f"{USERS} users, {kind}")
        with incident(kind, cores) as port, quiet_gc():
            outcome = asyncio.run(crowded(port, seconds, harness.seed))
        users, seen = outcome["users"], outcome["witness"].latency
        harness.raw[f"users_{kind}"] = outcome.to_json()
        took = (f"{ms(users.latency, share):.0f}" for share in (0.5, 0.95, 0.99))
        rows.append((kind, *took, str(users.due), good([users]), f"{ms(seen, 0.99):.1f}"))
    return rows


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--users",
        type=float, nargs="?", const=CROWD_S, metavar="SECONDS",
        help=f"a crowd of {USERS}, {SPAWN_RATE:.0f} more a second, as well (default: {CROWD_S:.0f} s)",
    )  # fmt: skip
    harness = Harness(options.parse_args())
    effort = QUICK if harness.quick else FULL
    cores = two_cores()
    pin(cores[1])
    harness.section(
        f"{RATE:.0f} calls a second of which {SHARE:.0%} hang {HANG_S:.0f} s, {effort.seconds:.0f} s each, "
        f"{effort.rounds} rounds in random order; of those unaffected, in ms"
    )
    outcomes: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    for number in range(effort.rounds):
        for kind in harness.chance.sample(KINDS, len(KINDS)):
            harness.progress(f"round {number + 1}: {kind}")
            with incident(kind, cores) as port, quiet_gc():
                outcomes[kind].append(asyncio.run(offered(port, effort, harness.seed + number)))
    found = {kind: reduce(Outcome.__add__, seen) for kind, seen in outcomes.items()}
    harness.raw["outcomes"] = {kind: each.to_json() for kind, each in found.items()}
    heads = ("kind", "p50", "p95", "p99", "good", "good of the ill", "oldest", "witness p99")
    print(table(heads, [row_of(kind, found[kind]) for kind in KINDS]))
    if harness.options.users:
        harness.section(f"{USERS} users who think for 1 to 5 s; every request, in ms")
        asked = ("kind", "p50", "p95", "p99", "asked", "good", "witness p99")
        print(table(asked, crowd_rows(harness, cores, harness.options.users)))
    return harness.finish(bars_of(found))


if __name__ == "__main__":
    sys.exit(main())
