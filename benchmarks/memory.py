"""What the watch remembers: an hour at 1,000 requests a second, a real minute, and forty with all of it on.

The hour is fed to the real recorder as fast as it goes, with more than it may keep, so that the bounds
are reached and what is dropped must be counted. The minutes are real: two FastAPI servers, one watched.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.hour import LOOKS, Held
from benchmarks.support.machine import rss_kib, two_cores
from benchmarks.support.paced import Grown
from benchmarks.support.processes import answer_of, serving
from benchmarks.support.statistics import median_interval, slope
from unstall.settings import Settings

GOAL_MIB = 50
GROWS_MIB = 2.0
"""An hour: what glibc's heap and CPython's free lists move by themselves."""
ENDURED_PER_S = 300
ENDURED_LOOKS = 240
FILLED_S = 1_000
"""What is bounded fills its bounds first: 900 pulses are kept, one a second."""
LOOPS = ("asyncio", "uvloop")
SERVER_CORE, CLIENT_CORE = two_cores()


@dataclass(frozen=True, slots=True)
class Effort:
    """Times in seconds."""

    traced: int
    """Of the hour that is traced, which is slow; the resident memory is always that of all of it."""
    endless: bool
    minutes: int
    loops: tuple[str, ...]
    warm_up: int
    minute: int
    endured: int


FULL = Effort(3_600, True, minutes=5, loops=LOOPS, warm_up=15, minute=60, endured=2_400)
QUICK = Effort(1_100, False, minutes=1, loops=("uvloop",), warm_up=4, minute=20, endured=16)


def hours(harness: Harness, effort: Effort) -> dict[str, Held]:
    """By what was measured of which content; two at a time, as they are of one thread each."""
    jobs = [("traced", "plausible", effort.traced), ("rss", "plausible", 3_600)]
    if effort.endless:
        jobs += [("traced", "endless", effort.traced), ("rss", "endless", 3_600)]
    harness.chance.shuffle(jobs)

    def one(job: tuple[str, str, int]) -> Held:
        return Held(**answer_of("hour", *job))

    with ThreadPoolExecutor(2) as pool:
        held = {f"{content} {measure}": pool.submit(one, (measure, content, seconds))
                for measure, content, seconds in jobs}  # fmt: skip
        found = {name: future.result() for name, future in sorted(held.items(), reverse=True)}
    harness.raw["hours"] = {name: asdict(one) for name, one in found.items()}
    return found


def hours_table(found: dict[str, Held]) -> str:
    rows = [
        (
            name,
            f"{held.held_mib:.1f}",
            f"{held.peak_mib:.1f}",
            f"{held.stretches} of {held.fed_stretches}",
            str(held.looks),
            str(held.pulses),
            ", ".join(f"{what} {count}" for what, count in sorted(held.dropped.items())),
        )
        for name, held in found.items()
    ]
    headings = ("content, measure", "held MiB", "peak MiB", "stalls kept", "looks", "pulses")
    return table((*headings, "told as dropped"), rows)


def minutes(harness: Harness, effort: Effort) -> dict[str, dict[str, list[Grown]]]:
    """Both servers are loaded at once, so that they live through the same minute."""
    found = {loop: {tool: list[Grown]() for tool in ("bare", "unstall")} for loop in effort.loops}
    order = [loop for loop in effort.loops for _ in range(effort.minutes)]
    harness.chance.shuffle(order)
    for number, loop in enumerate(order, start=1):
        tools = ["bare", "unstall"]
        harness.chance.shuffle(tools)
        with (
            serving(tools[0], loop, SERVER_CORE) as first,
            serving(tools[1], loop, SERVER_CORE) as second,
        ):
            grown = answer_of(
                "paced", 1_000, effort.warm_up, effort.minute,
                "-" if CLIENT_CORE is None else CLIENT_CORE,
                *(f"{served.port}:{served.pid}" for served in (first, second)),
            )  # fmt: skip
        for tool, one in zip(tools, grown, strict=True):
            found[loop][tool].append(Grown(**one))
        harness.progress(f"minute {number} of {len(order)}")
    harness.raw["minutes"] = {
        loop: {tool: [asdict(one) for one in grown] for tool, grown in tools.items()}
        for loop, tools in found.items()
    }
    return found


def minutes_table(found: dict[str, dict[str, list[Grown]]], seconds: int) -> str:
    rows = [
        (
            loop,
            tool,
            median_interval([one.warm_kib / 1024 for one in grown]).text("{:.1f}".format),
            median_interval([float(one.kib) for one in grown]).text("{:.0f}".format),
            f"{min(one.answers for one in grown) / seconds:.0f}",
            str(sum(one.bad for one in grown)),
            str(max(one.most_waiting for one in grown)),
        )
        for loop, tools in found.items()
        for tool, grown in tools.items()
    ]
    headings = ("loop", "server", "RSS MiB when warm", "grown KiB", "answers/s", "failed")
    return table((*headings, "most waiting"), rows, left=2)


def endured(harness: Harness, seconds: int) -> dict[str, list[tuple[float, float]]]:
    """Resident MiB of both servers while they are loaded, by the seconds since."""
    grown: dict[str, list[tuple[float, float]]] = {"bare": [], "everything": []}
    with (
        serving("bare", "uvloop", SERVER_CORE) as first,
        serving("everything", "uvloop", SERVER_CORE) as second,
    ):
        core = "-" if CLIENT_CORE is None else CLIENT_CORE
        places = [f"{served.port}:{served.pid}" for served in (first, second)]
        with ThreadPoolExecutor(1) as pool:
            loaded = pool.submit(answer_of, "paced", ENDURED_PER_S, 1, seconds, core, *places)
            begun = time.monotonic()
            while not loaded.done():
                time.sleep(seconds / ENDURED_LOOKS)
                for name, served in zip(grown, (first, second), strict=True):
                    grown[name].append((time.monotonic() - begun, rss_kib(served.pid) / 1024))
            failed = sum(Grown(**one).bad for one in loaded.result())
    if failed:
        raise RuntimeError(f"{failed} requests failed: the figure is of something else")
    harness.raw["endured"] = grown
    since = min(FILLED_S, seconds / 2)
    return {name: [point for point in points if point[0] > since] for name, points in grown.items()}


def endured_table(found: dict[str, list[tuple[float, float]]]) -> str:
    rows = [
        (name, f"{points[0][1]:.1f}", f"{points[-1][1]:.1f}", f"{slope(points) * 3_600:.2f}")
        for name, points in found.items()
    ]
    return table(("server", "RSS MiB once bounds are full", "at the end", "MiB/hour"), rows)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--only", choices=("watched", "endured"), help="one half of it (both)")
    harness = Harness(options.parse_args())
    effort = QUICK if harness.quick else FULL
    bars: list[Bar] = []
    if harness.options.only != "endured":
        bars += watched_bars(harness, effort)
    if harness.options.only != "watched":
        bars += endured_bars(harness, effort)
    return harness.finish(bars)


def watched_bars(harness: Harness, effort: Effort) -> list[Bar]:
    harness.section("An hour in fast motion: a stall every 2 s, 40 looks each at 90 frames")
    if effort.traced < 3_600:
        print(f"quick: only {effort.traced} s of it are traced; rss is of the whole hour")
    found = hours(harness, effort)
    print(hours_table(found))
    print("endless content (code generated without end) is reported, not judged")

    harness.section(f"{effort.minute} real seconds at 1,000 requests/s, after {effort.warm_up} s")
    print(minutes_table(minutes(harness, effort), effort.minute + effort.warm_up))

    judged = [held for name, held in found.items() if name.startswith("plausible")]
    worst = max(held.peak_mib for held in judged)
    told = all(honest(held) for held in found.values())
    return [
        Bar("recording_hour_mib", f"{worst:.1f}", f"< {GOAL_MIB}", worst < GOAL_MIB),
        Bar("drops_are_told", "all" if told else "not all", "of all", told),
    ]


def endured_bars(harness: Harness, effort: Effort) -> list[Bar]:
    """None in a quick run: in seconds a page more is hundreds of MiB an hour."""
    harness.section(f"Everything on, {effort.endured} real seconds at {ENDURED_PER_S} requests/s")
    lasting = endured(harness, effort.endured)
    print(endured_table(lasting))
    grows = slope(lasting["everything"]) * 3_600
    flat = Bar(
        "everything_grows_mib_per_hour", f"{grows:.2f}", f"< {GROWS_MIB:g}", grows < GROWS_MIB
    )
    return [] if harness.quick else [flat]


def honest(held: Held) -> bool:
    """Whether what is neither kept nor told as dropped is nothing."""
    too_many = LOOKS - Settings().keep_looks
    stalls_told = held.dropped.get("stalls") == held.fed_stretches - held.stretches
    return stalls_told and held.dropped.get("looks") == held.fed_stretches * too_many


if __name__ == "__main__":
    sys.exit(main())
