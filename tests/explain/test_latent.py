"""Calls that are fast today, as findings: what is said of them, and of which nothing is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unstall.explain.latent import is_quiet, latent_findings
from unstall.explain.report import report_of
from unstall.model.finding import Finding, Severity
from unstall.model.latent import SEVERAL, LatentCall, merged_latent
from unstall.model.observation import Process
from unstall.model.place import Frame, Stack
from unstall.model.recording import Recording
from unstall.model.report import Verdict
from unstall.report import text
from unstall.testing import frame, library, look, request, stack, stdlib, stretch

LOOP = stdlib("asyncio.base_events:BaseEventLoop.run_forever")
ROUTE = library("fastapi.routing:run_endpoint_function", 330)
ENDPOINT = frame("shop.orders:create", 12)
QUERY = (
    library("sqlalchemy.orm.session:Session.execute"),
    library("psycopg.cursor:Cursor.execute"),
)


def call(
    *below: Frame, name: str = "psycopg.Connection.wait", times: int = 3, took_ms: float | None = 2
) -> LatentCall:
    return LatentCall(
        "1-abc", 0, 1_000, name, Stack((LOOP, ROUTE, ENDPOINT, *below)), times,
        took_max_ns=None if took_ms is None else int(took_ms * 1e6),
        task="create", request=request("GET /orders"),
    )  # fmt: skip


def only(*calls: LatentCall) -> Finding:
    (finding,) = latent_findings(calls)
    return finding


def test_the_sentence_says_who_what_how_long_and_what_if() -> None:
    finding = only(call(*QUERY))
    assert finding.evidence[0].because == (
        "GET /orders makes a synchronous PostgreSQL call of 2.0 ms on the loop; if the server hangs, "
        "the worker hangs"
    )
    assert finding.latent
    assert finding.code == "US103"
    assert finding.severity is Severity.WARNING  # one less than that of a stall
    assert finding.site is not None
    assert finding.site.function == "create"
    assert finding.site.call == "sqlalchemy.orm.session.Session.execute"
    assert finding.evidence[0].kind == "seen"


def test_what_had_no_duration_claims_none_and_the_other_end_is_named() -> None:
    seen = replace(call(name="socket.socket.connect", took_ms=None), peer="10.0.0.5:25")
    assert only(seen).evidence[0].because == (
        "GET /orders makes a synchronous socket or DNS call (10.0.0.5:25) on the loop; if the other end "
        "hangs, the worker hangs"
    )
    assert only(seen).evidence[0].max_ms is None


def test_the_rule_is_the_apis_at_the_site_unless_that_one_only_computes() -> None:
    by_site = call(
        library("boto3.resources.action:ServiceAction.__call__"), name="requests.Session.send"
    )
    by_call = call(library("jinja2.loaders:FileSystemLoader.get_source"), name="open")
    unknown = call(library("ourdriver.core:ask"), name="socket.socket.connect")
    assert [only(each).code for each in (by_site, by_call, unknown)] == ["US110", "US106", "US108"]


def test_connecting_sending_and_reading_for_one_line_is_one_finding() -> None:
    below = library("urllib.request:urlopen")
    finding = only(
        replace(call(below, name="socket.socket.connect", took_ms=None), peer="10.0.0.5:80"),
        call(below, name="http.client.HTTPConnection.getresponse", times=7, took_ms=5),
    )
    assert finding.code == "US102"
    assert finding.evidence[0].count == 7
    assert finding.evidence[0].max_ms == 5.0
    assert finding.evidence[0].peer == "10.0.0.5:80"


def test_two_like_calls_on_two_lines_are_two_findings_each_with_its_count_and_peer() -> None:
    def at(line: int, times: int, peer: str) -> LatentCall:
        made = call(*QUERY, times=times)
        frames = (LOOP, ROUTE, frame("shop.orders:create", line), *QUERY)
        return replace(made, stack=Stack(frames), peer=peer)

    findings = latent_findings([at(12, 3, "db:1"), at(14, 5, "cache:2")])
    told = {f.site.line: (f.evidence[0].count, f.evidence[0].peer) for f in findings if f.site}
    assert told == {12: (3, "db:1"), 14: (5, "cache:2")}
    assert len({finding.fingerprint for finding in findings}) == 1


def test_a_place_that_asks_now_this_one_and_now_that_one_asks_several() -> None:
    one, other = (replace(call(*QUERY), peer=peer) for peer in ("db:1", "db:2"))
    assert only(one, other).evidence[0].peer == SEVERAL
    assert only(one, replace(other, process="2-abc")).evidence[0].peer == SEVERAL
    assert only(one, replace(other, peer=None)).evidence[0].peer == "db:1"


def test_a_file_that_was_opened_once_filled_a_cache() -> None:
    assert latent_findings([call(name="open", times=1, took_ms=None)]) == ()
    assert only(call(name="open", times=2, took_ms=None)).severity is Severity.NOTE


@pytest.mark.parametrize(
    "frames",
    [
        (LOOP, library("uvicorn.server:Server.serve")),
        (LOOP, ROUTE, ENDPOINT, stdlib("logging:FileHandler._open")),
        (LOOP, ROUTE, ENDPOINT, stdlib("asyncio.base_events:BaseEventLoop.subprocess_exec")),
        (LOOP, ROUTE, ENDPOINT, stdlib("linecache:updatecache")),
        (LOOP, ROUTE, ENDPOINT, stdlib("importlib._bootstrap:_find_and_load"), frame("shop.late:<module>")),
        (LOOP, stdlib("importlib._bootstrap:_call_with_frames_removed"), frame("shop.app:<module>")),
        (LOOP, library("starlette.routing:Router.lifespan"), frame("shop.app:lifespan")),
    ],
    ids=["no-app", "log-record", "asyncio", "traceback", "late-import", "start-up", "lifespan"],
)  # fmt: skip
def test_nothing_is_said_of(frames: tuple[Frame, ...]) -> None:
    quiet = replace(call(name="open", times=9), stack=Stack(frames), request=None)
    assert is_quiet(quiet.stack, quiet.request, quiet.task)
    assert latent_findings([quiet]) == ()


def test_the_same_call_without_what_makes_it_quiet_is_told_of() -> None:
    assert not is_quiet(call().stack, call().request, call().task)


def test_calls_at_one_place_are_added_up() -> None:
    (merged,) = merged_latent(
        [call(times=2, took_ms=1), call(times=3, took_ms=None), call(times=1)]
    )
    assert merged.times == 6
    assert merged.took_max_ns == 2_000_000


def recorded(*seen: object) -> Recording:
    process = Process("1-abc", 1, 0.0, 0, ("python",), "3.11.7", 100_000_000)
    return Recording.of((process, *seen))  # type: ignore[arg-type]


def test_a_report_shows_them_and_counts_no_stall() -> None:
    report = report_of(recorded(call(*QUERY)), "app")
    assert report.verdict is Verdict.FINDINGS
    said = text.render(report)
    assert said.startswith("findings: 1 finding in app")
    assert "price     seen 3 times, 2.0 ms at most" in said
    assert "stall" not in said.splitlines()[0]


def test_where_a_stall_was_measured_it_is_not_said_twice() -> None:
    slow = stretch(
        look(stack(LOOP, ROUTE, ENDPOINT, *QUERY), wait="poll", request=request("GET /orders"))
    )
    findings = report_of(recorded(slow, call(*QUERY)), "app").findings
    assert [(finding.code, finding.latent) for finding in findings] == [("US103", False)]
