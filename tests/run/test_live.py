"""The lines that are said while a command runs."""

from __future__ import annotations

from dataclasses import replace

from unstall.clock import NS_PER_MS
from unstall.model.finding import Cause, Entry, Site, Stall
from unstall.run.live import JsonLive, Live, line_of

ROUTE = Entry("route", "GET /users/{id}", "app.users:get_user")
SITE = Site("app/users.py", 31, "get_user", "requests.get")


def stall(ms: int, *, ongoing: bool, begins_ms: int = 0, **given: object) -> Stall:
    told = Stall(
        process="1-a",
        loop=1,
        from_ns=begins_ms * NS_PER_MS,
        until_ns=(begins_ms + ms) * NS_PER_MS,
        cause=Cause.WAITING,
        because="",
        site=SITE,
        entry=ROUTE,
        syscall="poll",
        peer="127.0.0.1:9000",
        waiting_in_flight=37,
        served_before=3,
        ongoing=ongoing,
    )
    return replace(told, **given)  # type: ignore[arg-type]


def told(*stalls: tuple[float, Stall]) -> list[str]:
    said: list[str] = []
    live = Live(said.append)
    for at_s, each in stalls:
        live.tell(each, 4711, at_s)
    return said


def test_a_line_holds_route_line_call_cause_and_process() -> None:
    assert line_of(stall(104, ongoing=True), 4711) == (
        "unstall: FROZEN 0.10 s  GET /users/{id}  app/users.py:31 in get_user  requests.get  "
        "waiting in poll on 127.0.0.1:9000  37 requests waiting  pid 4711"
    )


def test_it_is_repeated_while_it_lasts_and_ends_with_its_victims() -> None:
    lines = told(
        (0.1, stall(100, ongoing=True)),
        (1.0, stall(1_000, ongoing=True)),
        (2.0, stall(2_000, ongoing=True)),
        (2.1, stall(2_010, ongoing=False)),
    )
    assert [line.split("  ")[0] for line in lines] == [
        "unstall: FROZEN 0.10 s",
        "unstall: FROZEN 1.00 s",
        "unstall: FROZEN 2.00 s",
        "unstall: free after 2.01 s",
    ]
    assert "  37 victims  " in lines[-1]


def test_what_two_saw_at_the_same_age_is_said_once() -> None:
    lines = told((0.1, stall(200, ongoing=True)), (0.4, stall(400, ongoing=True, begins_ms=1)))
    assert len(lines) == 1


def test_a_stall_that_was_over_before_it_was_told_is_one_line() -> None:
    lines = told((0.2, stall(120, ongoing=False)))
    assert [line.split("  ")[0] for line in lines] == ["unstall: froze 0.12 s"]


def test_a_server_that_starts_is_not_held_against_it() -> None:
    starting = Entry("startup", "_call_with_frames_removed", "importlib._bootstrap:x")
    assert told((0, stall(900, ongoing=True, entry=starting, served_before=0))) == []
    assert told((0, stall(900, ongoing=False, entry=starting, served_before=0))) == []


def test_a_process_that_the_system_did_not_let_run_is_not_accused() -> None:
    assert told((0, stall(900, ongoing=False, cause=Cause.STARVED, site=None))) == []


def test_a_storm_is_a_few_lines_and_a_number() -> None:
    each = [
        (n * 0.15, stall(120, ongoing=ongoing, begins_ms=150 * n))
        for n in range(100)
        for ongoing in (True, False)
    ]
    lines = told(*each)
    assert 4 <= len(lines) <= 4 + 15 * 2
    assert any("more before it not shown" in line for line in lines)
    ends = [line for line in lines if "free after" in line]
    assert len(ends) == sum("FROZEN" in line for line in lines)


def test_two_processes_do_not_silence_each_other() -> None:
    each = [(n * 0.01, stall(120, ongoing=False, begins_ms=150 * n)) for n in range(50)]
    calm = (0.5, stall(120, ongoing=False, process="2-b"))
    assert len(told(*each, calm)) == len(told(*each)) + 1


def test_nothing_that_steers_a_terminal_is_passed_on() -> None:
    strange = replace(ROUTE, name="GET /\x1b[2J\n")
    line = line_of(stall(100, ongoing=True, entry=strange), 1)
    assert line.isprintable()


def test_colour_is_only_added() -> None:
    import re

    painted = line_of(stall(100, ongoing=True), 1, colour=True)
    assert "\033[" in painted
    assert re.sub(r"\033\[[0-9;]*m", "", painted) == line_of(stall(100, ongoing=True), 1)


def test_a_loop_at_a_debuggers_prompt_is_no_news() -> None:
    said: list[str] = []
    for live in (Live(said.append), JsonLive(said.append)):
        for ongoing in (True, False):
            live.tell(stall(5_000, ongoing=ongoing, cause=Cause.PAUSED, site=None), 4711, 5.0)
    assert said == []
