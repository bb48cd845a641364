"""The public matrix: which detector catches what, and says what of it, and whom it accuses for nothing.

Every case of benchmarks/cases runs under every tool, each time in a fresh FastAPI service that is asked over
loopback, beside a bystander that only waits. Real drivers call real servers; tools are switched on as
their own documentation says. Slow cases are judged; latent ones, which are fast today, are only listed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.cases.case import Case, Group
from benchmarks.cases.table import BY_NAME, CASES, LEFT_OUT
from benchmarks.support.backends import running_backends
from benchmarks.support.bars import Bar, table
from benchmarks.support.harness import Harness, parser
from benchmarks.support.peers import PEERS
from benchmarks.support.scores import LIVE_S, NAMES, Score, score
from benchmarks.support.staging import staged
from tests.support.postgres import running_postgres

TOOLS = ("unstall", *PEERS)
TEST_TOOLS = ("trap", "blockbuster", "aiocop", "pyleak")
"""What a test suite may be run under; `trap` is unstall's test mode."""
TEST_GROUPS = (Group.LATENT, Group.CLEAN)
RIGHT_PERCENT = 98.0
MARKS = (("caught", "K"), ("line", "L"), ("cause", "C"), ("route", "R"), ("live", "V"))
Column = tuple[str, str]
"""A tool and the loop below it."""


def columns(tools: Sequence[str], quick: bool) -> list[Column]:
    """unstall claims to work on uvloop alike, so it runs on both; peers in the surroundings they know."""
    both = [("unstall", "uvloop")] if "unstall" in tools and not quick else []
    return [*((tool, "asyncio") for tool in tools), *both]


@contextmanager
def servers(cases: Sequence[Case]) -> Iterator[dict[str, str]]:
    """What the chosen cases need, and no more."""
    needs = {need for case in cases for need in case.needs}
    with running_backends(sorted(needs - {"postgres"})) as addresses:
        if "postgres" not in needs:
            yield addresses
            return
        with running_postgres() as server:
            yield {**addresses, "postgres": server.dsn}


def measured(harness: Harness, cases: Sequence[Case], over: Sequence[Column]) -> list[Score]:
    jobs = [(case, tool, loop) for case in cases for tool, loop in over]
    harness.chance.shuffle(jobs)
    scores, told = [], []
    with servers(cases) as addresses:
        for number, (case, tool, loop) in enumerate(jobs, start=1):
            told.append(staged(case, tool, loop, addresses))
            scores.append(score(case, told[-1]))
            if number % 25 == 0:
                harness.progress(f"{number} of {len(jobs)}")
    harness.raw["told"] = [asdict(replace(each, stalls=())) for each in told]
    harness.raw["scores"] = [asdict(each) for each in scores]
    return scores


# --- what is printed --------------------------------------------------------------------------------


def of(scores: Sequence[Score], column: Column, groups: Sequence[Group]) -> list[Score]:
    return [
        each
        for each in scores
        if (each.tool, each.loop) == column and BY_NAME[each.case].group in groups
    ]


LOCKED = (Group.GIL, Group.GC)
"""No Python runs in the process meanwhile: that these are told of live is reported, not judged."""
JUDGED = (Group.SLOW, Group.CPU, Group.GIL, Group.GC)


def per_tool(scores: Sequence[Score], over: Sequence[Column]) -> str:
    rows = []
    for tool, loop in over:
        slow = of(scores, (tool, loop), JUDGED)
        latent = of(scores, (tool, loop), [Group.LATENT])
        clean = of(scores, (tool, loop), [Group.CLEAN])
        row = [tool, loop]
        for mark, _ in MARKS:
            row.append(_share([getattr(each, mark) for each in slow], _is_said(tool, mark)))
        row.append(_share([each.caught for each in latent]))
        row.append(_share([each.line for each in latent], _is_said(tool, "line")))
        row.append(_share([each.noise > 0 for each in clean]))
        rows.append(row)
    headings = ("caught", "right line", "right cause", "right route", "live")
    latent_headings = ("latent caught", "latent line")
    return table(("tool", "loop", *headings, *latent_headings, "clean accused"), rows, left=2)


def _is_said(tool: str, mark: str) -> bool:
    return mark not in NAMES or tool in NAMES[mark]


def _share(marks: Sequence[bool], is_said: bool = True) -> str:
    return f"{sum(marks)} of {len(marks)}" if marks and is_said else "-"


def per_case(scores: Sequence[Score], cases: Sequence[Case], over: Sequence[Column]) -> str:
    found = {(each.case, each.tool, each.loop): each for each in scores}
    rows = [
        [case.name, case.group, case.cause or "-", *(_cell(found[case.name, *at]) for at in over)]
        for case in cases
    ]
    names = [tool if loop == "asyncio" else f"{tool} {loop}" for tool, loop in over]
    return table(("case", "group", "cause", *names), rows, left=3 + len(over))


def _cell(each: Score) -> str:
    if each.trouble:
        return "void"
    if BY_NAME[each.case].group is Group.CLEAN:
        return f"accused {each.noise}" if each.noise else "silent"
    marks = "".join(letter if getattr(each, mark) else "." for mark, letter in MARKS)
    return marks if each.caught else "-"


def complaints(scores: Sequence[Score]) -> Iterator[str]:
    """All that unstall got wrong, each accusation of clean code by anybody, and what did not run."""
    for each in scores:
        case, where = BY_NAME[each.case], f"{each.case} with {each.tool} on {each.loop}"
        if each.trouble:
            yield f"void: {where}: {each.trouble}"
        elif case.group is Group.CLEAN and each.noise:
            yield f"accused: {where}: {each.said}"
        elif each.tool == "unstall" and case.judged:
            yield from _wrong(each, where)
        elif each.tool == "trap":
            yield from _untrapped(each, where)


def _wrong(each: Score, where: str) -> Iterator[str]:
    missing = [mark for mark, _ in (*MARKS, ("rule", "r")) if not getattr(each, mark)]
    if missing and each.caught:
        yield f"not right ({', '.join(missing)}): {where}: {each.said}"
    elif missing:
        yield f"missed: {where}, which held the loop for {each.lasted_s:.2f} s"
    if each.noise:
        yield f"accused {each.noise} x beside the culprit: {where}: {each.said}"


def _untrapped(each: Score, where: str) -> Iterator[str]:
    if BY_NAME[each.case].group is Group.CLEAN:
        return
    if not each.caught:
        yield f"missed: {where}"
    elif not each.line or each.noise:
        yield f"not right: {where}: {each.said}"


# --- what must hold ---------------------------------------------------------------------------------


def bars(scores: Sequence[Score]) -> list[Bar]:
    void = sum(bool(each.trouble) for each in scores)
    ran = Bar("matrix_ran", str(len(scores) - void), f"of {len(scores)}", void == 0)
    ours = [each for each in scores if each.tool == "unstall" and not each.trouble]
    slow = [each for each in ours if BY_NAME[each.case].judged]
    clean = [each for each in ours if BY_NAME[each.case].group is Group.CLEAN]
    held = [ran]
    if slow:
        caught = sum(each.caught for each in slow)
        right = 100.0 * sum(each.line and each.cause for each in slow) / len(slow)
        goal = f">= {RIGHT_PERCENT:g} %"
        held += [
            Bar("matrix_slow_caught", str(caught), f"of {len(slow)}", caught == len(slow)),
            Bar("matrix_right_cause_and_line", f"{right:.1f} %", goal, right >= RIGHT_PERCENT),
        ]
    if able := [each for each in slow if BY_NAME[each.case].group not in LOCKED]:
        live = sum(each.live for each in able)
        held.append(Bar("matrix_live", str(live), f"of {len(able)}", live == len(able)))
    if slow or clean:
        noise = sum(each.noise for each in (*slow, *clean))
        held.append(Bar("matrix_noise", f"{noise} accusations", "== 0", noise == 0))
    return held


def trap_bars(scores: Sequence[Score]) -> list[Bar]:
    """Of test mode: every call that is fast today is caught at its line, and nothing that is clean."""
    ours = [each for each in scores if each.tool == "trap"]
    latent = [each for each in ours if BY_NAME[each.case].group is Group.LATENT]
    caught = sum(each.caught and each.line for each in latent)
    noise = sum(each.noise for each in ours)
    void = sum(bool(each.trouble) for each in scores)
    return [
        Bar("matrix_ran", str(len(scores) - void), f"of {len(scores)}", void == 0),
        Bar("trap_latent_caught", str(caught), f"of {len(latent)}", caught == len(latent)),
        Bar("trap_noise", f"{noise} accusations", "== 0", noise == 0),
    ]


def chosen(options: argparse.Namespace) -> list[Case]:
    if options.only:
        return [BY_NAME[name] for name in options.only]
    cases = [case for case in CASES if case.quick or not options.quick]
    return [case for case in cases if options.mode == "run" or case.group in TEST_GROUPS]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--only", metavar="CASE", action="append", choices=sorted(BY_NAME))
    options.add_argument("--tool", metavar="T", action="append", choices={*TOOLS, *TEST_TOOLS})
    options.add_argument("--mode", choices=("run", "test"), default="run")
    harness = Harness(options.parse_args(arguments))
    cases = chosen(harness.options)
    testing = harness.options.mode == "test"
    over = columns(harness.options.tool or (TEST_TOOLS if testing else TOOLS), harness.quick)
    harness.section(f"{len(cases)} cases, {len(cases) * len(over)} fresh services, in random order")
    scores = measured(harness, cases, over)
    print(per_tool(scores, over))
    print(
        f"live: the first word within {LIVE_S} s of the tool's threshold, while the call lasts. Slow, cpu, "
        "gil and gc cases\nare in the first five figures. Peers' causes are judged as waiting or computing."
    )
    harness.section("K caught, L line, C cause, R route, V live; - nothing was said")
    print(per_case(scores, cases, over))
    harness.section("What unstall got wrong, what accused clean code, what did not run")
    print("\n".join(complaints(scores)) or "nothing")
    if testing:
        return harness.finish(trap_bars(scores))
    ours = [each for each in scores if each.tool == "unstall" and BY_NAME[each.case].judged]
    print(f"\nunstall's rule is the catalog's in {_share([each.rule for each in ours])}")
    locked = [each for each in ours if BY_NAME[each.case].group in LOCKED]
    print(f"told live, while C code held the interpreter lock: {_share([e.live for e in locked])}")
    starved = sum(each.starved for each in scores)
    print(f"stalls told as starved (the machine's, no accusation): {starved}")
    for name, why in LEFT_OUT.items():
        print(f"left out: {name}: {why}")
    return harness.finish(bars(scores))


if __name__ == "__main__":
    sys.exit(main())
