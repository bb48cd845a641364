"""What does a generator of load show of a server that blocks, and how exactly does it keep to a rate?

The same server, in which each 25th call keeps the loop for a second, is asked 20 times a second: by our
open model, by a closed crowd of ours, by Locust and molotov with ten users each, and by wrk with ten
connections. A closed model waits while the server is frozen, so it asks less and sees less of it. Then a
server that does nothing is asked at rising rates by one process on one core, beside a witness.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support import generators
from benchmarks.support.bars import Bar, table
from benchmarks.support.generators import Sent
from benchmarks.support.harness import Harness, parser
from benchmarks.support.loaded import BLOCK_S, EVERY
from benchmarks.support.machine import ROOT, two_cores
from benchmarks.support.processes import command, environment
from unstall.model.histogram import Histogram
from unstall.model.outcome import LATENESS_BOUND_NS, Outcome

RATE, USERS = 20.0, 10
EXACT = 0.01
GOAL_RATE, GOAL_SHOWS = 3_000.0, 10.0
PEER_RATES = (1_000.0, 3_000.0)
REQUESTS_PER_USER = 10.0
"""A second: so many users take turns in the peers."""

Cores = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Effort:
    blocked_s: float
    """Of the server that blocks, by each generator."""
    rates: tuple[float, ...]
    rate_s: float
    rounds: int
    peer_rates: tuple[float, ...] = PEER_RATES


FULL = Effort(30.0, (1_000, 3_000, 5_000, 7_500, 10_000, 12_500, 15_000, 17_500, 20_000), 8.0, 3)
QUICK = Effort(5.0, (3_000, 10_000), 3.0, 1, (3_000.0,))


@dataclass(frozen=True, slots=True)
class Paced:
    """One run of ours at one rate; lateness and latency in ms."""

    rate: float
    due: int
    sent: int
    late_p50: float
    late_p99: float
    witness_late_p99: float
    p50: float
    p99: float
    busy: float
    """Share of a core that the generator used."""
    whole: bool
    """All was answered."""

    @property
    def holds(self) -> bool:
        bound = LATENESS_BOUND_NS / 1e6
        on_time = self.late_p99 <= bound and self.witness_late_p99 <= bound
        return abs(self.sent - self.due) <= EXACT * self.due and on_time and self.whole


@contextmanager
def served(core: int | None) -> Iterator[int]:
    """The port of a fresh service."""
    words = command("loaded", core)
    child = subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"{words} ended with {child.wait(30)}")
        yield int(line)
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def ours(
    port: int, path: str, rate: float, seconds: float, users: int, core: int | None
) -> tuple[Outcome, float]:
    """What came back, and the seconds of CPU it took."""
    words = command("sending", port, path, rate, seconds, users, "-" if core is None else core)
    done = subprocess.run(
        words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{words} failed: {done.stderr.strip()[-1000:]}")
    data = json.loads(done.stdout)
    return Outcome.from_json(data), float(data["cpu_s"])


def ms(histogram: Histogram, q: float) -> float:
    return (histogram.quantile_ns(q) or 0) / 1e6


def as_sent(outcome: Outcome, *, scheduled: bool) -> Sent:
    """Of a closed crowd nothing is due but what it asks, so it is measured by what it was to ask."""
    load = outcome["load"]
    p50, p95, p99 = (ms(load.latency, q) for q in (0.5, 0.95, 0.99))
    return Sent(load.sent, p50, p95, p99, due=load.due if scheduled else None)


def blocked(harness: Harness, cores: Cores, seconds: float) -> dict[str, Sent]:
    """Each generator against a fresh server, in random order."""
    ways: dict[str, Callable[[int], Sent]] = {
        "unstall, open": lambda port: as_sent(
            ours(port, "/work", RATE, seconds, 0, cores[1])[0], scheduled=True
        ),
        "unstall, closed": lambda port: as_sent(
            ours(port, "/work", RATE, seconds, USERS, cores[1])[0], scheduled=False
        ),
        "Locust": lambda port: generators.locust(port, "/work", RATE, seconds, USERS, cores[1]),
        "molotov": lambda port: generators.molotov(port, "/work", RATE, seconds, USERS, cores[1]),
        "wrk": lambda port: generators.wrk(port, "/work", seconds, USERS, cores[1]),
    }
    found = {}
    for name in harness.chance.sample(list(ways), len(ways)):
        harness.progress(f"blocked: {name}")
        with served(cores[0]) as port:
            found[name] = ways[name](port)
    return {name: found[name] for name in ways}


def blocked_rows(found: dict[str, Sent], seconds: float) -> list[tuple[str, ...]]:
    rows = []
    for name, sent in found.items():
        if not sent.took_place:
            rows.append((name, sent.trouble, *[""] * 6))
            continue
        due = sent.due or round(RATE * seconds)
        paced = name != "wrk"  # that asks as fast as it is answered
        lost = f"{max(0.0, 1 - sent.count / due):.0%}" if paced else "-"
        times = ("-" if each is None else f"{each:.0f}" for each in (sent.p50, sent.p95, sent.p99))
        rows.append((name, "", str(due) if paced else "-", str(sent.count), lost, *times))
    return rows


def paced(cores: Cores, rate: float, seconds: float) -> Paced:
    with served(cores[0]) as port:
        outcome, cpu_s = ours(port, "/", rate, seconds, 0, cores[1])
    load, witness = outcome["load"], outcome["witness"]
    return Paced(
        rate=rate,
        due=load.due,
        sent=load.sent,
        late_p50=ms(load.lateness, 0.5),
        late_p99=ms(load.lateness, 0.99),
        witness_late_p99=ms(witness.lateness, 0.99),
        p50=ms(load.latency, 0.5),
        p99=ms(load.latency, 0.99),
        busy=cpu_s / seconds,
        whole=load.answered == load.due and witness.answered == witness.due,
    )


def at_rates(harness: Harness, cores: Cores, effort: Effort) -> list[Paced]:
    """The middle round of each rate, by the lateness of its requests."""
    found: list[Paced] = []
    for rate in effort.rates:
        harness.progress(f"{rate:.0f}/s")
        rounds = [paced(cores, rate, effort.rate_s) for _ in range(effort.rounds)]
        chosen = sorted(rounds, key=lambda each: each.late_p99)[len(rounds) // 2]
        found.append(chosen)
        if not chosen.holds:
            break
    return found


def paced_row(one: Paced) -> tuple[str, ...]:
    return (
        f"{one.rate:.0f}",
        f"{one.sent / one.due:.1%}",
        f"{one.late_p50:.2f}",
        f"{one.late_p99:.2f}",
        f"{one.witness_late_p99:.2f}",
        f"{one.p50:.2f}",
        f"{one.p99:.2f}",
        f"{one.busy:.0%}",
        "yes" if one.holds else "no",
    )


def peers(harness: Harness, cores: Cores, effort: Effort) -> list[tuple[str, ...]]:
    rows = []
    for rate in effort.peer_rates:
        users = round(rate / REQUESTS_PER_USER)
        for name, way in (("Locust", generators.locust), ("molotov", generators.molotov)):
            harness.progress(f"{name} at {rate:.0f}/s")
            with served(cores[0]) as port:
                sent = way(port, "/", rate, effort.rate_s, users, cores[1])
            rows.append(_peer_row(name, rate, sent, effort.rate_s))
    with served(cores[0]) as port:
        sent = generators.wrk(port, "/", effort.rate_s, 64, cores[1])
    rows.append(_peer_row("wrk", None, sent, effort.rate_s))
    return rows


def _peer_row(name: str, rate: float | None, sent: Sent, seconds: float) -> tuple[str, ...]:
    asked = f"{rate:.0f}" if rate else "all"
    if not sent.took_place:
        return (name, asked, sent.trouble, "", "")
    per_second = sent.count / seconds
    share = f"{per_second / rate:.1%}" if rate else "-"
    return (name, asked, f"{per_second:.0f}", share, f"{sent.p99:.1f}" if sent.p99 else "-")


def bars_of(found: dict[str, Sent], rates: list[Paced], seconds: float) -> list[Bar]:
    opened, closed = found["unstall, open"], found["unstall, closed"]
    shows = (opened.p50 or 0.0) / max(closed.p50 or 0.0, 0.1)
    lost = 1 - closed.count / (RATE * seconds)
    highest = max((one.rate for one in rates if one.holds), default=0.0)
    exact = max((abs(1 - one.sent / one.due) for one in rates if one.holds), default=1.0)
    return [
        Bar("load_open_shows", f"{shows:.0f}x", f">= {GOAL_SHOWS:.0f}x", shows >= GOAL_SHOWS),
        Bar("load_closed_hides", f"{lost:.0%}", "> 10%", lost > 0.1),
        Bar(
            "load_rate_per_core", f"{highest:.0f}/s", f">= {GOAL_RATE:.0f}/s", highest >= GOAL_RATE
        ),
        Bar("load_rate_exact", f"{exact:.2%}", f"<= {EXACT:.0%}", exact <= EXACT),
    ]


_BLOCKED = ("generator", "", "due", "sent", "lost", "p50", "p95", "p99")
_PACED = ("rate", "sent", "late p50", "late p99", "witness late", "p50", "p99", "CPU", "held")
_PEERS = ("generator", "asked", "a second", "of it", "p99")


def main() -> int:
    harness = Harness(parser(__doc__).parse_args())
    effort = QUICK if harness.quick else FULL
    cores = two_cores()
    harness.section(
        f"{RATE:.0f} calls a second for {effort.blocked_s:.0f} s, each {EVERY}th keeps the loop "
        f"{BLOCK_S:.0f} s; {USERS} users or connections in closed models; in ms"
    )
    found = blocked(harness, cores, effort.blocked_s)
    print(table(_BLOCKED, blocked_rows(found, effort.blocked_s), left=2))
    harness.section(
        f"one process on one core, {effort.rate_s:.0f} s at each rate beside a witness of 20/s; in ms"
    )
    rates = at_rates(harness, cores, effort)
    print(table(_PACED, [paced_row(one) for one in rates]))
    harness.section("others at the same, each on one core")
    print(
        table(
            _PEERS,
            peers(harness, cores, effort),
            left=1,
        )
    )
    harness.raw["blocked"] = {name: asdict(sent) for name, sent in found.items()}
    harness.raw["rates"] = [asdict(one) for one in rates]
    return harness.finish(bars_of(found, rates, effort.blocked_s))


if __name__ == "__main__":
    sys.exit(main())
