"""The anatomy of a request."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.report.sources import CLEAN_PATH, PATH, PROBE, TEXT, reached
from unstall.errors import UsageError
from unstall.model.path import PathStep
from unstall.report.paths import Look, chosen, nested, render, verdict_of


def test_a_route_reads_like_this() -> None:
    assert render([PATH]) == (
        "POST /asr  shop/audio.py:30\n"
        "2 calls hold the loop, 1 without a bound, 2 thread hops, 1 unknown call\n"
        "├─ middleware Timing  [loop]  shop/app.py:20\n"
        "│     clean: it only awaits\n"
        "├─ dependency session  [thread pool]  shop/db.py:5  2 thread hops\n"
        "│  │  clean: a plain def dependency runs in the thread pool\n"
        "│  └─ dependency url  [loop]  shop/db.py:2\n"
        "│        clean: it awaits nothing\n"
        "└─ endpoint transcribe  [loop]  shop/audio.py:30\n"
        "      US103 shop/repo.py:88  transcribe [loop] → Repo.load [loop] → sqlalchemy.orm.Session.execute\n"
        "        [loop]; unbounded, no time-out\n"
        "      US107 shop/audio.py:40  transcribe [loop] → subprocess.run [loop]; ms, timeout=5, likely,\n"
        "        not certain\n"
        "      an async def endpoint runs on the loop\n"
        "      unknown: shop/audio.py:42 engine.start: annotate `engine`"
    )


def test_a_clean_route_says_why() -> None:
    assert render([CLEAN_PATH]).endswith("clean: a plain def endpoint")
    assert verdict_of(CLEAN_PATH) == "clean, 2 thread hops"


def test_a_step_with_unknown_calls_is_not_called_clean() -> None:
    unsure = replace(PATH.steps[-1], blocking=())
    text = render([replace(PATH, steps=(unsure,))])
    assert "nothing known blocks: an async def endpoint" in text


def test_a_route_with_unknown_calls_is_not_called_clean() -> None:
    unsure = replace(PATH.steps[-1], blocking=())
    assert verdict_of(replace(PATH, steps=(unsure,))) == "nothing known blocks, 1 unknown call"


def test_a_finding_that_is_no_call_stands_below_its_step() -> None:
    client = reached(
        "US401", "httpx.AsyncClient", file="shop/audio.py", line=62, function="text", entries=(TEXT,),
        reach=(), place="thread pool", because="one for each request",
    )  # fmt: skip
    text = render([CLEAN_PATH], Look(findings=(client, PROBE)))
    assert text.splitlines()[1:] == [
        "1 finding, 2 thread hops",
        "└─ endpoint text  [thread pool]  shop/audio.py:60  2 thread hops",
        f"      US401 shop/audio.py:62  {client.title}: one for each request",
        "      a plain def endpoint",
    ]
    waived = render([CLEAN_PATH], Look(findings=(client,), waived={client.fingerprint: "rare"}))
    assert "one for each request; waived: rare" in " ".join(waived.split())


def test_a_call_of_a_step_is_not_said_twice() -> None:
    assert render([PATH], Look(findings=(PROBE,))) == render([PATH])


def test_what_holds_a_thread_is_counted_apart() -> None:
    step = PATH.steps[-1]
    one = replace(step.blocking[0], place="thread pool")
    assert verdict_of(replace(PATH, steps=(replace(step, blocking=(one,)),))) == (
        "1 call in threads, 1 unknown call"
    )


def test_dependencies_stand_below_who_needs_them() -> None:
    def step(name: str, depth: int, kind: str = "dependency") -> PathStep:
        return PathStep(kind, name, "loop", "", "a.py", 1, depth)

    order = [
        step("c", 2),
        step("b", 1),
        step("d", 1),
        step("a", 0),
        step("e", 0),
        step("f", 0, "endpoint"),
    ]
    roots = nested(order)
    assert [node.step.function for node in roots] == ["a", "e", "f"]
    assert [node.step.function for node in roots[0].below] == ["b", "d"]
    assert [node.step.function for node in roots[0].below[0].below] == ["c"]
    orphan = nested([step("x", 1), step("f", 0, "endpoint")])
    assert [node.step.function for node in orphan] == ["x", "f"]


@pytest.mark.parametrize(
    "name", ["POST /asr", "post /asr", "POST  /asr/", "/asr", "transcribe", "shop.audio:transcribe"]
)
def test_a_route_is_found_by_what_people_call_it(name: str) -> None:
    assert chosen([PATH, CLEAN_PATH], name) == (PATH,)


@pytest.mark.parametrize(
    ("name", "near"), [("POST /asrr", "POST /asr"), ("/text/{ids}", "GET /text/{id}")]
)
def test_a_near_miss_is_told_the_nearest_route(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"is no route here; did you mean '{re.escape(near)}'"):
        chosen([PATH, CLEAN_PATH], name)


def test_a_far_miss_is_told_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"there are 'POST /asr', 'GET /text/{id}', …"):
        chosen([PATH, CLEAN_PATH], "qqqqqqqqqqqqqqqqqq")
    with pytest.raises(UsageError, match="no route was found"):
        chosen([], "POST /asr")


def test_no_line_is_much_wider_than_asked() -> None:
    assert max(map(len, render([PATH], Look(width=100)).splitlines())) <= 100


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render([PATH], Look(colour=True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([PATH])
    assert coloured != render([PATH])


def test_the_prefixes_of_routers_may_be_left_out() -> None:
    nested_route = replace(PATH, entry=replace(PATH.entry, name="POST /api/v1/jobs/start"))
    for name in ("/jobs/start", "POST /jobs/start", "post /v1/jobs/start"):
        assert chosen([nested_route, CLEAN_PATH], name) == (nested_route,)
    for name in ("GET /jobs/start", "/", "start"):
        with pytest.raises(UsageError):
            chosen([nested_route, CLEAN_PATH], name)


def test_few_unknown_calls_are_shown_and_the_rest_counted() -> None:
    step = replace(PATH.steps[-1], unknown=tuple(f"a.py:{n} call{n}" for n in range(8)))
    text = render([replace(PATH, steps=(step,))])
    assert text.count("unknown: a.py") == 5
    assert "unknown: 3 more (--unknown lists them)" in text
    assert "more (--unknown" not in render([replace(PATH, steps=(step,))], Look(unknown=99))


def test_what_is_waived_says_why() -> None:
    mark = PATH.steps[-1].blocking[0].fingerprint
    said = " ".join(render([PATH], Look(waived={mark: "once a day"})).split())
    assert "no time-out, waived: once a day" in said
