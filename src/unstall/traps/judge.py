"""From calls that a trap saw to findings. Pure: what was seen comes in, what is claimed comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from unstall.catalog.allowed import Pack, packs
from unstall.explain.blame import answers, entry_of, reach_of, site_of, step_of
from unstall.explain.latent import STARTING, code_of_call, sentence_of
from unstall.model.finding import (
    Cause,
    Confidence,
    Entry,
    Evidence,
    Finding,
    Remedy,
    Severity,
    Site,
)
from unstall.model.latent import LatentCall
from unstall.model.place import Frame, Owner, Stack
from unstall.rules import BY_CODE
from unstall.traps.events import IMPORT

_IMPORT = "US112"
_LOCK = "US109"
_WAIT = "US100"
_DEAREST = (
    "US103", "US104", "US105", "US102", "US110", "US111", "US101", "US107", "US109", "US108", "US113",
    "US106", "US100", "US112",
)  # fmt: skip
"""Which rule names a call that broke several on its way, the most telling first."""
_OF_LIBRARIES = frozenset({"US101", "US102", "US103", "US104", "US105", "US110", "US111"})
"""What is believed of a library's own line, as a middleware's, whoever stands above it."""
TRIVIAL = frozenset({"os.stat", "os.lstat", "os.access", "os.readlink", "os.statvfs", "os.chdir"})
"""Microseconds on any disk that is not a network's."""
_WAITS = {_LOCK: Cause.LOCK}


class Claim(NamedTuple):
    """One call, with what it breaks and where."""

    code: str
    entry: Entry
    site: Site
    call: LatentCall


def findings_of_calls(
    calls: Iterable[LatentCall], ignore: Sequence[str] = (), allowed: Sequence[Pack] | None = None
) -> tuple[Finding, ...]:
    """All that one call did below its line is one finding, and so are calls of a kind on one line."""
    by_call: dict[tuple[Entry, Site], list[Claim]] = {}
    for call in calls:
        claim = claim_of(call, ignore, packs() if allowed is None else allowed)
        if claim is not None:
            by_call.setdefault((claim.entry, claim.site), []).append(claim)
    by_line: dict[tuple[object, ...], list[Claim]] = {}
    for (entry, site), claims in by_call.items():
        line = entry, site.file, site.line, site.function, _dearest(claims)
        by_line.setdefault(line, []).extend(claims)
    return tuple(_finding(claims) for claims in by_line.values())


def claim_of(call: LatentCall, ignore: Sequence[str], allowed: Sequence[Pack]) -> Claim | None:
    """None where nobody is at fault, nobody can be blamed, or somebody answers for it."""
    step = step_of(call.stack)
    site, entry = site_of(step), entry_of(step, call.request, call.task)
    if site is None or entry is None or entry.kind in STARTING:
        return None
    under, is_app = below(step)
    last = all(frame.owner is Owner.SELF for frame in under)
    written, site = site.call, _named(site, call.call, is_last=last)
    api = "" if call.call in TRIVIAL else site.call  # a look at a file is no call of a database's
    code = code_of_call(api, call.call) if call.call != IMPORT else _IMPORT
    if call.call == IMPORT and not (last and is_app and _is_import(written)):
        return None  # a library's own business
    if not is_app and code not in _OF_LIBRARIES:
        return None
    pack = next((each for each in allowed if each.holds(code, site.file, under, call.peer)), None)
    if pack is not None and not pack.becomes:
        return None
    code = pack.becomes if pack is not None else code
    if is_ignored(code, (site.call, call.call), ignore):
        return None
    return Claim(code, entry, site, call)


def _is_import(written: str) -> bool:
    """Whether a line imports itself; else a library in C does it, which has no frame of its own."""
    return not written or written.rpartition(".")[2] in ("import", "__import__", "import_module")


def is_ignored(code: str, calls: Iterable[str], ignore: Sequence[str]) -> bool:
    """`ignore` holds codes, beginnings of codes, and names of calls with `*` for anything."""
    if any(code.startswith(each) for each in ignore):
        return True
    return any(fnmatchcase(call, each) for call in calls for each in ignore)


def _named(site: Site, call: str, *, is_last: bool) -> Site:
    """`thread.join` as `threading.Thread.join`, where the hook knows better than the line's text."""
    same = site.call.rpartition(".")[2] == call.rpartition(".")[2]
    if call == IMPORT or not site.call or (is_last and same):
        return Site(site.file, site.line, site.function, call)
    return site


def below(step: Stack) -> tuple[tuple[Frame, ...], bool]:
    """The frames under the line that answers for the call, else all of the step's; and whether that line is
    the application's own, and not an installed package's."""
    frames, at = step.frames, answers(step)
    return (frames, False) if at is None else (frames[at + 1 :], frames[at].owner is Owner.APP)


def _dearest(claims: Sequence[Claim]) -> str:
    return min((claim.code for claim in claims), key=_DEAREST.index)


def _finding(claims: Sequence[Claim]) -> Finding:
    code = _dearest(claims)
    rule = BY_CODE[code]
    main = [claim.call for claim in claims if claim.code == code]
    often = max(main, key=lambda call: call.times)
    longest = max((call.took_max_ns for call in main if call.took_max_ns is not None), default=None)
    peer = next((claim.call.peer for claim in claims if claim.call.peer), None)
    trivial = all(claim.call.call in TRIVIAL for claim in claims)
    entry, site = claims[0].entry, claims[0].site
    step = step_of(often.stack)
    guessed = code == _WAIT  # by its waiting alone, which might have been for the interpreter lock
    severity = Severity.WARNING if guessed else rule.severity
    bare = Finding(
        code=code,
        title=rule.title,
        severity=Severity.NOTE if trivial else severity,
        confidence=Confidence.LIKELY if guessed else Confidence.CERTAIN,
        entry=entry,
        site=site,
        cause=_WAITS.get(code, Cause.WAITING),
        remedy=Remedy(rule.remedy),
        reach=reach_of(step),
        latent=True,
        impact="trivial" if trivial else None,
    )
    evidence = Evidence(
        kind="seen",
        count=often.times,
        max_ms=round(longest / 1e6, 3) if longest is not None else None,
        because=_because(bare, often, peer, longest),
        peer=peer if code != _IMPORT else None,
        request_id=often.request.request_id if often.request else None,
    )
    return _with(bare, evidence)


def _because(finding: Finding, call: LatentCall, peer: str | None, longest: int | None) -> str:
    if call.call == IMPORT:
        return f"{finding.entry.name if finding.entry else 'it'} imports {call.peer} for the first time"
    return sentence_of(finding, call.call, peer, longest)


def _with(finding: Finding, *evidence: Evidence) -> Finding:
    return Finding(
        finding.code, finding.title, finding.severity, finding.confidence, finding.entry, finding.site,
        finding.cause, finding.remedy, finding.reach, latent=finding.latent, evidence=evidence,
        impact=finding.impact,
    )  # fmt: skip
