"""What blocks, as data: names, and the rules they belong to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.catalog.lookup import methods, rule_for, table
from unstall.rules import BY_CODE, RULES


@pytest.mark.parametrize(
    ("api", "code"),
    [
        ("requests.get", "US102"),
        ("requests", "US102"),
        ("time.sleep", "US101"),
        ("psycopg2.extensions.connection.commit", "US103"),
        ("psycopg_pool.pool.ConnectionPool.getconn", "US103"),
        ("mysql.connector.connect", "US103"),
        ("os.fsync", "US106"),
        ("os.system", "US107"),
        ("import", "US112"),
    ],
)
def test_an_api_lies_below_a_name(api: str, code: str) -> None:
    assert rule_for(api) == code


@pytest.mark.parametrize(
    "api",
    [
        "",
        "requests2.get",
        "req",
        "time",
        "time.sleeper",
        "mysql",
        "self.requests.get",
        "Requests.get",
    ],
)
def test_a_name_ends_at_a_dot(api: str) -> None:
    assert rule_for(api) is None


def test_the_longest_name_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"os": "US100", "os.path": "US106", "os.path.slow": "US101"}
    monkeypatch.setattr("unstall.catalog.lookup.table", lambda: rows)
    assert rule_for("os.path.slow.now") == "US101"
    assert rule_for("os.path.slower") == "US106"
    assert rule_for("os.fork") == "US100"


@given(st.sampled_from(sorted(table())), st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_what_lies_below_a_name_has_a_rule(name: str, attribute: str) -> None:
    assert rule_for(f"{name}.{attribute}") is not None


def test_every_code_of_the_catalog_is_a_rule() -> None:
    assert {*table().values(), *methods().values()} <= set(BY_CODE)


def test_a_method_is_a_bare_name() -> None:
    assert [name for name in methods() if not name.isidentifier()] == []


def test_a_code_and_a_slug_name_one_rule() -> None:
    assert len(BY_CODE) == len(RULES) == len({rule.slug for rule in RULES})
