"""What the phases and the source say of one another: findings with their proof. Pure.

    proved      a call on the loop that stalled it longer under a fault than healthy, while a witness waited
    exercised   a call that was seen to go to that upstream, whose route was asked under the fault, often
                enough to meet it; nothing stalled there, and bystanders felt nothing

Nothing else is claimed. What was measured without being proved stays measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from unstall.explain.findings import findings_of
from unstall.model.finding import Cause, Confidence, Evidence, Finding, Site, Stall, is_proved
from unstall.model.proof import Phase
from unstall.model.report import WitnessVerdict
from unstall.prove.felt import felt_stalls
from unstall.prove.stood import WAITS
from unstall.prove.verdicts import MISSED_AT_MOST, chance_to_miss, felt
from unstall.report.units import counted, duration

_HURT = frozenset({WitnessVerdict.DEGRADED, WitnessVerdict.FROZEN})
_LONGER = 2
"""So many times longer than healthy, at least."""

Upstreams = Mapping[str, Sequence[str]]
"""Addresses, as `host:port`, by the variable that names them."""


def merged(
    phases: Sequence[Phase], source: Iterable[Finding] = (), upstreams: Upstreams | None = None
) -> tuple[Finding, ...]:
    """Findings of all phases and of source, each root cause once: the proved first, then by time stolen."""
    upstreams, source = upstreams or {}, tuple(source)
    others = _others(phases)
    phases = _by_cause(phases, source)
    stalled = _by_line(stall for phase in phases for stall in phase.report.stalls)
    seen = [_with_proofs(each, phases, upstreams) for each in stalled]
    seen += [e for e in others if not (e.latent and any(_same_line(e, s) for s in stalled))]
    partners = _partners(seen, source)
    alone = [each for n, each in enumerate(seen) if n not in partners]
    read: list[Finding] = []
    for n, finding in enumerate(source):
        ours = [seen[number] for number, at in partners.items() if at == n]
        read.append(_joined(finding, ours) if ours else finding)
    found = [_exercised(each, phases, upstreams) for each in (*alone, *read)]
    return tuple(sorted(found, key=_rank))


def same_place(one: Finding, other: Finding) -> bool:
    """Whether two findings blame the same call: fingerprints of what was read and what was seen differ."""
    a, b = one.site, other.site
    if a is None or b is None or a.file != b.file:
        return False
    if one.code[:3] != other.code[:3]:  # waits are no computing
        return False
    return a.line == b.line or (a.function == b.function and a.call == b.call)


def _same_line(one: Finding, other: Finding) -> bool:
    a, b = one.site, other.site
    return same_place(one, other) and a is not None and b is not None and a.line == b.line


def _partners(seen: Sequence[Finding], source: Sequence[Finding]) -> dict[int, int]:
    """Which of the source each one seen was, by their numbers.

    It is the call on its line; without one, a like call of the function that was seen at no other line.
    """
    found: dict[int, int] = {}
    lines: dict[int, int | None] = {}
    for matches in (_same_line, same_place):
        for number, each in enumerate(seen):
            line = _line(each.cause, each.site)
            ours = (n for n, read in enumerate(source) if matches(each, read))
            at = next((n for n in ours if lines.get(n, line) == line), None)
            if number not in found and at is not None:
                found[number], lines[at] = at, line
    return found


def _by_line(stalls: Iterable[Stall]) -> tuple[Finding, ...]:
    """Findings of stalls; two like calls in one function are two where stalls tell their lines."""
    by_line: dict[int | None, list[Stall]] = {}
    for stall in stalls:
        by_line.setdefault(_line(stall.cause, stall.site), []).append(stall)
    return tuple(finding for each in by_line.values() for finding in findings_of(each))


def _line(cause: Cause, site: Site | None) -> int | None:
    """Of a wait: what computes goes over many lines, and is one."""
    return site.line if site is not None and cause in WAITS else None


def _others(phases: Sequence[Phase]) -> list[Finding]:
    """What the phases found beside stalls, each once: calls that were fast by their lines as well."""
    stalled = {
        each.fingerprint
        for each in findings_of(stall for phase in phases for stall in phase.report.stalls)
    }
    found = {
        (each.fingerprint, each.latent and _line(each.cause, each.site)): each
        for phase in reversed(phases)
        for each in phase.report.findings
        if each.latent or each.fingerprint not in stalled
    }
    return list(found.values())


def _by_cause(phases: Sequence[Phase], source: Sequence[Finding]) -> list[Phase]:
    """Where the source shows one call, stalls there are of one cause, whichever entry led to it.

    The entry of the longest speaks for all of them.
    """
    stalls = [stall for phase in phases for stall in phase.report.stalls]
    longest: dict[int, Stall] = {}
    of: dict[Stall, int] = {}
    for number, at in _partners([findings_of((each,))[0] for each in stalls], source).items():
        stall = stalls[number]
        of[stall] = at
        known = longest.get(at)
        if known is None or stall.held_ns > known.held_ns:
            longest[at] = stall
    return [
        replace(
            phase,
            report=replace(
                phase.report,
                stalls=tuple(
                    replace(stall, entry=longest[of[stall]].entry) if stall in of else stall
                    for stall in phase.report.stalls
                ),
            ),
        )
        for phase in phases
    ]


# --- proved ---------------------------------------------------------------------------------


def _with_proofs(finding: Finding, phases: Sequence[Phase], upstreams: Upstreams) -> Finding:
    proofs = [
        proof
        for phase in phases
        if phase.fault is not None and (proof := _proof(finding, phase, phases, upstreams))
    ]
    if not proofs:
        return finding
    evidence = (*_longest_of_each_fault(proofs), *finding.evidence)
    return replace(finding, evidence=evidence, confidence=Confidence.CERTAIN)


def _longest_of_each_fault(proofs: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """A phase that was repeated proves the same again."""
    best: dict[str | None, Evidence] = {}
    for each in proofs:
        known = best.get(each.fault)
        if known is None or (each.total_ms or 0) > (known.total_ms or 0):
            best[each.fault] = each
    return tuple(best.values())


def _proof(
    finding: Finding, phase: Phase, phases: Sequence[Phase], upstreams: Upstreams
) -> Evidence | None:
    if phase.fault is None or phase.verdict not in _HURT or finding.site is None:
        return None
    if finding.cause not in WAITS or finding.latent:
        return None
    stalls = [
        stall
        for stall in _stalls_at(finding, phase)
        if _may_be_of(stall.peer, phase.fault.upstream, upstreams)
    ]
    healthy = next((p for p in phases if p.fault is None and p.repeat == phase.repeat), None)
    before = _longest(_stalls_at(finding, healthy)) if healthy else 0
    stalls = [
        stall
        for stall in felt_stalls(stalls, phase)
        if stall.victims and stall.held_ns >= _LONGER * before
    ]
    if not stalls:
        return None
    (priced,) = findings_of(stalls)
    because = (
        f"{counted(len(stalls), 'stall')} up to {duration(_longest(stalls))}; {felt(phase.outcome)}"
    )
    if healthy:
        because += f", and {felt(healthy.outcome)} when healthy"
    return replace(
        priced.evidence[0], kind="proved", fault=phase.fault.title, share=None, because=because
    )


def _stalls_at(finding: Finding, phase: Phase) -> list[Stall]:
    return [
        stall
        for stall in phase.report.stalls
        if stall.site is not None
        and _line(stall.cause, stall.site) == _line(finding.cause, finding.site)
        and findings_of((stall,))[0].fingerprint == finding.fingerprint
    ]


def _longest(stalls: Iterable[Stall]) -> int:
    return max((stall.held_ns for stall in stalls), default=0)


def _may_be_of(peer: str | None, upstream: str, upstreams: Upstreams) -> bool:
    """Whether a wait on `peer` can be for that upstream: not if it is known to be for somebody else."""
    if peer is None or not _is_address(peer):
        return True
    return peer in upstreams.get(upstream, ())


def _is_address(peer: str) -> bool:
    host, colon, port = peer.rpartition(":")
    return bool(host and colon and port.isdigit())


# --- exercised ------------------------------------------------------------------------------


def _exercised(finding: Finding, phases: Sequence[Phase], upstreams: Upstreams) -> Finding:
    if is_proved(finding) or finding.cause not in WAITS or finding.site is None:
        return finding
    found: dict[str, Evidence] = {}
    for phase in phases:
        each = _without_effect(finding, phase, upstreams)
        if each is not None and each.fault is not None:
            found.setdefault(each.fault, each)
    return replace(finding, evidence=(*finding.evidence, *found.values()))


def _without_effect(finding: Finding, phase: Phase, upstreams: Upstreams) -> Evidence | None:
    fault = phase.fault
    if fault is None or phase.verdict is not WitnessVerdict.ISOLATED:
        return None
    peers = {each.peer for each in finding.evidence if each.peer is not None}
    if not peers or not peers <= set(upstreams.get(fault.upstream, ())):
        return None  # the route may have met the fault somewhere else, or not at all
    if any(same_place(finding, each) and not each.latent for each in phase.report.findings):
        return None
    asked = _asked(finding, phase)
    calls = sum(asked.values())
    if chance_to_miss(calls, fault, phase.exchanges) > MISSED_AT_MOST:
        return None
    return Evidence(
        kind="exercised",
        count=calls,
        fault=fault.title,
        because=f"asked under {fault.title}: {', '.join(sorted(asked))}; no stall here, and {phase.because}",
    )


def _asked(finding: Finding, phase: Phase) -> dict[str, int]:
    """How often its routes came as far as their endpoint. A request refused before that tried nothing."""
    names = {each.name for each in (finding.entry, *finding.entries) if each is not None}
    return {
        cost.entry: calls
        for cost in phase.report.entries
        if cost.entry in names
        and (calls := sum(piece.calls for piece in cost.pieces if piece.kind == "endpoint"))
    }


# --- of source ------------------------------------------------------------------------------


def _joined(source: Finding, partners: Sequence[Finding]) -> Finding:
    """What was read, with what was seen: the worst of it says where and why."""
    worst = min(partners, key=_rank)
    evidence = [
        each for kind in _ORDER for p in partners for each in p.evidence if each.kind == kind
    ]
    return replace(
        source,
        severity=worst.severity,
        confidence=Confidence.CERTAIN,
        entry=worst.entry or source.entry,
        site=worst.site,
        cause=worst.cause,
        reach=worst.reach or source.reach,
        latent=worst.latent,
        evidence=(*evidence, *source.evidence),
    )


_ORDER = ("proved", "measured", "seen", "reached", "exercised")


def _rank(finding: Finding) -> tuple[bool, bool, float]:
    stolen = sum(each.total_ms or 0.0 for each in finding.evidence if each.kind == "measured")
    return not is_proved(finding), not stolen, -stolen
