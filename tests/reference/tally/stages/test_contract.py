"""One contract, three stages: whoever changes from one to the next notices nothing but the time it takes."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psycopg
import pytest
from starlette.testclient import TestClient

from tally.settings import Limits, Settings
from tests.reference.tally.events import event, moment, nested, text_of
from tests.reference.tally.stages.conftest import Customer

pytestmark = pytest.mark.live


def problem(response: Any, status: int, reason: str) -> None:
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert (response.status_code, told["reason"]) == (status, reason), told
    assert told["status"] == status
    assert told["type"]
    assert told["title"]
    assert told["detail"].endswith(".")


# --- events --------------------------------------------------------------------------------------


def test_an_event_is_accepted_and_a_duplicate_is_told(customer: Customer) -> None:
    sent = event()
    first, second = customer.post("/v1/events", sent), customer.post("/v1/events", sent)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == {"status": "accepted", "event_id": sent["event_id"]}
    assert second.json()["status"] == "duplicate"


def test_what_is_acknowledged_is_in_the_database(customer: Customer, whole: Settings) -> None:
    sent = event()
    customer.post("/v1/events", sent)
    with psycopg.connect(whole.database_url) as connection:
        (found,) = connection.execute(
            "SELECT event_id, name, value, dimensions, properties FROM events WHERE customer_id = %s",
            (customer.number,),
        )
    assert found[:4] == (sent["event_id"], "page_view", 2.5, {"country": "de", "plan": "pro"})
    assert json.loads(found[4]) == {"path": "/start", "screen.width": 1440, "screen.height": 900}


def test_a_duplicate_counts_once_and_another_day_is_another_event(customer: Customer) -> None:
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    sent = event(at=noon.isoformat())
    statuses = [
        customer.post("/v1/events", sent | {"at": at.isoformat()}).status_code
        for at in (noon, noon + timedelta(hours=1), noon + timedelta(days=1))
    ]
    assert statuses == [201, 200, 201]
    found = customer.get(
        "/v1/metrics",
        name="page_view",
        granularity="day",
        **{"from": (noon - timedelta(days=1)).isoformat()},
    ).json()
    assert [row["count"] for row in found["rows"]] == [1, 1]


def test_each_event_of_a_batch_has_a_result(customer: Customer) -> None:
    one = event()
    customer.post("/v1/events", one)
    new = event()
    batch = [new, one, event(at=moment(days=8)), new, event(customer=1), {"event_id": "x"}]
    answer = customer.post("/v1/events/batch", {"events": batch})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["accepted"], told["duplicates"], told["rejected"]) == (1, 2, 3)
    assert [each["index"] for each in told["results"]] == list(range(6))
    assert [each["status"] for each in told["results"]] == [
        "accepted", "duplicate", "rejected", "duplicate", "rejected", "rejected",
    ]  # fmt: skip
    assert [each.get("reason") for each in told["results"]] == [
        None, None, "too-old", None, "other-customer", "invalid",
    ]  # fmt: skip


def test_an_empty_batch_is_one(customer: Customer) -> None:
    told = customer.post("/v1/events/batch", {"events": []}).json()
    assert told == {"accepted": 0, "duplicates": 0, "rejected": 0, "results": []}


QUOTED = {f"{n}{'k' * 100}": '"' * 128 for n in range(8)}
BAD: dict[str, tuple[Any, int, str]] = {
    "no JSON": (b"{", 400, "malformed"),
    "NaN": (b'{"value": NaN}', 400, "malformed"),
    "a wrong type": (event(value="1"), 422, "invalid"),
    "a key twice": (text_of()[:-1] + b',"name":"other"}', 422, "duplicate-key"),
    "too large": (event(properties={"text": "x" * 65_536}), 413, "event-too-large"),
    "larger than any body": (event(properties={"text": "x" * 1_100_000}), 413, "too-large"),
    "too deep": (event(properties=nested(9)), 422, "too-deep"),
    "too old": (event(at=moment(days=8)), 422, "too-old"),
    "in the future": (event(at=moment(days=-1)), 422, "in-the-future"),
    "a zero byte": (event(name="a\x00"), 422, "zero-byte"),
    "dimensions for no index": (event(dimensions=QUOTED), 422, "dimensions-too-long"),
    "two keys that become one": (event(dimensions={"A": 1, "a": 2}), 422, "ambiguous-key"),
    "another customer's": (event(customer=1), 403, "other-customer"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_refused_with_its_reason(name: str, customer: Customer) -> None:
    body, status, reason = BAD[name]
    problem(customer.post("/v1/events", body), status, reason)


def test_a_batch_that_is_too_long_or_too_large_is_refused(customer: Customer) -> None:
    problem(customer.post("/v1/events/batch", {"events": [{}] * 501}), 422, "batch-too-long")
    large = b'{"events":[' + b" " * 1_200_000 + b"]}"
    problem(customer.post("/v1/events/batch", large), 413, "too-large")
    problem(customer.post("/v1/events/batch", b"{"), 400, "malformed")


# --- who may -------------------------------------------------------------------------------------


def test_without_a_key_with_a_wrong_one_and_with_a_revoked_one(
    client: TestClient, customer: Customer, whole: Settings
) -> None:
    for path in ("/v1/events", "/v1/events/batch"):
        problem(client.post(path, content=b"{}"), 401, "missing-key")
        problem(client.post(path, content=b"{}", headers={"X-API-Key": "no"}), 401, "unknown-key")
    problem(client.get("/v1/metrics"), 401, "missing-key")
    with psycopg.connect(whole.database_url) as connection:
        connection.execute(
            "UPDATE api_keys SET revoked_at = now() WHERE customer_id = %s", (customer.number,)
        )
    problem(customer.post("/v1/events", event()), 403, "revoked-key")


def test_a_flag_switches_a_customer_off(customer: Customer, upstreams: dict[str, Any]) -> None:
    url = f"{upstreams['flags'][0]}/v1/flags/{customer.number}"
    httpx2.put(url, json={"ingest": False}).raise_for_status()
    problem(customer.post("/v1/events", event()), 403, "switched-off")
    assert customer.get("/v1/metrics", name="page_view").status_code == 200


# --- metrics -------------------------------------------------------------------------------------


def fill(customer: Customer) -> datetime:
    """Nine events in two hours; the hour of the first."""
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    events = [
        event(
            name="sale",
            at=(first + timedelta(minutes=10 * n)).isoformat(),
            value=float(n),
            dimensions={"country": ("de", "fr", "it")[n % 3], "user": f"u{n % 4}"},
        )
        for n in range(9)
    ]
    assert customer.post("/v1/events/batch", {"events": events}).json()["accepted"] == 9
    return first


def test_metrics_are_exact(customer: Customer) -> None:
    first = fill(customer)
    answer = customer.get(
        "/v1/metrics",
        name="sale",
        granularity="hour",
        aggregates="count,sum,avg,min,max,unique",
        unique_of="user",
        **{"from": first.isoformat(), "to": (first + timedelta(hours=2)).isoformat()},
    )
    assert answer.status_code == 200
    found = answer.json()
    assert found["rows"] == [
        {
            "bucket": f"{first:%Y-%m-%dT%H}:00:00Z", "dimensions": {},
            "count": 6, "sum": 15.0, "avg": 2.5, "min": 0.0, "max": 5.0, "unique": 4,
        },
        {
            "bucket": f"{first + timedelta(hours=1):%Y-%m-%dT%H}:00:00Z", "dimensions": {},
            "count": 3, "sum": 21.0, "avg": 7.0, "min": 6.0, "max": 8.0, "unique": 3,
        },
    ]  # fmt: skip


def test_metrics_are_broken_down_and_filtered(customer: Customer) -> None:
    first = fill(customer)
    span = {"from": first.isoformat(), "to": (first + timedelta(hours=2)).isoformat()}
    by_country = customer.get(
        "/v1/metrics", name="sale", granularity="day", dimensions="country", **span
    ).json()
    counts: dict[str, int] = {}
    for row in by_country["rows"]:  # the day may end within the hours
        country = row["dimensions"]["country"]
        counts[country] = counts.get(country, 0) + row["count"]
    assert counts == {"de": 3, "fr": 3, "it": 3}
    one = customer.get("/v1/metrics", name="sale", filter=["country:de", "user:u0"], **span).json()
    assert [row["count"] for row in one["rows"]] == [1]


def test_dimensions_are_asked_for_as_they_are_sent(customer: Customer) -> None:
    customer.post("/v1/events", event(name="spelled", dimensions={"Sign-Up Plan": " Pro "}))
    question = {"name": "spelled", "dimensions": "Sign-Up Plan", "filter": "sign_up_plan: Pro"}
    (row,) = customer.get("/v1/metrics", **question).json()["rows"]
    assert (row["dimensions"], row["count"]) == ({"sign_up_plan": "Pro"}, 1)


def test_an_answer_says_how_old_it_is(customer: Customer) -> None:
    fill(customer)
    first = customer.get("/v1/metrics", name="sale", granularity="hour").json()
    second = customer.get("/v1/metrics", name="sale", granularity="hour").json()
    assert first["cache_age_ms"] == 0
    assert second["as_of"] == first["as_of"]
    assert second["cache_age_ms"] > 0


def test_an_event_is_seen_within_two_seconds(customer: Customer) -> None:
    question = {"name": "seen", "granularity": "hour"}
    assert customer.get("/v1/metrics", **question).json()["rows"] == []
    customer.post("/v1/events", event(name="seen"))
    time.sleep(1.6)
    assert [row["count"] for row in customer.get("/v1/metrics", **question).json()["rows"]] == [1]


def test_customers_do_not_see_each_other(customer: Customer, customer_at: Any) -> None:
    fill(customer)
    other = customer_at(customer.client)
    assert other.get("/v1/metrics", name="sale", granularity="hour").json()["rows"] == []


def test_a_bad_question_is_refused(customer: Customer) -> None:
    problem(customer.get("/v1/metrics"), 422, "parameter")
    wide = customer.get("/v1/metrics", name="n", **{"from": "2020-01-01T00:00:00Z"})
    problem(wide, 422, "range-too-wide")


# --- the rest ------------------------------------------------------------------------------------


def test_what_is_not_there_is_a_problem_too(client: TestClient) -> None:
    problem(client.get("/nowhere"), 404, "not-found")
    problem(client.delete("/v1/events"), 405, "method")


def test_probes_answer(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_an_import_is_stored_for_the_worker(customer: Customer) -> None:
    lines = b"\n".join(json.dumps(event()).encode() for _ in range(3))
    answer = customer.post("/v1/imports", lines, **{"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 202, answer.text
    found = customer.get(f"/v1/imports/{answer.json()['id']}")
    assert found.json()["state"] == "queued"


def test_the_api_describes_itself(client: TestClient) -> None:
    found = client.get("/openapi.json").json()
    assert set(found["paths"]) == {
        "/v1/events", "/v1/events/batch", "/v1/metrics", "/v1/imports", "/v1/imports/{number}",
        "/livez", "/readyz",
    }  # fmt: skip
    described = found["components"]["schemas"]["Event"]
    assert described["required"] == ["event_id", "name", "at"]
    assert f"at most {Limits().names} " in described["properties"]["name"]["description"]
