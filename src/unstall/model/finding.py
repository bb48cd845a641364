"""What is claimed: a stall with its cause, and the finding that a stall is an instance of."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass

from unstall.model.observation import Holder, Request


class Cause(enum.StrEnum):
    """Why the loop could run nothing else."""

    WAITING = "waiting"
    CPU = "cpu"
    GIL = "gil"
    LOCK = "lock"
    GC = "gc"
    STARVED = "starved"
    SATURATED = "saturated"
    UNKNOWN = "unknown"
    """Not enough was seen to say."""
    PAUSED = "paused"
    """It stood at a debugger's prompt: no stall, and counted apart."""


class Severity(enum.StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Confidence(enum.StrEnum):
    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"
    """More than one guess lies between it and the source: hidden by default."""


@dataclass(frozen=True, slots=True)
class Site:
    """The user's line to blame, and the outermost meaningful API called there."""

    file: str
    line: int
    function: str
    call: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One call on the way from the entry to the site."""

    file: str
    line: int
    function: str
    call: str
    place: str = ""
    """Where `function` runs, by its source: `loop`, `thread pool`, …; empty of a stall that was seen."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the loop entered user code."""

    kind: str
    """route, dependency, middleware, exception handler, lifespan, startup, import (what runs when an app is
    imported or made), background task, task, callback."""
    name: str
    """`GET /users/{id}` where a request was served, else the function."""
    function: str
    """`module:qualname`"""


@dataclass(frozen=True, slots=True)
class Step:
    """One uninterrupted run on the loop, as far as looks can tell."""

    from_ns: int
    until_ns: int
    looks: int
    task: str | None = None

    @property
    def seen_ns(self) -> int:
        return self.until_ns - self.from_ns


@dataclass(frozen=True, slots=True)
class Stall:
    """One stall, explained."""

    process: str
    loop: int
    from_ns: int
    until_ns: int
    cause: Cause
    because: str
    """The evidence for the cause, with its values, in one clause."""
    steps: tuple[Step, ...] = ()
    site: Site | None = None
    entry: Entry | None = None
    reach: tuple[Hop, ...] = ()
    inside: tuple[str, ...] = ()
    """What the catalog knows below a site in an installed package, the outermost first."""
    request: Request | None = None
    native: bool = False
    """The site called C code: no Python frame lay below it."""
    syscall: str | None = None
    peer: str | None = None
    holder: Holder | None = None
    waiting_in_flight: int = 0
    """Victims that were under way when the loop stalled."""
    at_door: int = 0
    """Victims that waited to be let in: seen in the kernel's queues, or let in while it caught up."""
    at_least: bool = False
    """There were more victims under way than could be counted."""
    served_before: int = 0
    """Requests that had begun before it in its process: 0 while the server starts."""
    settled: bool = False
    """Start-up was over before it, by what else than a request shows it."""
    ongoing: bool = False

    @property
    def held_ns(self) -> int:
        return self.until_ns - self.from_ns

    @property
    def victims(self) -> int:
        return self.waiting_in_flight + self.at_door

    @property
    def stolen_ns(self) -> int:
        """From the victims that were counted, at most: as if each had waited from its beginning to its end.

        Who came in its midst lost less, and so did who would have waited for something else anyway.
        """
        return self.victims * self.held_ns


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a finding is believed; times in milliseconds."""

    kind: str
    """reached, seen, measured, proved (seen to freeze bystanders under `fault`) or exercised (asked under
    `fault`, without effect on anybody else)"""
    count: int | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    total_ms: float | None = None
    share: float | None = None
    """Of the time in which loops were watched, 0 to 1."""
    because: str | None = None
    syscall: str | None = None
    peer: str | None = None
    victims: int | None = None
    """Requests that waited, each counted once however many of the stalls it waited through."""
    victims_at_least: bool = False
    """There were more than could be counted."""
    stolen_ms: float | None = None
    """From those victims, at most: as if each had waited through the whole of each of its stalls."""
    request_id: str | None = None
    """Of the longest stall."""
    fault: str | None = None
    """The title of the one that it was under, in a run with faults."""


@dataclass(frozen=True, slots=True)
class Remedy:
    summary: str
    edit: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule broken at a site, reached from an entry, with its evidence and its price."""

    code: str
    title: str
    severity: Severity
    confidence: Confidence
    entry: Entry | None
    site: Site | None
    cause: Cause
    remedy: Remedy
    reach: tuple[Hop, ...] = ()
    runs_on: str = "loop"
    latent: bool = False
    evidence: tuple[Evidence, ...] = ()
    entries: tuple[Entry, ...] = ()
    """All entries that it touches, if it was read from source: one root cause is one finding."""
    impact: str | None = None
    """As source shows it: `high` (no bound is known), `low` (milliseconds) or `trivial` (a single stat)."""

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that survive edits above the site: no line number is in them.

        What was read from source keeps it when a further entry reaches the site.
        """
        entry, site = self.entry, self.site
        parts = [self.code, str(self.cause)]
        if self.entries:
            parts.append(self.runs_on)
        else:
            parts += [entry.kind, entry.name, entry.function] if entry else [""]
        parts += [site.file, site.function] if site else [""]
        if site and (self.entries or self.cause not in (Cause.CPU, Cause.SATURATED)):
            parts.append(site.call)  # what is seen to compute calls now this, now that
        whole = "\x1f".join(parts).encode(errors="surrogatepass")  # a path may be no text
        return hashlib.sha256(whole).hexdigest()[:16]

    @property
    def docs(self) -> str:
        return f"rules/{self.code}"


def is_proved(finding: Finding) -> bool:
    """Seen to freeze or slow bystanders under a fault."""
    return any(each.kind == "proved" for each in finding.evidence)


@dataclass(frozen=True, slots=True)
class Told:
    """A finding that a process made itself while it happened, as it stands in a recording."""

    process: str
    finding: Finding
