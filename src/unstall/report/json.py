"""A report for programs, as `docs/reference/report-json.md` describes it."""

from __future__ import annotations

import json
from typing import Any

from unstall.model.anatomy import Piece, SlowRequest
from unstall.model.codec import dump
from unstall.model.cost import EntryCost, PieceCost, ThreadCost
from unstall.model.finding import Finding, Hop, Site, Stall
from unstall.model.histogram import Histogram
from unstall.model.path import Blocking, PathStep, RequestPath
from unstall.model.report import Report, Waived

VERSION = 1


def render(report: Report) -> str:
    """Keys in one order always, without a final newline."""
    return json.dumps(document_of(report), indent=2, ensure_ascii=False)


def document_of(report: Report) -> dict[str, Any]:
    name, _, version = report.tool.partition(" ")
    return {
        "version": VERSION,
        "tool": {"name": name or "unstall", "version": version or None},
        "target": report.target,
        "verdict": report.verdict.value,
        "findings": [finding_of(finding) for finding in report.findings],
        "gaps": list(report.gaps),
        "coverage": dict(sorted(report.coverage.items())),
        "lag": _lag(report.lag),
        "entries": [_entry(cost) for cost in report.entries],
        "threads": [_threads(cost) for cost in report.threads],
        "slow": [slow_of(request) for request in report.slow],
        "stalls": [_stall(stall) for stall in report.stalls],
        "startup": [_stall(stall) for stall in report.startup],
        "paths": [_path(path) for path in report.paths],
        "waived": [_waived(each) for each in report.waived],
        "hidden": dict(sorted(report.hidden.items())),
        "objections": list(report.objections),
        "remarks": list(report.remarks),
    }


def finding_of(finding: Finding) -> dict[str, Any]:
    """One finding; every key is always there, except inside `evidence`."""
    return {
        "code": finding.code,
        "title": finding.title,
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "entry": dump(finding.entry),
        "entries": [dump(entry) for entry in finding.entries],
        "reach": [_place(hop) for hop in finding.reach],
        "site": _place(finding.site),
        "runs_on": finding.runs_on,
        "cause": finding.cause.value,
        "latent": finding.latent,
        "impact": finding.impact,
        "evidence": [dump(evidence) for evidence in finding.evidence],
        "remedy": {"summary": finding.remedy.summary, "edit": finding.remedy.edit},
        "fingerprint": finding.fingerprint,
        "docs": finding.docs,
    }


def _place(place: Site | Hop | None) -> dict[str, Any] | None:
    return dump(place) if place is not None else None


def _path(path: RequestPath) -> dict[str, Any]:
    return {
        "entry": dump(path.entry),
        "file": path.file,
        "line": path.line,
        "steps": [_step(step) for step in path.steps],
    }


def _step(step: PathStep) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "function": step.function,
        "place": step.place,
        "why": step.why,
        "file": step.file,
        "line": step.line,
        "depth": step.depth,
        "hops": step.hops,
        "blocking": [_blocking(each) for each in step.blocking],
        "unknown": list(step.unknown),
    }


def _blocking(blocking: Blocking) -> dict[str, Any]:
    return {
        "code": blocking.code,
        "site": _place(blocking.site),
        "reach": [_place(hop) for hop in blocking.reach],
        "place": blocking.place,
        "confidence": blocking.confidence.value,
        "cost": blocking.cost,
        "time_out": blocking.time_out or None,
        "fingerprint": blocking.fingerprint or None,
    }


def _waived(waived: Waived) -> dict[str, Any]:
    return {
        "finding": finding_of(waived.finding),
        "reason": waived.reason,
        "file": waived.file,
        "line": waived.line,
        "until": waived.until,
    }


def _stall(stall: Stall) -> dict[str, Any]:
    return {
        "process": stall.process,
        "loop": stall.loop,
        "from_ns": stall.from_ns,
        "held_ms": _ms(stall.held_ns),
        "ongoing": stall.ongoing,
        "cause": stall.cause.value,
        "because": stall.because,
        "site": _place(stall.site),
        "request_id": stall.request.request_id if stall.request else None,
        "steps": len(stall.steps),
        "victims": {
            "waiting_in_flight": stall.waiting_in_flight,
            "at_door": stall.at_door,
        },
    }


def _entry(cost: EntryCost) -> dict[str, Any]:
    return {
        "entry": cost.entry,
        "calls": cost.calls,
        "held": _distribution(cost.held),
        "took_ms": _ms(cost.took_ns),
        "took_max_ms": _ms(cost.took_max_ns),
        "share": None if cost.share is None else round(cost.share, 6),
        "most_per_s": None if cost.most_per_s is None else round(cost.most_per_s, 3),
        "pieces": [_piece(piece, calls=piece.calls) for piece in cost.pieces],
    }


def _threads(cost: ThreadCost) -> dict[str, Any]:
    return {
        "pool": cost.pool,
        "tokens": cost.tokens or None,
        "calls": cost.calls,
        "full": cost.full,
        "waiting_max": cost.waiting_max,
        "queued": _distribution(cost.queued),
        "worked": _distribution(cost.worked),
        "functions": list(cost.functions),
    }


def slow_of(request: SlowRequest) -> dict[str, Any]:
    """One slow request with its whole path."""
    return {
        "process": request.process,
        "entry": request.entry,
        "request_id": request.request_id,
        "took_ms": _ms(request.took_ns),
        "held_ms": _ms(request.held_ns),
        "cut": request.cut,
        "pieces": [_piece(piece, began_ms=_ms(piece.began_ns)) for piece in request.pieces],
    }


def _piece(piece: Piece | PieceCost, **own: float) -> dict[str, Any]:
    return {
        "kind": piece.kind,
        "name": piece.name,
        "depth": piece.depth,
        **own,
        "took_ms": _ms(piece.took_ns),
        "held_ms": None if piece.held_ns is None else _ms(piece.held_ns),
        "own_ms": _ms(piece.own_ns),
        "waited_ms": _ms(piece.waited_ns),
        "queued_ms": _ms(piece.queued_ns),
        "in_thread_ms": _ms(piece.worked_ns),
        "hops": piece.hops,
    }


def _distribution(durations: Histogram) -> dict[str, Any]:
    return _lag(durations) | {"sum_ms": _ms(durations.sum_ns)}


def _lag(lag: Histogram) -> dict[str, Any]:
    quantiles = {"p50_ms": lag.quantile_ns(0.5), "p99_ms": lag.quantile_ns(0.99)}
    return {
        "count": lag.count,
        **{name: None if ns is None else _ms(ns) for name, ns in quantiles.items()},
        "max_ms": _ms(lag.max_ns) if lag.count else None,
    }


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
