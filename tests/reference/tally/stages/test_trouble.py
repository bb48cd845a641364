"""What each stage does while something that it needs is away."""

from __future__ import annotations

import time
from dataclasses import replace

import psycopg
import pytest

from tally.ingest.signature import signed, signing_key
from tally.schema import seed
from tally.schema.migrate import to
from tally.schema.revisions import SchemaError
from tally.settings import Limits, Settings
from tests.reference.tally.events import event, moment, text_of
from tests.reference.tally.stages.conftest import Customer, MakeCustomer, serving
from unstall import switch

pytestmark = pytest.mark.live

OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
NOBODY = "postgresql://nobody@127.0.0.1:1/none"


def test_without_a_database_nothing_is_acknowledged(
    whole: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    away = replace(whole, stage=stage, database_url=NOBODY, acquire_s=0.3)
    with serving(away) as client:
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "waiting for PostgreSQL" in ready.json()["detail"]
        for path, body in (("/v1/events", event()), ("/v1/events/batch", {"events": [event()]})):
            answer = customer_at(client).post(path, body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert customer_at(client).get("/v1/metrics", name="n").status_code == 503


def test_who_waits_while_the_database_hangs_is_told_to_send_it_again(
    whole: Settings, customer_at: MakeCustomer
) -> None:
    with serving(replace(whole, stage="async", deadline_s=0.5)) as client:
        customer, sent = customer_at(client), event()
        assert customer.post("/v1/events", event()).status_code == 201
        with psycopg.connect(whole.database_url) as connection:
            connection.execute("LOCK TABLE rollup_hour IN ACCESS EXCLUSIVE MODE")
            late = customer.post("/v1/events", sent)
            assert (late.status_code, late.json()["reason"]) == (504, "deadline")
            assert 1 <= int(late.headers["retry-after"]) <= 2
        again = customer.post("/v1/events", sent)
        assert again.status_code in (200, 201), "stored once, whoever was told of it"


def test_a_start_that_is_refused_leaves_nothing_open(empty: Settings, stage: str) -> None:
    with pytest.raises(SchemaError), serving(replace(empty, stage=stage)):
        pass
    until = time.monotonic() + 10  # the server needs a moment to see that they are closed
    with psycopg.connect(empty.database_url, autocommit=True) as connection:
        while connection.execute(OTHERS).fetchone() != (0,):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_without_redis_everything_works(
    whole: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    away = replace(whole, stage=stage, redis_url="redis://127.0.0.1:1/0", rate=100.0)
    with serving(away) as client:
        customer = customer_at(client)
        assert customer.post("/v1/events", event()).status_code == 201
        assert customer.get("/v1/metrics", name="page_view").status_code == 200


def test_without_auth_nobody_is_let_in_and_without_flags_everybody(
    whole: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    gone = ("http://127.0.0.1:1",)
    with serving(replace(whole, stage=stage, auth_urls=gone)) as client:
        answer = customer_at(client).post("/v1/events", event())
        assert (answer.status_code, answer.json()["reason"]) == (503, "auth")
    with serving(replace(whole, stage=stage, flags_urls=gone)) as client:
        assert customer_at(client).post("/v1/events", event()).status_code == 201


def test_without_upstreams_keys_are_looked_up_in_the_database(
    plain: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    with serving(replace(plain, stage=stage)) as client:
        assert customer_at(client).post("/v1/events", event()).status_code == 201
        stranger = replace(customer_at(client), key="nobody's")
        assert stranger.post("/v1/events", event()).status_code == 401


def test_an_event_whose_day_is_missing_is_never_called_a_duplicate(
    empty: Settings, stage: str
) -> None:
    """Whoever is told that stops sending it."""
    to(empty)
    seed.customer(empty, 1, "test", "key")
    with psycopg.connect(empty.database_url) as connection:
        connection.execute(f"DROP TABLE events_{moment(days=2)[:10].replace('-', '')}".encode())
    with serving(replace(empty, stage=stage)) as client:
        answer = Customer(1, "key", client).post("/v1/events", event(at=moment(days=2)))
    with psycopg.connect(empty.database_url) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM events").fetchall()
    assert (answer.status_code, stored) == ((201, (1,)) if stage == "async" else (503, (0,)))


def test_a_breakdown_says_how_much_it_lacks_after_a_bomb_of_dimensions(
    whole: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    few = replace(whole, stage=stage, limits=Limits(series=3), cache_s=0.0, memory_s=0.0)
    with serving(few) as client:
        customer = customer_at(client)
        for number in range(10):
            customer.post("/v1/events", event(name="bomb", dimensions={"user": str(number)}))

        def asked(**more: str) -> tuple[int, int, int]:
            found = customer.get(
                "/v1/metrics", name="bomb", aggregates="count", granularity="day", **more
            ).json()
            return sum(row["count"] for row in found["rows"]), len(found["rows"]), found["folded"]

        assert asked() == (10, 1, 0), "totals lack nothing"
        assert asked(dimensions="user") == (10, 4, 7)
        assert asked(filter="user:9") == (0, 0, 7)


def test_a_body_has_to_be_signed_if_there_is_a_key(
    whole: Settings, stage: str, customer_at: MakeCustomer
) -> None:
    with serving(replace(whole, stage=stage, signing_key="secret")) as client:
        customer, body = customer_at(client), text_of()
        good = signed(body, signing_key("secret"))
        assert customer.post("/v1/events", body).status_code == 401
        assert customer.post("/v1/events", body, **{"X-Signature": "sha256=0"}).status_code == 401
        assert customer.post("/v1/events", body, **{"X-Signature": good}).status_code == 201


def test_a_customers_rate_is_kept(whole: Settings, stage: str, customer_at: MakeCustomer) -> None:
    with serving(replace(whole, stage=stage, rate=1.0)) as client:
        customer = customer_at(client)
        statuses = [customer.post("/v1/events", event()).status_code for _ in range(10)]
        assert 429 in statuses
        assert 201 in statuses


def test_an_operator_switches_ingestion_off_and_queries_go_on(
    whole: Settings, customer_at: MakeCustomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tally.stages import async_

    monkeypatch.setitem(async_.SWITCHES, "ingest", switch("tally-off-in-a-test", default=False))
    with serving(replace(whole, stage="async")) as client:
        customer = customer_at(client)
        answer = customer.post("/v1/events", event())
        assert (answer.status_code, answer.json()["reason"]) == (503, "switched-off")
        assert answer.headers["retry-after"] == "30"
        assert customer.get("/v1/metrics", name="page_view").status_code == 200
