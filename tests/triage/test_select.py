"""Which findings are shown, which come first, and which make a run fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.sources import ADVICE, ASR, MODEL, PATH, QUERY, READ, TEXT, reached
from unstall.errors import UsageError
from unstall.model.finding import Confidence, Entry, Severity
from unstall.model.report import Report, Verdict
from unstall.triage.select import (
    Selection,
    codes_of,
    hidden_by,
    matches,
    ranked,
    selected,
    worth_showing,
)

EVERYTHING = Selection(min_confidence=Confidence.POSSIBLE, trivial=True)


def why(finding: object = QUERY, **parts: object) -> str | None:
    return hidden_by(finding, replace(EVERYTHING, **parts))  # type: ignore[arg-type]


def test_nothing_is_hidden_from_who_asks_for_everything() -> None:
    assert [why(each) for each in (QUERY, ADVICE, MODEL)] == [None, None, None]


@pytest.mark.parametrize(
    ("select", "ignore", "shown"),
    [
        ((), (), True),
        (("US1",), (), True),
        (("US103",), (), True),
        (("US2",), (), False),
        ((), ("US103",), False),
        ((), ("US1",), False),
        ((), ("US106",), True),
        (("US103",), ("US1",), True),
        (("US1",), ("US103",), False),
        (("US103",), ("US103",), False),
    ],
)
def test_the_longer_selector_wins(
    select: tuple[str, ...], ignore: tuple[str, ...], shown: bool
) -> None:
    assert (why(select=select, ignore=ignore) is None) is shown


def test_what_is_believed_too_little_is_hidden_by_its_confidence() -> None:
    possible = replace(QUERY, confidence=Confidence.POSSIBLE)
    likely = replace(QUERY, confidence=Confidence.LIKELY)
    assert hidden_by(possible, Selection()) == "possible"
    assert hidden_by(likely, Selection()) is None
    assert hidden_by(likely, Selection(min_confidence=Confidence.CERTAIN)) == "likely"


def test_a_single_stat_is_silent_unless_asked_for() -> None:
    stat = reached("US106", "os.stat", impact="trivial")
    assert hidden_by(stat, Selection()) == "trivial"
    assert hidden_by(stat, Selection(trivial=True)) is None


def test_milliseconds_are_silent_at_start_up_and_told_where_requests_wait() -> None:
    read = reached("US106", "pathlib.Path.read_text", impact="low", place="start-up")
    assert hidden_by(read, Selection()) == "trivial"
    assert hidden_by(read, Selection(trivial=True)) is None
    assert hidden_by(replace(read, runs_on="loop"), Selection()) is None
    assert hidden_by(replace(read, impact="high"), Selection()) is None
    client = replace(read, code="US501")  # made at start-up, and used by requests
    assert hidden_by(client, Selection()) is None


def test_what_import_alone_comes_to_is_counted_and_not_told() -> None:
    call = reached("US103", "sqlalchemy.orm.Session.scalar", place="start-up")
    made = replace(call, entries=(Entry("import", "create_app", "shop.app:create_app"),))
    assert hidden_by(made, Selection()) == "import"
    assert hidden_by(made, Selection(trivial=True)) is None
    both = replace(
        made, entries=(*made.entries, Entry("lifespan", "lifespan", "shop.app:lifespan"))
    )
    assert hidden_by(both, Selection()) is None


def test_files_are_hidden_by_pattern_and_by_what_was_asked_for() -> None:
    assert why(exclude=("shop/*",)) == "excluded"
    assert why(below=("other",)) == "elsewhere"
    assert why(below=("shop",)) is None
    assert why(per_file_ignores=(("shop/repo.py", ("US103",)),)) == "ignored"
    assert why(per_file_ignores=(("shop/other.py", ("US103",)),)) is None


@pytest.mark.parametrize(
    ("pattern", "path", "does"),
    [
        ("a/b.py", "a/b.py", True),
        ("a", "a/b.py", True),
        ("a/", "a/b.py", True),
        ("./a", "a/b.py", True),
        (".", "a/b.py", True),
        ("a/*.py", "a/b.py", True),
        ("migrations", "x/migrations/1.py", True),
        ("*_pb2.py", "x/y/z_pb2.py", True),
        ("b", "a/b.py", False),
        ("x/a", "a/b.py", False),
    ],
)
def test_a_pattern_is_a_file_a_folder_or_a_name_anywhere(
    pattern: str, path: str, does: bool
) -> None:
    assert matches(path, pattern) is does


def test_what_is_hidden_is_counted_by_why() -> None:
    report = selected(
        replace(READ, findings=(QUERY, ADVICE, MODEL), hidden={}), Selection(select=("US106",))
    )
    assert [each.code for each in report.findings] == ["US106"]
    assert report.hidden == {"ignored": 2}


def test_the_worst_comes_first_and_start_up_last() -> None:
    entries = tuple(Entry("route", f"GET /{n}", f"shop:f{n}") for n in range(12))
    often_low = reached(call="b", impact="low", entries=entries)
    in_thread = reached(call="c", place="thread pool")
    once_low = reached(call="d", impact="low")
    warning = reached(call="e", severity=Severity.WARNING)
    guessed = replace(QUERY, confidence=Confidence.LIKELY)
    mixed = [MODEL, warning, once_low, in_thread, guessed, QUERY, often_low]
    assert list(ranked(mixed)) == [often_low, QUERY, guessed, in_thread, once_low, warning, MODEL]


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ((), Verdict.CLEAN),
        ((ADVICE,), Verdict.CLEAN),
        ((MODEL,), Verdict.CLEAN),
        ((reached(place="start-up", severity=Severity.ERROR),), Verdict.CLEAN),
        ((reached(severity=Severity.WARNING),), Verdict.FINDINGS),
        ((QUERY,), Verdict.FINDINGS),
    ],
)
def test_notes_and_start_up_fail_no_run(findings: tuple[object, ...], verdict: Verdict) -> None:
    report = replace(READ, findings=findings)  # type: ignore[arg-type]
    assert selected(report, Selection()).verdict is verdict


def test_where_nothing_is_entered_nothing_can_be_said() -> None:
    empty = Report("unstall", "x", Verdict.CLEAN, coverage={"entries": 0})
    assert selected(empty, Selection()).verdict is Verdict.NOT_ENOUGH_DATA


def test_a_waiver_that_is_wrong_fails_a_run() -> None:
    report = replace(READ, findings=(), objections=("a waiver needs a reason",))
    assert selected(report, Selection()).verdict is Verdict.FINDINGS


def test_a_code_that_no_rule_has_is_said_with_the_near_one() -> None:
    assert codes_of(["us1", " US403 ", ""], "--select") == ("US1", "US403")
    assert codes_of(["ALL"], "--select") == ("US",)
    with pytest.raises(UsageError, match=r"--select names 'US130', and .*did you mean US1"):
        codes_of(["US130"], "--select")


def test_a_path_keeps_the_calls_that_are_believed_enough() -> None:
    sure = worth_showing(PATH, Selection(min_confidence=Confidence.CERTAIN), ())
    assert [each.code for each in sure.steps[-1].blocking] == ["US103"]
    assert worth_showing(PATH, EVERYTHING, ()) == PATH


def test_a_path_keeps_what_costs_microseconds_only_if_it_is_a_finding_or_asked_for() -> None:
    step = PATH.steps[-1]
    stat = replace(step.blocking[0], cost="us", fingerprint="f")
    path = replace(PATH, steps=(replace(step, blocking=(stat,)),))
    assert worth_showing(path, Selection(), ()).steps[0].blocking == ()
    assert worth_showing(path, Selection(), ("f",)) == path
    assert worth_showing(path, Selection(trivial=True), ()) == path


def test_a_further_entry_leaves_the_fingerprint_alone_and_another_place_does_not() -> None:
    assert reached(entries=(ASR, TEXT)).fingerprint == QUERY.fingerprint
    assert reached(line=7).fingerprint == QUERY.fingerprint
    assert reached(place="thread pool").fingerprint != QUERY.fingerprint
    assert reached(call="other").fingerprint != QUERY.fingerprint
