"""The reference service in its three stages: how much each takes in, and what the last one promises.

Database (fsync on), cache, upstreams (5 ms an answer), worker and generator share the machine with the API.
Rates of stages are of a closed loop of 64 connections on one API process; everything else is an open model,
where latency counts from when a request was due.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.machine import ROOT
from benchmarks.support.processes import command, environment
from benchmarks.support.tally_killed import survived
from benchmarks.support.tally_soak import soaked
from unstall.load import (
    Outcome,
    Stream,
    StreamOutcome,
    constant,
    quiet_gc,
    run,
    run_on_best,
    stepped,
)
from unstall.model.histogram import Histogram
from unstall.model.plan import Stage
from unstall.prove.processes import free_port

KEY = "benchmark-key"
STAGES = ("blocking", "offloaded", "async")
CONNECTIONS = 64
OPEN_CONNECTIONS = 1_000
BATCH = 50
BLOCKING_TIMES, OFFLOADED_TIMES = 30.0, 8.0
RATE, RATE_P95_MS = 6_000.0, 150.0
STEADY, BURST, STEADY_P95_MS, BURST_P95_MS = 2_500.0, 5_500.0, 50.0, 100.0
BATCHED = 12_000.0
STALL_MS = 10.0
OWN = ("cpu", "waiting", "lock", "gc")
"""Causes that are the service's; a machine that is shared makes it wait for a processor as well."""
STALLED = re.compile(
    r'^asyncio_eventloop_stall_seconds_count\{cause="(\w+)".*\} (\d+)', re.MULTILINE
)
OVERLOAD, KEPT, ACCEPTED_P95_MS, REFUSED_P99_MS = 2.4, 0.8, 100.0, 50.0
QUERIES, MEANWHILE, QUERY_P95_MS = 2_000.0, 1_000.0, 25.0
HANG, WITNESS, WITNESS_P99_MS = "billing:1:15", 50.0, 50.0
START_S = 3.0
GROWN = 1.1


@dataclass(frozen=True, slots=True)
class Effort:
    rounds: int
    closed_s: float
    open_s: float
    burst_s: float
    kills: int
    soak_s: float


FULL = Effort(rounds=3, closed_s=8.0, open_s=60.0, burst_s=5.0, kills=20, soak_s=600.0)
QUICK = Effort(rounds=1, closed_s=3.0, open_s=5.0, burst_s=2.0, kills=5, soak_s=40.0)


@contextmanager
def serving(stage: str, workers: int, *more: str) -> Iterator[int]:
    """`tally serve` with everything of its own, and its port; `more` are words of its command."""
    with contextmanager(started)(stage, workers, {}, *more) as (_, port):
        yield port


def started(
    stage: str, workers: int, given: Mapping[str, str], *more: str
) -> Iterator[tuple[int, int]]:
    """Process and port. What `given` names is not brought along."""
    port = free_port()
    words = [
        "serve",
        "--demo",
        "--stage",
        stage,
        "--workers",
        str(workers),
        "--port",
        str(port),
        *more,
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "tally", *words],
        cwd=ROOT,
        env={**environment(), **given, "TALLY_DEMO_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            if "key" in line:
                break
        else:
            raise RuntimeError(f"tally serve ended with {child.wait(30)}")
        yield child.pid, port
    finally:
        child.terminate()
        child.wait(60)
        child.stdout.close()


# --- closed loop -----------------------------------------------------------------------------------


def closed(
    port: int, effort: Effort, batch: int = 0, connections: int = CONNECTIONS
) -> dict[str, Any]:
    return sent(port, connections, effort.closed_s, effort.closed_s / 4, batch)


def sent(port: int, *order: object) -> dict[str, Any]:
    """What `support.tallying` says; its docstring has the order."""
    words = command("tallying", port, KEY, *order)
    done = subprocess.run(
        words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ratios(harness: Harness, effort: Effort) -> tuple[Sequence[Bar], float]:
    """Also the async stage's rate on one process."""
    harness.section("one API process, closed loop of 64 connections")
    rates: dict[str, list[float]] = {stage: [] for stage in STAGES}
    rows = []
    for round_ in range(effort.rounds):
        order = list(STAGES)
        harness.chance.shuffle(order)
        for stage in order:
            harness.progress(f"round {round_ + 1}: {stage}")
            with serving(stage, 1) as port:
                found = closed(port, effort)
            harness.raw.setdefault("closed", []).append({"stage": stage, **found})
            rates[stage].append(found["events"])
            rows.append(
                (stage, *(f"{found[name]:.1f}" for name in ("events", "p50_ms", "p95_ms", "p99_ms")),
                 str(found["statuses"]))
            )  # fmt: skip
    print(table(("stage", "events/s", "p50 ms", "p95 ms", "p99 ms", "answers"), sorted(rows)))
    bars = []
    for stage, goal in (("blocking", BLOCKING_TIMES), ("offloaded", OFFLOADED_TIMES)):
        times = statistics.median(
            best / other for best, other in zip(rates["async"], rates[stage], strict=True)
        )
        bars.append(Bar(f"async/{stage}", f"{times:.1f}x", f">={goal:g}x", times >= goal))
    return bars, statistics.median(rates["async"])


def batches(harness: Harness, effort: Effort) -> Sequence[Bar]:
    harness.section(f"one API process, batches of {BATCH} over 8 connections")
    with serving("async", 1) as port:
        found = closed(port, effort, BATCH, 8)
    harness.raw["batch"] = found
    print(
        f"{found['events']:.0f} events/s, p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms"
    )
    rate = found["events"]
    harness.section(f"the same, watched for stalls of more than {STALL_MS:g} ms")
    metrics = free_port()
    watched = {"UNSTALL_METRICS_PORT": str(metrics), "UNSTALL_THRESHOLD_MS": f"{STALL_MS:g}"}
    with contextmanager(started)("async", 1, watched) as (_, port):
        closed(port, effort, BATCH, 8)
        causes = stalled(metrics)
    harness.raw["batch-stalls"] = causes
    print(", ".join(f"{count} {cause}" for cause, count in sorted(causes.items())) or "none")
    own = sum(causes.get(each, 0) for each in OWN)
    return [
        Bar("batch", f"{rate:.0f}/s", f">={BATCHED:.0f}/s", rate >= BATCHED),
        Bar("batch-stalls", str(own), "0", own == 0),
    ]


def stalled(port: int) -> dict[str, int]:
    """Stalls by cause, as the service's own metrics have them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, int] = {}
    for cause, count in STALLED.findall(text):
        found[cause] = found.get(cause, 0) + int(count)
    return found


# --- open model ------------------------------------------------------------------------------------


def body() -> str:
    """About 1.2 KB. The generator fills in little of it: what it takes itself, the service has not."""
    chance = random.Random(1)
    letters = "abcdefghijklmnop "
    texts = {f"field_{n}": "".join(chance.choices(letters, k=36)) for n in range(16)}
    return json.dumps(
        {
            "event_id": "${uuid}",
            "name": "${choice:page_view,click,signup,purchase,search}",
            "at": "${now}",
            "value": 2.5,
            "dimensions": {
                "country": "${choice:de,fr,it,us,gb,jp}",
                "plan": "${choice:free,pro,team}",
                "device": "${choice:phone,desk}",
            },
            "properties": {"screen": {"width": 1440, "height": 900}, **texts},
        }
    )


def ingest(offsets: Iterable[int], name: str = "ingest") -> Stream:
    headers = {"X-API-Key": KEY, "Content-Type": "application/json"}
    return Stream(name, "POST", "/v1/events", offsets, headers, body())


def played(port: int, *streams: Stream) -> Outcome:
    with quiet_gc():
        return run_on_best(
            run(f"http://127.0.0.1:{port}", streams, timeout_s=10.0, in_flight=1_500)
        )


def ms(latency: Histogram, quantile: float) -> float:
    return (latency.quantile_ns(quantile) or 0) / 1e6


def bad(stream: StreamOutcome) -> int:
    """All but answers below 400."""
    return stream.due - sum(n for status, n in stream.statuses.items() if status < "400")


def shown(harness: Harness, outcome: Outcome) -> None:
    rows = [
        (each.name, f"{each.due}", *(f"{ms(each.latency, q):.1f}" for q in (0.5, 0.95, 0.99)),
         f"{bad(each)}", f"{ms(each.lateness, 0.99):.1f}", str(each.statuses | each.errors))
        for each in outcome.streams
    ]  # fmt: skip
    headings = ("stream", "due", "p50 ms", "p95 ms", "p99 ms", "bad", "late p99", "answers")
    print(table(headings, rows))


def p95_bar(name: str, stream: StreamOutcome, goal_ms: float) -> Bar:
    """Holds only without an error, and if the generator kept its times."""
    p95, failed = ms(stream.latency, 0.95), bad(stream)
    holds = p95 < goal_ms and not failed and stream.trustworthy
    return Bar(name, f"{p95:.1f}ms,{failed}-bad", f"<{goal_ms:g}ms,0-bad", holds)


def rates(harness: Harness, effort: Effort) -> Sequence[Bar]:
    harness.section(f"two API processes, open model: {RATE:.0f} events a second")
    with serving("async", 2) as port:
        played(port, ingest(constant(RATE / 4, 2.0), "warm"))
        full = played(port, ingest(constant(RATE, effort.open_s)))
        shown(harness, full)
        harness.section(f"two API processes: {STEADY:.0f} a second, and a burst to {BURST:.0f}")
        before = effort.open_s / 3
        steady = stepped((Stage(STEADY, before), Stage(0, effort.burst_s), Stage(STEADY, before)))
        peak = stepped((Stage(0, before), Stage(BURST, effort.burst_s)))
        burst = played(port, ingest(steady, "steady"), ingest(peak, "burst"))
        shown(harness, burst)
    return [
        p95_bar("rate", full.streams[0], RATE_P95_MS),
        p95_bar("steady", burst.streams[0], STEADY_P95_MS),
        p95_bar("burst", burst.streams[1], BURST_P95_MS),
    ]


def overload(harness: Harness, effort: Effort, capacity: float) -> Sequence[Bar]:
    rate = capacity * OVERLOAD
    harness.section(f"one API process, {rate:.0f} a second, {OVERLOAD} times what it can do")
    with serving("async", 1) as port:
        found = sent(port, OPEN_CONNECTIONS, effort.burst_s * 2, 1.0, 0, rate)
    harness.raw["overload"] = found
    print(f"{found['events']:.0f} accepted a second; answers {found['statuses']}")
    share, late, refused = found["events"] / capacity, found["good_p95_ms"], found["refused_p99_ms"]
    bars = [
        Bar("overload", f"{share:.2f}", f">={KEPT}", share >= KEPT),
        Bar("accepted", f"{late:.1f}ms", f"<{ACCEPTED_P95_MS:g}ms", late < ACCEPTED_P95_MS),
    ]
    if "503" not in found["statuses"]:
        print("nobody was refused, so nothing can be said of refusals")
        return bars
    within = refused < REFUSED_P99_MS
    return [*bars, Bar("refused", f"{refused:.1f}ms", f"<{REFUSED_P99_MS:g}ms", within)]


def queries(harness: Harness, effort: Effort) -> Sequence[Bar]:
    harness.section(
        f"two API processes, {QUERIES:.0f} queries beside {MEANWHILE:.0f} events a second"
    )
    path = "/v1/metrics?name=${choice:page_view,click,signup}&granularity=${choice:minute,hour}"
    path += "&dimensions=${choice:country,plan,device}&aggregates=count,sum"
    query = Stream("query", "GET", path, constant(QUERIES, effort.open_s / 2), {"X-API-Key": KEY})
    with serving("async", 2) as port:
        found = played(port, query, ingest(constant(MEANWHILE, effort.open_s / 2)))
    shown(harness, found)
    return [p95_bar("query", found.streams[0], QUERY_P95_MS)]


def kills(harness: Harness, effort: Effort) -> Sequence[Bar]:
    harness.section(
        f"{effort.kills} times kill -9 of an API process, the worker or PostgreSQL under load"
    )
    found = survived(lambda given: started("async", 2, given), KEY, effort.kills, harness.chance)
    print(f"killed {found.kills}; {found.acknowledged} acknowledged, {found.found.rows} stored")
    print(f"{found.lost} lost; {found.twice} counted twice or not, in rollups, usage or at billing")
    return [
        Bar("lost", str(found.lost), "0", found.lost == 0),
        Bar("twice", str(found.twice), "0", found.twice == 0),
    ]


def pod(harness: Harness, effort: Effort) -> Sequence[Bar]:
    harness.section(
        f"two API processes, one billing pod of three hangs: {STEADY:.0f} events a second"
    )
    witness = Stream("witness", "GET", "/livez", constant(WITNESS, effort.open_s / 2))
    with serving("async", 2, "--hang", HANG) as port:
        played(port, ingest(constant(STEADY / 2, 2.0), "warm"))
        found = played(port, witness, ingest(constant(STEADY, effort.open_s / 2)))
    shown(harness, found)
    seen, taken = found.streams
    p99, failed = ms(seen.latency, 0.99), bad(seen)
    holds = p99 < WITNESS_P99_MS and not failed and seen.trustworthy
    return [
        Bar("pod-witness", f"{p99:.1f}ms,{failed}-bad", f"<{WITNESS_P99_MS:g}ms,0-bad", holds),
        p95_bar("pod-ingest", taken, STEADY_P95_MS),
    ]


def start(harness: Harness, effort: Effort) -> Sequence[Bar]:
    harness.section("from the command to the first accepted event, everything brought along")
    bars = []
    for workers in (1, 2):
        times = [first_accepted(workers) for _ in range(effort.rounds)]
        harness.raw.setdefault("start", {})[workers] = times
        seconds = statistics.median(times)
        print(f"{workers} API processes: {', '.join(f'{each:.2f} s' for each in times)}")
        bars.append(
            Bar(f"start-{workers}", f"{seconds:.2f}s", f"<={START_S:g}s", seconds <= START_S)
        )
    return bars


def first_accepted(workers: int) -> float:
    began = time.monotonic()
    with serving("async", workers) as port:
        event = {"event_id": "first", "name": "start", "at": datetime.now(UTC).isoformat()}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/events",
            json.dumps(event).encode(),
            {"X-API-Key": KEY, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            if answer.status != 201:
                raise RuntimeError(f"the first event was answered with {answer.status}")
        return time.monotonic() - began


def soak(harness: Harness, effort: Effort) -> Sequence[Bar]:
    seconds = harness.options.seconds or effort.soak_s
    harness.section(f"{seconds:.0f} s of faults of upstreams, database and cache, one by one")
    found = soaked(lambda given: started("async", 2, given), KEY, seconds, harness.chance)
    stored = found.stored
    harness.raw["soak"] = {
        "faults": found.faults, "queries": found.queries, "grown": found.grown, "kept": found.kept,
    }  # fmt: skip
    print(f"{sum(found.faults.values())} faults: {dict(sorted(found.faults.items()))}")
    print(f"{stored.acknowledged} events acknowledged, {found.refused} times refused")
    print(f"queries: {dict(found.queries)}; memory x{found.grown:.3f}")
    for line in found.kept:
        print(f"not given back: {line}")
    bars = {
        "soak-lost": stored.lost,
        "soak-twice": stored.twice,
        "soak-kept": len(found.kept),
        "soak-mistakes": found.mistakes,
        "soak-ended": found.ended,
    }
    return [
        *(Bar(name, str(count), "0", count == 0) for name, count in bars.items()),
        Bar("soak-memory", f"{found.grown:.2f}x", f"<={GROWN:g}x", found.grown <= GROWN),
    ]


PARTS: dict[str, Callable[[Harness, Effort], Sequence[Bar]]] = {
    "batches": batches,
    "rates": rates,
    "queries": queries,
    "kills": kills,
    "pod": pod,
    "start": start,
    "soak": soak,
}


def main(argv: Sequence[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--only", choices=("ratios", "overload", *PARTS), help="one part alone")
    options.add_argument("--seconds", type=float, help=f"of the soak (default: {FULL.soak_s:.0f})")
    harness = Harness(options.parse_args(argv))
    effort = QUICK if harness.quick else FULL
    only = harness.options.only
    bars: list[Bar] = []
    if only in (None, "ratios", "overload"):
        found, capacity = ratios(harness, effort)
        bars += found
        if only != "ratios":
            bars += overload(harness, effort, capacity)
    for name, part in PARTS.items():
        if only in (None, name):
            bars += part(harness, effort)
    return harness.finish(bars)


if __name__ == "__main__":
    sys.exit(main())
