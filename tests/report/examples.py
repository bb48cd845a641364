"""Literal findings and reports that the renderers are held against."""

from __future__ import annotations

from unstall.model.finding import (
    Cause,
    Confidence,
    Evidence,
    Finding,
    Hop,
    Remedy,
    Severity,
)
from unstall.model.histogram import Histogram
from unstall.model.report import Report, Verdict
from unstall.testing import entry, ns_of, request, site, stall

MEASURED = Evidence(
    kind="measured",
    count=12,
    p50_ms=2001.0,
    p99_ms=2012.4,
    max_ms=2012.4,
    total_ms=24040.0,
    because="the loop's thread was in poll on 127.0.0.1:9000 at 9 of 9 looks",
    syscall="poll",
    peer="127.0.0.1:9000",
    victims=37,
    request_id="7f3a",
)
CHARGE = Finding(
    code="US102",
    title="a synchronous HTTP call on the event loop",
    severity=Severity.ERROR,
    confidence=Confidence.CERTAIN,
    entry=entry(),
    site=site("requests.get"),
    cause=Cause.WAITING,
    remedy=Remedy("use one shared httpx2.AsyncClient with a time-out"),
    reach=(
        Hop("shop/orders.py", 20, "create", ""),
        Hop("shop/service.py", 44, "Orders.place", ""),
    ),
    evidence=(MEASURED,),
)
STARVED = Finding(
    code="US902",
    title="the process got no processor",
    severity=Severity.WARNING,
    confidence=Confidence.CERTAIN,
    entry=None,
    site=None,
    cause=Cause.STARVED,
    remedy=Remedy("look at CPU limits"),
    evidence=(Evidence("measured", count=1, total_ms=300.0, because="stopped or throttled"),),
)
FOUND = Report(
    tool="unstall 0.1.0",
    target="uvicorn shop:app",
    verdict=Verdict.FINDINGS,
    findings=(CHARGE, STARVED),
    stalls=(stall(held_ms=2012.4, by=request(request_id="7f3a"), waiting_in_flight=3, at_door=1),),
    startup=(
        stall(held_ms=900, way_in=entry("startup", "<module>", "shop.app:<module>")),
        stall(held_ms=400, way_in=entry("startup", "<module>", "shop.app:<module>")),
    ),
    lag=Histogram.of([ns_of(0.2)] * 99 + [ns_of(2012.4)]),
    coverage={
        "processes": 1,
        "loops": 2,
        "requests": 412,
        "watched_ms": 30_000,
        "stalls": 13,
        "victims": 37,
    },
    gaps=(
        "3 looks were seen and not kept",
        "a hook does not work here: /proc/self/task/*/syscall: Permission denied",
    ),
)
CLEAN = Report(
    "unstall 0.1.0", "uvicorn shop:app", Verdict.CLEAN, coverage={"processes": 1, "loops": 1}
)
NOTHING = Report("unstall 0.1.0", "uvicorn shop:app", Verdict.NOT_ENOUGH_DATA)
