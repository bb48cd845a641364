"""The page of a run, as markup; a browser has its own tests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.support.runs import CHARGE, HANG, NEVER, PLAN, Service, calm, frozen, run
from unstall.model.plan import AppPlan, Scenario
from unstall.model.proof import Judged, Run
from unstall.model.report import Report, Verdict
from unstall.report.run_charts import chart, described
from unstall.report.run_html import POLICY, page
from unstall.report.run_series import Scale, arranged, groups_of, panels_of, scales_of, segments_of
from unstall.triage.regression import compare
from unstall.triage.secrets import HIDDEN

EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;"
VOID = {"meta", "img", "br", "input", "link"}


class Markup(HTMLParser):
    """Checks that elements nest, and gathers what is there."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += f"{data}|"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def evil() -> Run:
    fault = replace(HANG, name=EVIL)
    phases = run(faults=((fault, Service(stalls=((1.0, 3.0),))),)).phases
    assert CHARGE.site
    assert CHARGE.entry
    finding = replace(
        CHARGE,
        title=EVIL,
        site=replace(CHARGE.site, file=EVIL, call=EVIL),
        entry=replace(CHARGE.entry, name=EVIL),
    )
    plan = replace(
        PLAN,
        app=AppPlan(EVIL),
        scenarios=tuple(replace(s, name=EVIL, path=EVIL) for s in PLAN.scenarios),
    )
    streams = tuple(
        replace(s, name=EVIL) if s.name == "checkout" else s for s in phases[1].outcome.streams
    )
    ill = replace(phases[1], because=EVIL, outcome=replace(phases[1].outcome, streams=streams))
    return replace(
        frozen(), target=EVIL, plan=plan, phases=(phases[0], ill), findings=(finding,), gaps=(EVIL,),
        thresholds=(Judged(EVIL, EVIL, 3.0, False),), unexercised=(replace(NEVER, route=EVIL, why=EVIL),),
        machine={EVIL: EVIL}, started=EVIL, tool=EVIL,
    )  # fmt: skip


def test_the_verdict_is_the_heading_and_says_what_happened() -> None:
    shown = Markup(page(frozen()))
    assert "|frozen|1 of 2 faults froze bystanders of shop:app." in shown.text
    assert '<h1 class="bad">frozen</h1>' in page(frozen())
    assert '<h1 class="good">isolated</h1>' in page(calm())


def test_everything_that_the_text_says_is_on_the_page() -> None:
    text = Markup(page(frozen())).text
    for said in (
        "hang BILLING_URL", "shop/billing.py:31 Billing.charge  requests.get", "proved", "412 victims",
        "use one shared httpx2.AsyncClient with a time-out", "checkout.p95_ms < 150", "missed", "unknown",
        "DELETE /orders/{id}", "3 looks were seen and not kept", "POST /orders", "127.0.0.1:9000",
        "60/s for 12 s", "2 of 5 thresholds missed, 1 could not be measured",
    ):  # fmt: skip
        assert said in text, said


def test_a_calm_run_shows_nothing_red_and_accuses_nobody() -> None:
    markup = page(calm())
    body = markup.partition("<body")[2]
    assert 'class="bad"' not in body
    assert "Culprits" not in body
    assert 'class="stall"' not in body


def test_nothing_that_an_application_names_becomes_markup() -> None:
    shown = Markup(page(evil(), evil(), compare(evil(), evil())))
    assert len(shown.all("script")) == 3
    assert shown.all("img") == []
    assert [attrs for _, attrs in shown.tags if any(name.startswith("on") for name in attrs)] == []
    assert shown.text.count("alert") > 20


def test_the_page_holds_all_it_needs_and_allows_nothing_else() -> None:
    markup = page(frozen(), calm())
    shown = Markup(markup)
    asked = [
        v
        for _, attrs in shown.tags
        for name, v in attrs.items()
        if name in ("src", "href", "action")
    ]
    assert asked == []
    assert not re.search(r"url\(|@import", markup)
    assert [attrs for _, attrs in shown.tags if "style" in attrs] == []
    assert POLICY in {str(attrs.get("content")) for attrs in shown.all("meta")}
    for element in ("style", "script"):
        (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", markup, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in POLICY
    assert "default-src 'none'" in POLICY


def test_ids_are_used_once_and_what_names_them_is_there() -> None:
    for shown in (Markup(page(frozen())), Markup(page(frozen(), calm()))):
        ids = [attrs["id"] for _, attrs in shown.tags if "id" in attrs]
        assert len(ids) == len(set(ids))
        named = [name for _, a in shown.tags for name in (a.get("aria-labelledby") or "").split()]
        assert named
        assert set(named) <= set(ids)


def test_the_drawing_is_told_in_words_and_in_a_table() -> None:
    made = frozen()
    words = described(made)
    assert words.startswith(
        "healthy, 12 s: isolated, no stall; hang BILLING_URL, 12 s: frozen, 3 stalls"
    )
    text = Markup(page(made)).text
    assert words in text
    assert "Figures by the second" in text


def test_what_the_script_reads_is_whole_json() -> None:
    (raw,) = re.findall(
        r'<script type="application/json" id="run-data">(.*?)</script>', page(evil())
    )
    data = json.loads(raw)
    assert [each[0] for each in data["phases"]] == ["all", "healthy", EVIL]
    places = [x for x, _, _ in data["moments"]]
    assert places == sorted(places)
    assert len(places) == 24


def test_of_two_runs_both_are_drawn_on_the_same_scale_with_what_changed() -> None:
    before, after = frozen(), calm()
    markup = page(after, before, compare(before, after))
    shown = Markup(markup)
    assert len([a for a in shown.all("svg") if a.get("class") == "chart"]) == 2
    drawings = markup.split('class="chart"')[1:]
    axes = [re.findall(r'class="tick end"[^>]*>([^<]+)<', each) for each in drawings]
    assert axes[0] == axes[1]
    assert "10 s" in axes[0]
    text = shown.text
    assert "Before|" in text
    assert "After|" in text
    assert "improvement" in text
    assert "Changes" in text


def test_what_nobody_watched_is_not_drawn_as_calm() -> None:
    made = run()
    (phase,) = made.phases
    bare = replace(phase, lag=(), report=Report("", "", Verdict.NOT_ENOUGH_DATA))
    text = Markup(page(replace(made, phases=(bare,)))).text
    assert text.count("not measured|") == 2
    assert "nobody watched the loop" in text
    assert "not measured" not in Markup(page(made)).text


def test_a_comparison_without_news_says_so() -> None:
    assert "none beyond noise" in Markup(page(calm(), calm(), compare(calm(), calm()))).text


def test_a_run_that_never_came_to_a_phase_is_a_page() -> None:
    nothing = Run("unstall 0.1.0", "shop:app", PLAN, interrupted=True)
    text = Markup(page(nothing)).text
    assert "Too little was seen of shop:app (interrupted) to judge" in text
    assert "Over time" not in text


def test_a_path_that_is_no_text_does_not_keep_the_page_from_being_written() -> None:
    page(replace(frozen(), target="caf\udce9")).encode("utf-8")


def test_secrets_of_the_plan_are_not_on_it() -> None:
    app = AppPlan("uvicorn a:b", url="http://u:hunter2@localhost", env={"DB": "hunter2"})
    scenario = Scenario(
        "a",
        path="/x?token=hunter2",
        headers={"Authorization": "hunter2"},
        body='{"password": "hunter2"}',
    )
    made = replace(frozen(), plan=replace(PLAN, app=app, scenarios=(scenario,)), target=app.url)
    assert "hunter2" not in page(made)
    assert HIDDEN in page(made)
    assert "masked: env DB of [app], url of [app], path of scenario" in page(made)


# --- the drawing ------------------------------------------------------------------------------


def test_phases_stand_side_by_side_as_wide_as_they_are_long() -> None:
    made = frozen().phases
    longer = (replace(made[0], seconds=24.0), *made[1:])
    segments = segments_of(longer, 1000)
    assert segments[0].width == pytest.approx(2 * segments[1].width)
    assert segments[-1].x + segments[-1].width == pytest.approx(1000)
    assert all(a.x + a.width < b.x for a, b in pairwise(segments))


def test_repeats_of_a_phase_stand_together_under_one_name_however_they_were_played() -> None:
    made = run(faults=((HANG, Service()),), repeats=3)
    played = replace(made, phases=tuple(made.phases[n] for n in (0, 3, 1, 4, 2, 5)))
    assert arranged(played) == made
    segments = segments_of(made.phases, 1000)
    (healthy, start, wide), (hang, x, _) = groups_of(segments)
    assert (healthy, hang) == ("healthy", HANG.title)
    assert start + wide < x
    assert start + wide == pytest.approx(segments[2].x + segments[2].width)
    markup = page(played)
    assert markup.count('class="over') == 2
    assert "hang BILLING_URL ×3</title>" in markup


def test_a_stall_is_drawn_where_it_was_on_the_phases_clock() -> None:
    made = run(faults=((HANG, Service(stalls=((6.0, 3.0),))),))
    (healthy, ill) = segments_of(made.phases, 1000)
    (stall,) = ill.phase.report.stalls
    assert ill.of_ns(stall.from_ns) == pytest.approx(ill.x + ill.width / 2, abs=0.1)
    assert ill.of_ns(stall.until_ns) == pytest.approx(ill.x + ill.width * 0.75, abs=0.1)
    assert healthy.of_ns(stall.from_ns) == pytest.approx(healthy.x + healthy.width)


def test_a_line_breaks_where_nothing_was_due() -> None:
    made = run(rates=(("checkout", 50.0),), seconds=10)
    (phase,) = made.phases
    streams = tuple(
        replace(s, seconds=tuple(each for each in s.seconds if each.at not in (4, 5)))
        for s in phase.outcome.streams
    )
    gappy = replace(made, phases=(replace(phase, outcome=replace(phase.outcome, streams=streams)),))
    counts = [
        re.findall(
            r'class="s1" d="([^"]+)"', chart(each, panels_of(each), scales_of(panels_of(each)))
        )[0].count("M")
        for each in (made, gappy)
    ]
    assert counts == [1, 2]


def test_lag_that_is_told_every_few_seconds_stands_until_the_next() -> None:
    made = run(rates=(("checkout", 50.0),), seconds=10)
    (phase,) = made.phases
    sparse = replace(made, phases=(replace(phase, lag=(phase.lag[3], phase.lag[8])),))
    panels = panels_of(sparse)
    (path,) = re.findall(r'class="s6" d="([^"]+)"', chart(sparse, panels, scales_of(panels)))
    (segment,) = segments_of(sparse.phases, 1000 - 68)
    numbers = [
        float(each) for each in re.findall(r"[ML]([\d.]+) [\d.]+H([\d.]+)", path) for each in each
    ]
    assert numbers == pytest.approx([segment.at(at) for at in (3, 8, 8, 10)], abs=0.1)


def test_scales_are_whole_decades_and_shared_ones_hold_both() -> None:
    calm_scale, frozen_scale = (scales_of(panels_of(each))[1] for each in (calm(), frozen()))
    assert (calm_scale.low, calm_scale.high) == (0, 2)
    assert frozen_scale.high == 4
    both = calm_scale | frozen_scale
    assert both == Scale(0, 4)
    assert both.y(1.0, 100) == 100
    assert both.y(10_000.0, 100) == 0
    assert both.y(0.0001, 100) == 100


def test_many_kinds_of_requests_are_one_line() -> None:
    made = run(rates=tuple((f"s{n}", 10.0) for n in range(7)))
    (latency, *_) = panels_of(made)
    assert [line.name for line in latency.lines] == [
        "all 7 kinds of requests p99",
        "all 7 kinds of requests p50",
    ]
