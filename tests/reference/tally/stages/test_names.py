"""One limit of names for all stages, whoever has filled it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from starlette.testclient import TestClient

from tally.settings import STAGES, Limits, Settings
from tests.reference.tally.events import event, moment
from tests.reference.tally.failing import fail_over
from tests.reference.tally.stages.conftest import Customer, MakeCustomer, serving
from tests.reference.tally.stages.test_contract import problem

pytestmark = pytest.mark.live

LIMITS = Limits(names=3)


@pytest.fixture(scope="module")
def client(plain: Settings, stage: str) -> Iterator[TestClient]:
    with serving(replace(plain, stage=stage, limits=LIMITS)) as client:
        yield client


def test_an_event_with_one_name_too_many_is_refused_and_known_names_go_on(
    customer: Customer,
) -> None:
    for name in "abc":
        assert customer.post("/v1/events", event(name=name)).status_code == 201
    refused = customer.post("/v1/events", event(name="d"))
    problem(refused, 422, "too-many-names")
    detail = refused.json()["detail"]
    assert detail.startswith(
        f"customer {customer.number} has used all 3 names that are allowed on "
    )
    assert detail.endswith(", and 'd' is another.")
    assert customer.post("/v1/events", event(name="b")).status_code == 201
    yesterday = event(name="d", at=moment(days=1))
    assert customer.post("/v1/events", yesterday).status_code == 201


def test_a_batch_tells_each_event_by_itself(customer: Customer) -> None:
    sent = [event(name=name) for name in "abcdbe"]
    told = customer.post("/v1/events/batch", {"events": sent}).json()
    assert (told["accepted"], told["duplicates"], told["rejected"]) == (4, 0, 2)
    assert [each.get("reason") for each in told["results"]] == [
        None, None, None, "too-many-names", None, "too-many-names",
    ]  # fmt: skip
    again = customer.post("/v1/events/batch", {"events": sent}).json()
    assert (again["accepted"], again["duplicates"], again["rejected"]) == (0, 4, 2)


def test_after_a_fail_over_names_are_asked_for_again(
    plain: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    """The server that answers next may know less: nothing is refused for good that it would take."""
    with serving(replace(plain, stage=stage, limits=LIMITS)) as client:
        customer = customer_at(client)
        for name in "abc":
            assert customer.post("/v1/events", event(name=name)).status_code == 201
        problem(customer.post("/v1/events", event(name="d")), 422, "too-many-names")
        fail_over(plain.database_url, customer.number)
        assert customer.post("/v1/events", event(name="a")).status_code == 201
        assert customer.post("/v1/events", event(name="d")).status_code == 201


def test_what_one_stage_has_taken_counts_in_all(plain: Settings, customer_at: MakeCustomer) -> None:
    one: Customer | None = None
    for name, stage in zip("abc", STAGES, strict=True):
        with serving(replace(plain, stage=stage, limits=LIMITS)) as client:
            one = one or customer_at(client)
            at = replace(one, client=client)
            assert at.post("/v1/events", event(name=name)).status_code == 201
    assert one is not None
    for stage in STAGES:
        with serving(replace(plain, stage=stage, limits=LIMITS)) as client:
            at = replace(one, client=client)
            problem(at.post("/v1/events", event(name="d")), 422, "too-many-names")
            assert at.post("/v1/events", event(name="a")).status_code == 201
    with psycopg.connect(plain.database_url) as connection:
        (counted,) = connection.execute(
            "SELECT names FROM event_name_counts WHERE customer_id = %s", (one.number,)
        )
    assert counted == (3,)
