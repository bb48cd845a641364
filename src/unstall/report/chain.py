"""The way from an entry to a site, as every format shows it: what runs, and where it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unstall.model.finding import Entry, Finding, Hop, Site
from unstall.model.path import Blocking, PathStep

_NAMED_BY_REQUEST = ("route", "websocket")
_MOST_ENTRIES = 3


@dataclass(frozen=True, slots=True)
class Link:
    """One name on the way. `place` is empty where it is not known, `file` where it has no line."""

    name: str
    place: str = ""
    file: str = ""
    line: int = 0


def chain_of(finding: Finding) -> tuple[Link, ...]:
    """From the entry to the call at the site."""
    rest = _below(finding.reach, finding.site, finding.runs_on)
    entry = finding.entry
    if entry is None:
        return rest
    if rest and rest[0].name == short(entry.function):
        first = _renamed(rest[0], label_of(entry))
        return (first, *(link for link in rest[1:] if link.name != first.name))
    # What it leads to may run later, or on another thread.
    return (Link(label_of(entry), "" if rest else finding.runs_on), *rest)


def chain_below(step: PathStep, blocking: Blocking) -> tuple[Link, ...]:
    """From a step's function to the call at the site."""
    rest = _below(blocking.reach, blocking.site, blocking.place)
    first = short(step.function)
    return rest if rest[0].name == first else (Link(first, step.place, step.file, step.line), *rest)


def shown(chain: Iterable[Link]) -> str:
    """`POST /asr [loop] → load_audio [loop] → ffmpeg.run [loop]`"""
    return " → ".join(f"{link.name} [{link.place}]" if link.place else link.name for link in chain)


def label_of(entry: Entry) -> str:
    """`POST /asr`; `background task tidy`; `dependency user of GET /me`."""
    name, function = short(entry.name), short(entry.function)
    if entry.kind in _NAMED_BY_REQUEST:
        return entry.name
    if name == function:
        return function if function == entry.kind else f"{entry.kind} {function}"
    return f"{entry.kind} {function} of {entry.name}"


def entries_of(finding: Finding, most: int = _MOST_ENTRIES) -> str:
    """`POST /a, POST /b, POST /c and 37 more`; the one of the chain first, then other requests."""
    ordered = sorted(
        finding.entries, key=lambda e: (e != finding.entry, e.kind not in _NAMED_BY_REQUEST)
    )
    labels = list(dict.fromkeys(map(label_of, ordered)))
    if len(labels) <= most + 1:
        return ", ".join(labels)
    return f"{', '.join(labels[:most])} and {len(labels) - most} more"


def short(name: str) -> str:
    """Without the module."""
    return name.rpartition(":")[2] or name


def _below(reach: Sequence[Hop], site: Site | None, place: str) -> tuple[Link, ...]:
    links = [Link(hop.function, hop.place, hop.file, hop.line) for hop in reach]
    if site is not None:
        if not links or links[-1].name != site.function:
            links.append(Link(site.function, place, site.file, site.line))
        if site.call and site.call != links[-1].name:
            links.append(Link(site.call, place, site.file, site.line))
    return tuple(links)


def _renamed(link: Link, name: str) -> Link:
    return Link(name, link.place, link.file, link.line)
