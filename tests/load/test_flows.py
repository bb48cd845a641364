"""Flows in Python: started when they are due, counted as one, and their steps beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.load.tiny_server import Answer, Seen, always, never, serving
from unstall.clock import NS_PER_MS
from unstall.errors import UsageError
from unstall.load import Outcome, Stream, run
from unstall.load.flows import flow_named

MS = NS_PER_MS
HERE = "tests.load.flows_of_tests"


def played(
    flow: str,
    answer: Answer = always,
    count: int = 2,
    timeout_s: float = 10.0,
    headers: Mapping[str, str] | None = None,
    drain_s: float = 20.0,
) -> tuple[Outcome, Seen]:
    async def play() -> tuple[Outcome, Seen]:
        async with serving(answer) as seen:
            offsets = tuple(n * 20 * MS for n in range(count))
            stream = Stream(
                "shop", "GET", "/", offsets, headers or {}, call=f"{HERE}:{flow}", seed=5
            )  # fmt: skip
            return await run(seen.url, [stream], timeout_s=timeout_s, drain_s=drain_s), seen

    return asyncio.run(play())


@pytest.mark.live
def test_a_flow_is_one_request_of_its_scenario_whatever_it_asks() -> None:
    outcome, seen = played("buy")
    shop = outcome["shop"]
    assert (shop.due, shop.sent, shop.statuses) == (2, 2, {"200": 2})
    assert shop.latency.count == shop.service.count == 2
    assert len(seen.heads) == 4
    assert seen.heads[0].startswith("POST /carts HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in seen.heads[0]
    assert all("X-Scenario: shop\r\n" in head for head in seen.heads)
    assert len({head.partition("traceparent: ")[2][:35] for head in seen.heads}) == 4


@pytest.mark.live
def test_the_worst_answer_of_a_flow_is_its_status() -> None:
    async def second_fails(number: int) -> int:
        return 503 if number % 2 else 200

    assert played("buy", second_fails)[0]["shop"].statuses == {"503": 2}


@pytest.mark.live
def test_the_steps_of_a_flow_are_counted_on_their_own() -> None:
    outcome, _ = played("browse")
    assert [each.name for each in outcome.streams] == ["shop", "shop home", "shop items"]
    home, items, shop = outcome["shop home"], outcome["shop items"], outcome["shop"]
    assert (home.due, home.sent, home.answered) == (2, 2, 2)
    assert home.latency.sum_ns + items.latency.sum_ns <= shop.latency.sum_ns
    assert home.lateness.count == 2, "a step is as late as its flow was"


@pytest.mark.live
def test_names_of_steps_are_bounded() -> None:
    outcome, _ = played("endless", count=1)
    assert len(outcome.streams) == 101


@pytest.mark.live
def test_a_flow_that_asks_nothing_is_done() -> None:
    assert played("nothing")[0]["shop"].statuses == {"0": 2}


@pytest.mark.live
def test_what_a_flow_raises_is_an_error_of_that_name() -> None:
    async def refuses(number: int) -> int:
        return 404

    assert played("buy", refuses)[0]["shop"].errors == {"AssertionError": 2}
    assert played("wrong")[0]["shop"].errors == {"LookupError": 2}


@pytest.mark.live
def test_the_first_mistake_of_a_kind_is_logged_with_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    played("wrong", count=3)
    (record,) = [each for each in caplog.records if "flow" in each.getMessage()]
    assert "the flow of scenario 'shop' failed" in record.getMessage()
    assert "a mistake of the flow" in caplog.text
    assert "flows_of_tests.py" in caplog.text


@pytest.mark.live
def test_headers_of_the_scenario_are_filled_in_for_each_flow() -> None:
    _, seen = played("buy", headers={"X-Buyer": "${name} ${seq}", "Accept": "text/plain"})
    buyers = [head.partition("X-Buyer: ")[2].partition("\r\n")[0] for head in seen.heads]
    assert sorted(buyers) == ["shop 1", "shop 1", "shop 2", "shop 2"]
    accepted = [head.partition("Accept: ")[2].partition("\r\n")[0] for head in seen.heads]
    assert sorted(accepted) == ["text/html", "text/html", "text/plain", "text/plain"]
    with pytest.raises(UsageError, match="the header X of scenario 'shop'"):
        played("buy", headers={"X": "${sec}"})


@pytest.mark.live
def test_a_connection_that_breaks_under_a_flow_is_an_error_of_its_kind() -> None:
    async def broken(number: int) -> None:
        return None

    errors = played("buy", broken)[0]["shop"].errors
    assert set(errors) <= {"closed", "reset"}
    assert sum(errors.values()) == 2


@pytest.mark.live
def test_a_flow_that_hangs_is_given_up_or_left_unanswered() -> None:
    assert played("buy", never, timeout_s=0.1)[0]["shop"].timed_out == 2
    assert played("hanging", drain_s=0.3)[0]["shop"].unanswered == 2


@pytest.mark.live
def test_requests_of_one_flow_may_run_side_by_side() -> None:
    outcome, seen = played("several", count=1)
    assert outcome["shop"].statuses == {"200": 1}
    assert len(seen.heads) == 3


@pytest.mark.live
def test_the_chance_of_a_flow_follows_from_the_seed() -> None:
    def paths() -> set[str]:
        return {head.split()[1] for head in played("chance")[1].heads}

    first = paths()
    assert len(first) == 2
    assert paths() == first


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("checkout", "name a function as in loads.checkout:buy"),
        ("no_such_module:buy", "cannot be imported (ModuleNotFoundError"),
        (f"{HERE}:bye", f"did you mean {HERE}:buy?"),
        (f"{HERE}:plain", "write async def plain(client)"),
    ],
)
def test_what_is_no_flow_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        flow_named(name)
    assert message in str(refused.value)


def test_a_flow_is_found_beside_its_plan(tmp_path: Path) -> None:
    (tmp_path / "shop_of_this_test.py").write_text("async def buy(client): ...\n")
    assert callable(flow_named("shop_of_this_test:buy", tmp_path))
