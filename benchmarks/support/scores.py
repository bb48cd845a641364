"""What a tool got right about a case. Pure: words in, marks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.cases.case import Case, Group, marked
from benchmarks.support.peers import Word
from benchmarks.support.staging import Told
from unstall.model.finding import Cause

LIVE_S = 0.2
"""The first word must come so soon after the threshold, and before the call returns."""
THRESHOLDS_S = {"unstall": 0.1, "aiocop": 0.03, "pyleak": 0.1, "debug": 0.1, "loopguard": 0.05}
"""As configured; blockbuster has none: it raises before the call."""
NAMES = {
    "line": ("unstall", "trap", "blockbuster", "aiocop", "pyleak"),
    "cause": ("unstall", "trap", "blockbuster", "aiocop"),
}
"""Who says such a thing at all."""
_WAITS = (Cause.WAITING, Cause.LOCK)


@dataclass(frozen=True, slots=True)
class Score:
    """`line`, `cause` and `route` are of what was caught; a miss has none of them."""

    case: str
    tool: str
    loop: str
    caught: bool = False
    line: bool = False
    cause: bool = False
    route: bool = False
    live: bool = False
    rule: bool = False
    noise: int = 0
    """Accusations of somebody innocent."""
    first_s: float | None = None
    """From the threshold to the first word."""
    starved: int = 0
    """Stalls that unstall told as the machine's."""
    lasted_s: float = 0.0
    said: str = ""
    trouble: str = ""


def score(case: Case, told: Told) -> Score:
    if told.trouble:
        return Score(case.name, told.tool, told.loop, trouble=told.trouble)
    if case.group is Group.CLEAN:
        return _of_clean(case, told)
    if not told.spans:
        why = f"the case did not run: the client was answered {told.status}"
        return Score(case.name, told.tool, told.loop, trouble=why)
    return _of_unstall(case, told) if told.tool == "unstall" else _of_peer(case, told)


def _of_clean(case: Case, told: Told) -> Score:
    """Each word is an accusation, except that the machine was short of processors; so is a broken answer."""
    accusing = [word for word in told.words if word.label != Cause.STARVED]
    broken = told.status != 200
    over = [stall for stall in told.stalls if stall["cause"] != Cause.STARVED]
    noise = len(over) if told.tool == "unstall" else len(accusing)
    said = [word.text for word in accusing[-2:]] + [
        f"the client was answered {told.status}"
    ] * broken
    return Score(
        case.name, told.tool, told.loop,
        noise=max(noise, broken),
        starved=len(told.stalls) - len(over),
        said="; ".join(said),
    )  # fmt: skip


def _of_unstall(case: Case, told: Told) -> Score:
    """By its last word on the longest stall."""
    if not told.stalls:
        return _missed(case, told)
    worst = max(told.stalls, key=lambda stall: stall["until_ns"] - stall["from_ns"])
    others = [stall for stall in told.stalls if stall is not worst]
    first_s = _first_s(told)
    site = worst.get("site")
    return Score(
        case.name, told.tool, told.loop,
        caught=True,
        line=_place(site) in marked(case) if site else not marked(case),
        cause=worst["cause"] == case.cause,
        route=_is_route(case, worst),
        live=_is_live(told, first_s),
        rule=case.rule in told.codes,
        noise=sum(_accuses_innocent(case, stall) for stall in others),
        first_s=first_s,
        starved=sum(stall["cause"] == Cause.STARVED for stall in told.stalls),
        lasted_s=_lasted_s(told),
        said=f"{told.words[-1].text if not others else _text(worst)}; rules {' '.join(told.codes)}",
    )  # fmt: skip


def _text(stall: Any) -> str:
    site = stall.get("site")
    where = f"{_place(site)} ({site['call']})" if site else "nobody's line"
    return f"{stall['cause']} {stall['held_ms']:.0f} ms in {where}: {stall['because']}"


def _is_route(case: Case, stall: Any) -> bool:
    """Where nobody on the loop is at fault, no route may be named either."""
    entry = stall.get("entry")
    return entry is not None and entry["name"] == case.route if marked(case) else entry is None


def _accuses_innocent(case: Case, stall: Any) -> bool:
    site = stall.get("site")
    return stall["cause"] != Cause.STARVED and site is not None and _place(site) not in marked(case)


def _place(site: Any) -> str:
    return f"{site['file']}:{site['line']}"


def _of_peer(case: Case, told: Told) -> Score:
    """In its favour: one word that is right about a thing is enough."""
    told = replace(told, words=tuple(word for word in told.words if word.at_ns >= told.spans[0][0]))
    if not told.words:
        return _missed(case, told)
    lines, right = [line for word in told.words for line in word.lines], marked(case)
    first_s = _first_s(told)
    return Score(
        case.name, told.tool, told.loop,
        caught=True,
        line=told.tool in NAMES["line"] and (any(map(right.__contains__, lines)) or right == tuple(lines)),
        cause=any(_is_cause(case, word) for word in told.words),
        route=_names_route(case, told.words),
        live=_is_live(told, first_s),
        noise=sum(not right.count(line) for line in lines) if told.tool == "trap" else 0,
        first_s=first_s,
        lasted_s=_lasted_s(told),
        said="; ".join(word.text for word in told.words[-2:]),
    )  # fmt: skip


def _is_cause(case: Case, word: Word) -> bool:
    """Their words are coarser than ours, and are judged as such."""
    if not word.label or case.cause is None:
        return False
    if word.label in ("waits", "computes"):
        return (word.label == "waits") == (case.cause in _WAITS)
    return word.label == case.cause


def _names_route(case: Case, words: Sequence[Word]) -> bool:
    """It alone: to name everybody in flight names nobody."""
    return any(word.routes == (f"{case.name}/7",) for word in words)


def _first_s(told: Told) -> float | None:
    if not told.words or not told.spans:
        return None
    first = min(word.at_ns for word in told.words)
    return (first - told.spans[0][0]) / 1e9 - THRESHOLDS_S.get(told.tool, 0.0)


def _is_live(told: Told, first_s: float | None) -> bool:
    """A tool that raises speaks before the call, so the call's end says nothing about it."""
    if first_s is None or first_s > LIVE_S:
        return False
    first = min(word.at_ns for word in told.words)
    return told.tool == "blockbuster" or first < told.spans[-1][1]


def _lasted_s(told: Told) -> float:
    return sum(end - begin for begin, end in told.spans) / 1e9


def _missed(case: Case, told: Told) -> Score:
    return Score(case.name, told.tool, told.loop, lasted_s=_lasted_s(told))
