"""From calls that were fast to findings: what hangs the worker on the day that the other side hangs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

from unstall.catalog.lookup import rule_for
from unstall.explain.blame import answers, entry_of, reach_of, site_of, step_of
from unstall.model.finding import Cause, Confidence, Evidence, Finding, Remedy, Severity
from unstall.model.latent import LatentCall, merged_latent, one_peer
from unstall.model.observation import Request
from unstall.model.place import Stack
from unstall.rules import BY_CODE

QUIET_BELOW = frozenset(
    "anyio asyncio encodings gettext importlib _frozen_importlib _frozen_importlib_external inspect "
    "linecache locale logging mimetypes tokenize traceback uvloop warnings zoneinfo".split()
)
"""Packages that open, start or connect on behalf of a caller who asked for something else, or know how."""
_IMPORTS = frozenset({"importlib", "_frozen_importlib", "_frozen_importlib_external"})
STARTING = frozenset({"startup", "lifespan"})
_FILE = "US106"
_ONCE_IS_NONE = 2
"""A file that is opened once fills a cache, and is no habit."""


class Kind(NamedTuple):
    """What a call is, and what the worker depends on."""

    call: str
    other: str


_KINDS = {
    "US101": Kind("sleep", "the sleep grows"),
    "US102": Kind("HTTP call", "the server hangs"),
    "US103": Kind("database call", "the server hangs"),
    "US104": Kind("cache call", "the server hangs"),
    "US105": Kind("broker call", "the broker hangs"),
    "US106": Kind("file access", "the disk or its network mount hangs"),
    "US107": Kind("start of a process", "it or the machine is slow"),
    "US108": Kind("socket or DNS call", "the other end hangs"),
    "US110": Kind("cloud SDK call", "the service hangs"),
    "US109": Kind("wait for another thread", "that thread hangs"),
    "US111": Kind("mail, FTP, SSH or LDAP call", "the server hangs"),
    "US113": Kind("write of a log record", "the disk or the peer hangs"),
}
_OTHERWISE = Kind("wait", "what it waits for hangs")
_PRODUCTS = (
    ("psycopg", "PostgreSQL call"), ("pymysql", "MySQL call"), ("MySQLdb", "MySQL call"),
    ("mysql.", "MySQL call"), ("redis", "Redis call"), ("sqlite3", "SQLite call"),
    ("oracledb", "Oracle call"), ("duckdb", "DuckDB call"), ("grpc", "gRPC call"),
)  # fmt: skip
"""Beginnings of a call's name, and a better word than its rule has."""


def is_quiet(stack: Stack, request: Request | None, task: str | None) -> bool:
    """Whether a call is nobody's business: no application line made it, or it was for an import, a log
    record, the loop itself, or the start of the server."""
    step = step_of(stack)
    frames, at = step.frames, answers(step)
    if at is None:
        return True
    if any(_package(frame.module) in QUIET_BELOW for frame in frames[at + 1 :]):
        return True
    if any(_package(frame.module) in _IMPORTS for frame in frames):
        return True
    entry = entry_of(step, request, task)
    return entry is None or entry.kind in STARTING


def latent_findings(
    calls: Iterable[LatentCall], measured: Sequence[Finding] = ()
) -> tuple[Finding, ...]:
    """One for each place, the longest first; none where a stall of the same rule was measured."""
    known = {_where(finding) for finding in measured}
    groups: dict[tuple[str, int], list[tuple[Finding, LatentCall]]] = {}
    for call in merged_latent(calls):
        finding = _finding(call)
        if finding is not None and _where(finding) not in known:
            line = finding.site.line if finding.site else 0
            groups.setdefault((finding.fingerprint, line), []).append((finding, call))
    findings = [_priced(members) for members in groups.values()]
    kept = [each for each in findings if each is not None]
    return tuple(sorted(kept, key=lambda f: f.evidence[0].max_ms or 0.0, reverse=True))


def _where(finding: Finding) -> tuple[str, str, str]:
    site = finding.site
    return finding.code, site.file if site else "", site.function if site else ""


def _finding(call: LatentCall) -> Finding | None:
    if is_quiet(call.stack, call.request, call.task):
        return None
    step = step_of(call.stack)
    site = site_of(step)
    rule = BY_CODE[code_of_call(site.call if site else "", call.call)]
    return Finding(
        code=rule.code,
        title=rule.title,
        severity=Severity.NOTE if rule.code == _FILE else Severity.WARNING,
        confidence=Confidence.CERTAIN,
        entry=entry_of(step, call.request, call.task),
        site=site,
        cause=Cause.WAITING,
        remedy=Remedy(rule.remedy),
        reach=reach_of(step),
        latent=True,
    )


def code_of_call(at_site: str, call: str) -> str:
    """By the API at the site if it is one that waits, else by what was seen to be called in the end."""
    by_site = rule_for(at_site)
    if by_site is not None and by_site.startswith("US1") and by_site != "US112":
        return by_site
    return rule_for(call) or "US100"


def _priced(members: Sequence[tuple[Finding, LatentCall]]) -> Finding | None:
    """One request may connect, send and read: the call seen most often says how often."""
    finding, often = max(members, key=lambda member: member[1].times)
    if finding.code == _FILE and often.times < _ONCE_IS_NONE:
        return None
    took = [call.took_max_ns for _, call in members if call.took_max_ns is not None]
    longest = max(took, default=None)
    shown = often if longest is None else next(c for _, c in members if c.took_max_ns == longest)
    peer = _peer(call for _, call in members)
    request = often.request
    evidence = Evidence(
        kind="seen",
        count=often.times,
        max_ms=round(longest / 1e6, 1) if longest is not None else None,
        because=sentence_of(finding, shown.call, peer, longest),
        peer=peer,
        request_id=request.request_id if request else None,
    )
    return Finding(
        finding.code, finding.title, finding.severity, finding.confidence, finding.entry, finding.site,
        finding.cause, finding.remedy, finding.reach, latent=True, evidence=(evidence,),
    )  # fmt: skip


def _peer(calls: Iterable[LatentCall]) -> str | None:
    """Drivers tell it of each call, and events of the interpreter of the first."""
    calls = tuple(calls)
    drivers = [call.peer for call in calls if call.took_max_ns is not None]
    return reduce(one_peer, drivers, None) or next((call.peer for call in calls if call.peer), None)


def sentence_of(finding: Finding, call: str, peer: str | None, longest: int | None) -> str:
    """What is done, how long it took, and what comes of it on a bad day."""
    who = finding.entry.name if finding.entry else "something"
    kind = _KINDS.get(finding.code, _OTHERWISE)
    names = (call, finding.site.call if finding.site else "")
    word = next(
        (w for start, w in _PRODUCTS for name in names if name.startswith(start)), kind.call
    )
    duration = f" of {_duration(longest)}" if longest is not None else ""
    to = f" ({peer})" if peer else ""
    return f"{who} makes a synchronous {word}{to}{duration} on the loop; if {kind.other}, the worker hangs"


def _duration(ns: int) -> str:
    if ns < 100_000:
        return "less than 0.1 ms"
    return f"{ns / 1e6:.1f} ms" if ns < 10_000_000 else f"{ns / 1e6:.0f} ms"


def _package(module: str) -> str:
    return module.partition(".")[0]
