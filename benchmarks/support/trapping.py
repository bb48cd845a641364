"""unstall's test mode as a tool of the matrix: armed before the application is made, as under pytest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.support.machine import ROOT
from benchmarks.support.peers import Peer, Said
from unstall.model.finding import Finding
from unstall.traps.hooks import HOOKS
from unstall.traps.trap import Trap

if TYPE_CHECKING:
    from fastapi import FastAPI


def arm() -> None:
    HOOKS.hold()


def trap(app: FastAPI, said: Said) -> Peer:
    """All that it finds counts, notes as well."""
    caught = Trap(root=ROOT)

    def ended() -> None:
        caught.__exit__(None, None, None)
        for finding in caught.findings:
            _say(said, finding)

    return Peer(lambda: _open(caught), ended=ended)


def _open(caught: Trap) -> None:
    caught.__enter__()


def _say(said: Said, finding: Finding) -> None:
    site, entry = finding.site, finding.entry
    place = f"{site.file}:{site.line}" if site else ""
    because = "; ".join(each.because or "" for each in finding.evidence)
    said(
        f"{finding.severity} {finding.code} {place} ({site.call if site else ''}): {because}",
        label=str(finding.cause),
        lines=(place,) if place else (),
        routes=(entry.name.removeprefix("GET /").replace("{item}", "7"),) if entry else (),
    )
