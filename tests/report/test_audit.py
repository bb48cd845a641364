"""What a person reads of an audit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.report.sources import ADVICE, ASR, MODEL, PROBE, QUERY, READ, TEXT, reached
from unstall.model.finding import Cause, Confidence, Finding
from unstall.model.report import Report, Verdict
from unstall.report.audit import (
    Group,
    also,
    headline,
    render,
    sentence,
    statistics,
    unknown_calls,
)

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_a_block_reads_like_this() -> None:
    text = render(replace(READ, findings=(replace(QUERY, entries=(ASR, TEXT)), reached(line=92))))
    assert text.split("\n\n")[1] == (
        "shop/repo.py:88  US103 a synchronous database call on the event loop"
        "                           error\n"
        "  sqlalchemy.orm.Session.execute waits on the event loop: until it is done, this worker answers\n"
        "  nobody\n"
        "  chain     POST /asr [loop] → Repo.load [loop] → sqlalchemy.orm.Session.execute [loop]\n"
        "  entries   POST /asr, GET /text/{id}\n"
        "  time-out  none\n"
        "  remedy    use the driver's asynchronous twin (psycopg AsyncConnection, SQLAlchemy AsyncSession,\n"
        "            asyncpg), or make the route a plain def"
    )


def test_one_look_at_a_function_settles_all_its_calls() -> None:
    others = [reached(line=90 + n, call=f"Session.c{n}") for n in range(8)]
    text = render(replace(READ, findings=(QUERY, *others, reached(function="Repo.other"))))
    assert "also      line 90 Session.c0, line 91 Session.c1, " in text
    assert "and 2 more in Repo.load" in " ".join(text.split())
    assert text.count("US103") == 2


def test_the_first_line_counts_what_is_below_it() -> None:
    assert headline(READ) == "findings: 2 errors, 1 note, 1 at start-up in shop"
    clean = replace(READ, findings=(), verdict=Verdict.CLEAN)
    assert headline(clean) == "clean: nothing that must be mended was found in shop"
    nothing = replace(clean, verdict=Verdict.NOT_ENOUGH_DATA)
    assert headline(nothing) == (
        "not-enough-data: neither a route nor an async function was found in shop"
    )
    wrong = replace(READ, findings=(), objections=("a.py:1: a waiver needs a reason",))
    assert headline(wrong) == "findings: waivers to correct in shop"


def test_it_says_in_how_many_places_what_is_shown_together_was_found() -> None:
    same = reached(line=90)
    elsewhere = reached(function="Repo.other")
    started = replace(MODEL, code="US103")
    findings = (QUERY, same, elsewhere, ADVICE, started, replace(started, site=reached().site))
    assert headline(replace(READ, findings=findings)) == (
        "findings: 3 errors in 2 places, 1 note, 2 at start-up in shop"
    )
    started_twice = (started, replace(started, evidence=()))
    assert headline(replace(READ, findings=(QUERY, same, *started_twice))) == (
        "findings: 2 errors in 1 place, 2 at start-up in 1 place in shop"
    )


def test_advice_and_start_up_are_a_line_each_below_what_must_be_mended() -> None:
    text = render(READ)
    assert text.index("US107") < text.index("notes (1)") < text.index("start-up: delays readiness")
    assert (
        "  shop/audio.py:44  US112 PIL is first loaded while a request waits  (POST /asr)" in text
    )
    assert "  shop/app.py:9  US106 builtins.open  (lifespan)" in text


def test_the_summary_says_what_was_read_and_what_is_hidden() -> None:
    text = render(replace(READ, objections=("a.py:1: a waiver needs a reason",)))
    assert "coverage  7 files, 41 entries, 340 calls, 9 unknown calls on request paths" in text
    assert "hidden    12 trivial (--show-trivial), 3 known in the baseline" in text
    assert "waived    1 finding" in text
    assert "waivers   a.py:1: a waiver needs a reason" in text
    assert "gaps      shop/broken.py was not analysed" in text


def test_what_is_not_certain_says_so() -> None:
    assert "believed  likely, not certain" in render(replace(READ, findings=(PROBE,)))
    assert "believed" not in render(replace(READ, findings=(QUERY,)))


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (QUERY, "waits on the event loop: until it is done, this worker answers nobody"),
        (reached(cause=Cause.CPU), "computes on the event loop"),
        (reached(place="thread pool"), "waits in one of the threads that all plain def routes"),
        (MODEL, "waits before the first request is answered"),
        (reached(place="executor"), "waits (executor)"),
        (reached(because="the rule's own words"), "the rule's own words"),
        (replace(QUERY, site=None), "this waits on the event loop"),
    ],
)
def test_a_sentence_says_what_happens_where_it_happens(finding: object, said: str) -> None:
    assert said in sentence(finding)  # type: ignore[arg-type]


def test_a_finding_about_the_whole_project_has_no_line() -> None:
    assert "the project  US103" in render(replace(READ, findings=(replace(QUERY, site=None),)))


def test_unknown_calls_are_listed_once_with_what_would_settle_them() -> None:
    twice = replace(READ, paths=(*READ.paths, replace(READ.paths[0], entry=TEXT)))
    assert unknown_calls(twice).split("\n") == [
        "unknown calls on request paths (1)",
        "  shop/audio.py:42 engine.start: annotate `engine`  (GET /text/{id} and 1 more)",
    ]
    assert unknown_calls(replace(READ, paths=())) == "unknown calls on request paths: none"


def test_statistics_count_by_rule() -> None:
    lines = statistics(READ, ["a.py:5: the waiver of US106 waives nothing"]).split("\n")
    assert lines[0].split()[-5:] == ["errors", "warnings", "notes", "start-up", "entries"]
    assert lines[1].split()[-6:] == ["1", "1", "0", "0", "0", "1"]
    assert lines[2].split()[-6:] == ["1", "0", "0", "0", "1", "1"]
    assert [line.split()[0] for line in lines[1:-1]] == ["US103", "US106", "US107", "US112"]
    assert lines[-1] == "  a.py:5: the waiver of US106 waives nothing"


@pytest.mark.parametrize("width", [60, 100, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    long = reached(call="client." * 30 + "get", file="folder/" * 30 + "billing.py")
    noted = replace(ADVICE, evidence=QUERY.evidence)
    text = render(replace(READ, findings=(long, noted, MODEL)), width=width)
    assert max(map(len, text.splitlines())) <= width


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render(READ, colour=True)
    assert coloured != render(READ)
    assert ESCAPE.sub("", coloured) == render(READ)


def test_a_name_in_the_source_cannot_steer_the_terminal() -> None:
    text = render(replace(READ, findings=(reached(file="a\x1b[2Jb.py", call="x\x07"),)))
    assert all(char.isprintable() or char == "\n" for char in text)


def test_a_clean_report_is_two_lines() -> None:
    report = Report("unstall", "shop", Verdict.CLEAN, coverage={"entries": 1})
    assert render(report) == (
        "clean: nothing that must be mended was found in shop\n\n  coverage  1 entry"
    )


def test_a_possible_finding_is_shown_when_it_is_there() -> None:
    possible = replace(QUERY, confidence=Confidence.POSSIBLE)
    assert "believed  possible, not certain" in render(replace(READ, findings=(possible,)))


def test_waits_for_one_pool_are_one_block_with_all_their_lines() -> None:
    because = "no timeout is given"
    first = reached("US404", line=9, function="a", because=because)
    same = reached("US404", line=14, function="b", because=because, entries=(TEXT,))
    other = reached("US404", line=3, function="c", because=because, file="shop/jobs.py")
    text = " ".join(render(replace(READ, findings=(first, same, other))).split())
    assert text.count("US404") == 1
    assert "also line 14, shop/jobs.py:3 " in text
    assert "entries POST /asr, GET /text/{id} " in text
    told_apart = reached("US404", line=14, function="b", because="timeout=None")
    assert render(replace(READ, findings=(first, told_apart))).count("US404") == 2


def test_what_start_up_makes_for_requests_is_advice_and_no_slow_start() -> None:
    pool = reached("US502", place="start-up", entries=(), because="no connect_timeout")
    client = reached("US501", place="start-up", entries=(), because="timeout=None")
    text = render(replace(READ, findings=(pool, client)))
    assert "notes (2)" in text
    assert "start-up" not in text
    assert headline(replace(READ, findings=(pool,))) == "findings: 1 note in shop"


# --- one mend for many functions ------------------------------------------------------------


def everywhere(count: int = 12, place: str = "loop") -> tuple[Finding, ...]:
    """Waits for one pool, each in a file of its own."""
    return tuple(
        reached(
            "US404", line=n, function=f"f{n}", file=f"shop/m{n}.py", place=place,
            because="no timeout is given",
        )
        for n in range(count)
    )  # fmt: skip


def test_many_functions_in_one_block_are_as_many_places() -> None:
    assert headline(replace(READ, findings=everywhere())) == "findings: 12 warnings in shop"
    other = reached("US103", line=1, function="z")
    text = render(replace(READ, findings=(other, *everywhere())), limit=1)
    assert "12 findings more in 1 block (--limit 0 shows all)" in text


def test_what_is_left_out_of_a_list_is_counted_in_lines() -> None:
    notes = (ADVICE, *everywhere(3, "start-up"))
    text = render(replace(READ, findings=notes), limit=1)
    assert "3 findings more in 1 line (--limit 0 shows all)" in text


def test_other_functions_are_not_there() -> None:
    text = render(replace(READ, findings=everywhere(place="start-up")))
    assert "shop/m0.py:0  US404 no timeout is given, and 11 more  (POST /asr)" in text
    same = tuple(replace(MODEL, evidence=each.evidence) for each in everywhere(3))
    assert "no timeout is given, and 2 more there  (lifespan)" in render(
        replace(READ, findings=same)
    )


def test_what_is_less_sure_is_shown_apart() -> None:
    first, *others = everywhere(3)
    likely = [replace(each, confidence=Confidence.LIKELY) for each in others]
    text = render(replace(READ, findings=(first, *likely)))
    assert text.count("US404") == 2
    assert text.count("believed  likely, not certain") == 1


def test_its_own_file_comes_first_and_only_another_call_is_told() -> None:
    first = reached(line=9, function="a", file="shop/b.py")
    others = (
        reached(line=5, function="b", file="shop/c.py"),
        reached(line=7, function="b", file="shop/a.py"),
        reached(line=30, function="b", file="shop/b.py"),
        reached(line=20, function="b", file="shop/b.py", call="requests.get"),
        reached(line=10, function="a", file="shop/b.py"),
    )
    assert also(Group((first, *others))) == [
        "line 10 sqlalchemy.orm.Session.execute",
        "line 20 requests.get",
        "line 30",
        "shop/a.py:7",
        "shop/c.py:5",
    ]
