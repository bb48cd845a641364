"""The way from an entry to a site."""

from __future__ import annotations

from dataclasses import replace

from tests.report.sources import ASR, MODEL, PATH, PROBE, QUERY, TEXT, TIDY, reached
from unstall.model.finding import Entry, Hop
from unstall.report.chain import chain_below, chain_of, entries_of, label_of, shown


def test_each_step_is_shown_with_its_place() -> None:
    assert shown(chain_of(QUERY)) == (
        "POST /asr [loop] → Repo.load [loop] → sqlalchemy.orm.Session.execute [loop]"
    )


def test_the_entrys_own_function_is_not_said_twice() -> None:
    assert shown(chain_of(PROBE)) == "POST /asr [loop] → subprocess.run [loop]"
    assert shown(chain_of(MODEL)) == "lifespan [start-up] → builtins.open [start-up]"


def test_a_place_may_change_on_the_way_or_be_unknown() -> None:
    hops = (Hop("a.py", 1, "tidy", "run", "loop"), Hop("a.py", 5, "middle", "load", ""))
    found = reached(reach=hops, entries=(TIDY,), place="thread pool", function="load", call="open")
    assert shown(chain_of(found)) == (
        "background task tidy [loop] → middle → load [thread pool] → open [thread pool]"
    )


def test_an_entry_that_is_not_in_the_chain_comes_before_it_in_no_place() -> None:
    found = reached(reach=(), entries=(ASR,), function="Other.f", call="open")
    assert shown(chain_of(found)) == "POST /asr → Other.f [loop] → open [loop]"


def test_below_a_step_the_chain_begins_with_its_function() -> None:
    step = PATH.steps[-1]
    assert shown(chain_below(step, step.blocking[0])) == (
        "transcribe [loop] → Repo.load [loop] → sqlalchemy.orm.Session.execute [loop]"
    )
    assert shown(chain_below(step, step.blocking[1])) == "transcribe [loop] → subprocess.run [loop]"


def test_an_entry_is_named_as_its_users_know_it() -> None:
    assert label_of(ASR) == "POST /asr"
    assert label_of(TIDY) == "background task tidy"
    assert (
        label_of(Entry("dependency", "GET /me", "shop.users:user")) == "dependency user of GET /me"
    )
    assert label_of(Entry("lifespan", "lifespan", "shop.app:lifespan")) == "lifespan"


def test_three_entries_and_the_number_of_the_others() -> None:
    many = tuple(Entry("route", f"GET /{n}", f"shop:f{n}") for n in range(40))
    assert entries_of(reached(entries=many)) == "GET /0, GET /1, GET /2 and 37 more"
    assert entries_of(reached(entries=many[:4])) == "GET /0, GET /1, GET /2, GET /3"
    assert entries_of(reached(entries=(ASR, ASR, TEXT))) == "POST /asr, GET /text/{id}"


def test_the_entry_of_the_chain_comes_first_and_requests_before_others() -> None:
    found = replace(reached(entries=(TIDY, TEXT, ASR)), entry=ASR)
    assert entries_of(found) == "POST /asr, GET /text/{id}, background task tidy"


def test_a_finding_about_a_route_names_it_once() -> None:
    found = reached(reach=(), entries=(ASR,), function="transcribe", call="POST /asr")
    assert shown(chain_of(found)) == "POST /asr [loop]"


def test_a_finding_about_a_function_ends_with_it() -> None:
    found = reached(reach=(), function="transcribe", call="transcribe")
    assert shown(chain_of(found)) == "POST /asr [loop]"
