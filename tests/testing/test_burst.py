"""Many at once: who blocks is named, who only waits is not."""

from __future__ import annotations

import asyncio

import pytest

from tests.testing.app import Service
from unstall.errors import UsageError
from unstall.testing import Asked, burst


def test_a_burst_on_what_waits_leaves_bystanders_alone(service: Service) -> None:
    seen = asyncio.run(burst(service.app, "GET /waits", 20, bystander="GET /livez", bystander_s=5))
    assert seen.codes == {200: 20}
    assert len(seen.bystanders) > 1
    assert all(each.status == 200 for each in seen.bystanders)


def test_a_burst_on_what_blocks_names_the_line_and_how_long(service: Service) -> None:
    with pytest.raises(AssertionError) as caught:
        asyncio.run(burst(service.app, "/blocks", 3, bystander="GET /livez", bystander_s=0.1))
    told = str(caught.value)
    assert "3 x GET /blocks" in told
    assert "GET /livez) waited longer than 0.1 s" in told
    assert "time.sleep at tests/testing/app.py:" in told
    assert "Service._slow.<locals>.blocks" in told
    assert "the loop was held 0." in told


def test_the_loop_itself_is_a_bystander_where_none_is_named(service: Service) -> None:
    with pytest.raises(AssertionError, match="the loop's next turn"):
        asyncio.run(burst(service.app, "GET /blocks", 3, bystander_s=0.1))


def test_answers_that_are_not_allowed_are_counted(service: Service) -> None:
    with pytest.raises(AssertionError, match="5 answers were not allowed: 5 x 500"):
        asyncio.run(burst(service.app, "GET /fails", 5, bystander_s=5))
    assert asyncio.run(burst(service.app, "GET /fails", 5, allowed={500}, bystander_s=5)).codes == {
        500: 5
    }


def test_a_burst_that_takes_too_long_says_who_took_the_time(service: Service) -> None:
    with pytest.raises(AssertionError) as caught:
        asyncio.run(burst(service.app, "GET /waits", 2, within_s=0.01, bystander_s=5))
    assert "allowed are 0.01 s" in str(caught.value)
    assert "in Service._slow.<locals>.waits for 0." in str(caught.value)


def test_a_server_that_is_not_there_is_told(service: Service) -> None:
    with pytest.raises(AssertionError, match="2 x ConnectError"):
        asyncio.run(burst("http://127.0.0.1:9", "GET /", 2, bystander_s=5))


@pytest.mark.parametrize("request_", ["orders", "GET", "GET orders"])
def test_what_is_no_request_is_refused(service: Service, request_: str) -> None:
    with pytest.raises(UsageError, match="give a method and a path"):
        asyncio.run(burst(service.app, request_, 1))
    with pytest.raises(UsageError, match="1 or more"):
        asyncio.run(burst(service.app, Asked("GET", "/livez"), 0))
