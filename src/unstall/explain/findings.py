"""From stalls to findings: the same code at the same site on the same way in is one, with a price."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unstall.catalog.lookup import methods, rule_for
from unstall.explain.victims import distinct_victims
from unstall.model.finding import (
    Cause,
    Confidence,
    Evidence,
    Finding,
    Remedy,
    Severity,
    Stall,
)
from unstall.rules import BY_CODE

_COMPUTE = frozenset({"US112", "US200", "US201", "US202", "US203", "US204", "US205", "US206"})
_OF_CAUSE = {
    Cause.WAITING: "US100",
    Cause.LOCK: "US109",
    Cause.CPU: "US200",
    Cause.GIL: "US200",
    Cause.GC: "US901",
    Cause.STARVED: "US902",
    Cause.SATURATED: "US903",
    Cause.UNKNOWN: "US905",
    Cause.PAUSED: "US902",  # never a finding
}
_WAIT_CALLS = {
    "wait4": "US107",
    "waitid": "US107",
    "fsync": "US106",
    "fdatasync": "US106",
    "flock": "US106",
    "openat": "US106",
}


def is_startup(stall: Stall) -> bool:
    """A server that has served nobody yet is starting: importing, connecting, warming up.

    Unless its lifespan's start-up is complete, or it is no server and has come to rest.
    """
    return (
        not stall.settled
        and stall.served_before == 0
        and stall.request is None
        and stall.entry is not None
        and stall.entry.kind in ("startup", "lifespan")
    )


def code_of(stall: Stall) -> str:
    """The rule a stall breaks: by what was called where that fits the cause, else by the cause."""
    by_cause = _OF_CAUSE[stall.cause]
    if stall.cause is Cause.GIL and stall.site is None:
        return "US904"
    if stall.cause not in (Cause.WAITING, Cause.LOCK, Cause.CPU, Cause.GIL):
        return by_cause
    if stall.entry is not None and stall.entry.kind == "startup":
        return "US112"
    computes = stall.cause in (Cause.CPU, Cause.GIL)
    known = (rule_for(call) for call in (stall.site.call, *stall.inside)) if stall.site else ()
    by_call = next((code for code in known if code and (code in _COMPUTE) == computes), None)
    if by_call is not None:
        return by_call
    if is_likely(stall):
        return methods()[_method(stall)]
    if stall.cause is Cause.WAITING:
        return _WAIT_CALLS.get(stall.syscall or "", by_cause)
    return by_cause


def is_likely(stall: Stall) -> bool:
    """Whether the rule rests on a method's name: C code called by it was seen to wait on a peer."""
    return (
        stall.cause is Cause.WAITING
        and stall.native
        and stall.peer is not None
        and _method(stall) in methods()
        and rule_for(stall.site.call if stall.site else "") is None
    )


def _method(stall: Stall) -> str:
    _, dot, method = (stall.site.call if stall.site else "").rpartition(".")
    return method if dot else ""


def findings_of(stalls: Iterable[Stall], watched_ns: int = 0) -> tuple[Finding, ...]:
    """Findings with the dearest first: by time stolen, then by victims. `watched_ns` is that of all loops."""
    groups: dict[str, tuple[Finding, list[Stall]]] = {}
    for stall in stalls:
        if stall.cause is Cause.PAUSED:
            continue
        finding = _finding(stall)
        groups.setdefault(finding.fingerprint, (finding, []))[1].append(stall)
    priced = [_priced(finding, members, watched_ns) for finding, members in groups.values()]
    return tuple(sorted(priced, key=_price, reverse=True))


def _finding(stall: Stall) -> Finding:
    rule = BY_CODE[code_of(stall)]
    startup = is_startup(stall)
    unsure = stall.cause is Cause.UNKNOWN or is_likely(stall)
    return Finding(
        code=rule.code,
        title=rule.title,
        severity=Severity.NOTE if startup else rule.severity,
        confidence=Confidence.LIKELY if unsure else Confidence.CERTAIN,
        entry=stall.entry,
        site=stall.site,
        cause=stall.cause,
        remedy=Remedy(rule.remedy),
        reach=stall.reach,
    )


def _priced(finding: Finding, stalls: Sequence[Stall], watched_ns: int) -> Finding:
    held = sorted(stall.held_ns for stall in stalls)
    worst = max(stalls, key=lambda stall: stall.held_ns)
    evidence = Evidence(
        kind="measured",
        count=len(held),
        p50_ms=_ms(_percentile(held, 50)),
        p99_ms=_ms(_percentile(held, 99)),
        max_ms=_ms(held[-1]),
        total_ms=_ms(sum(held)),
        share=round(min(1.0, sum(held) / watched_ns), 6) if watched_ns else None,
        because=worst.because,
        syscall=worst.syscall,
        peer=worst.peer,
        victims=distinct_victims(stalls),
        victims_at_least=any(stall.at_least for stall in stalls),
        stolen_ms=_ms(sum(stall.stolen_ns for stall in stalls)),
        request_id=worst.request.request_id if worst.request else None,
    )
    return Finding(
        finding.code, finding.title, finding.severity, finding.confidence, finding.entry,
        worst.site, finding.cause, finding.remedy, worst.reach, evidence=(evidence,),
    )  # fmt: skip


def _price(finding: Finding) -> tuple[float, int]:
    evidence = finding.evidence[0]
    return evidence.total_ms or 0.0, evidence.victims or 0


def _percentile(held: Sequence[int], percent: int) -> int:
    """Nearest rank, as histograms have it: of two stalls the median is the shorter one."""
    return held[-(-percent * len(held) // 100) - 1]


def _ms(ns: int) -> float:
    return round(ns / 1e6, 1)
