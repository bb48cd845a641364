"""Literal findings and paths as the audit makes them, that the formats are held against."""

from __future__ import annotations

from unstall.model.finding import (
    Cause,
    Confidence,
    Entry,
    Evidence,
    Finding,
    Hop,
    Remedy,
    Severity,
    Site,
)
from unstall.model.path import Blocking, PathStep, RequestPath
from unstall.model.report import Report, Verdict, Waived
from unstall.rules import BY_CODE

ASR = Entry("route", "POST /asr", "shop.audio:transcribe")
TEXT = Entry("route", "GET /text/{id}", "shop.audio:text")
TIDY = Entry("background task", "tidy", "shop.jobs:tidy")


def reached(
    code: str = "US103",
    call: str = "sqlalchemy.orm.Session.execute",
    *,
    file: str = "shop/repo.py",
    line: int = 88,
    function: str = "Repo.load",
    entries: tuple[Entry, ...] = (ASR,),
    reach: tuple[Hop, ...] = (Hop("shop/audio.py", 31, "transcribe", "repo.load", "loop"),),
    place: str = "loop",
    confidence: Confidence = Confidence.CERTAIN,
    severity: Severity | None = None,
    impact: str | None = "high",
    because: str | None = None,
    cause: Cause = Cause.WAITING,
) -> Finding:
    """A finding of the audit; by itself a query two functions below a route."""
    rule = BY_CODE[code]
    return Finding(
        code=code,
        title=rule.title,
        severity=rule.severity if severity is None else severity,
        confidence=confidence,
        entry=entries[0] if entries else None,
        site=Site(file, line, function, call),
        cause=cause,
        remedy=Remedy(rule.remedy),
        reach=reach,
        runs_on=place,
        latent=True,
        evidence=(Evidence("reached", because=because),),
        entries=entries,
        impact=impact,
    )


QUERY = reached()
PROBE = reached(
    "US107",
    "subprocess.run",
    file="shop/audio.py",
    line=40,
    function="transcribe",
    reach=(),
    confidence=Confidence.LIKELY,
)
MODEL = reached(
    "US106",
    "builtins.open",
    file="shop/app.py",
    line=9,
    function="lifespan",
    entries=(Entry("lifespan", "lifespan", "shop.app:lifespan"),),
    reach=(),
    place="start-up",
    severity=Severity.NOTE,
)
ADVICE = reached(
    "US112", "PIL.Image", file="shop/audio.py", line=44, function="transcribe", reach=(),
    severity=Severity.NOTE, because="PIL is first loaded while a request waits",
)  # fmt: skip
PATH = RequestPath(
    ASR,
    "shop/audio.py",
    30,
    (
        PathStep("middleware", "shop.app:Timing", "loop", "it only awaits", "shop/app.py", 20),
        PathStep("dependency", "shop.db:url", "loop", "it awaits nothing", "shop/db.py", 2, depth=1),
        PathStep(
            "dependency", "shop.db:session", "thread pool",
            "a plain def dependency runs in the thread pool", "shop/db.py", 5, hops=2,
        ),
        PathStep(
            "endpoint",
            "shop.audio:transcribe",
            "loop",
            "an async def endpoint runs on the loop",
            "shop/audio.py",
            30,
            blocking=(
                Blocking(
                    "US103", QUERY.site or Site("", 0, "", ""), QUERY.reach, "loop",
                    Confidence.CERTAIN, "unbounded", "no time-out", QUERY.fingerprint,
                ),
                Blocking(
                    "US107", PROBE.site or Site("", 0, "", ""), (), "loop", Confidence.LIKELY, "ms",
                    "timeout=5", PROBE.fingerprint,
                ),
            ),
            unknown=("shop/audio.py:42 engine.start: annotate `engine`",),
        ),
    ),
)  # fmt: skip
CLEAN_PATH = RequestPath(
    TEXT,
    "shop/audio.py",
    60,
    (
        PathStep(
            "endpoint", "shop.audio:text", "thread pool", "a plain def endpoint", "shop/audio.py", 60,
            hops=2,
        ),
    ),
)  # fmt: skip
WAIVED = Waived(
    reached(line=120, function="Repo.slow"), "runs once a day", "shop/repo.py", 119, "2027-01-31"
)
READ = Report(
    "unstall 0.1.0",
    "shop",
    Verdict.FINDINGS,
    findings=(QUERY, PROBE, ADVICE, MODEL),
    coverage={"files": 7, "entries": 41, "calls": 340, "unknown_calls": 9},
    gaps=(
        "shop/broken.py was not analysed: this Python cannot parse it in line 3: invalid syntax",
    ),
    paths=(PATH, CLEAN_PATH),
    waived=(WAIVED,),
    hidden={"trivial": 12, "baseline": 3},
    remarks=("1 finding of the baseline is gone: --update-baseline drops them",),
)
