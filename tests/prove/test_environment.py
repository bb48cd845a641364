"""Upstreams named by environment variables: found, moved, and everything else left alone."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstall.errors import UsageError
from unstall.prove.environment import Address, addresses, rewritten, tls_gap

MOVED = [Address("127.0.0.1", 40_001 + n) for n in range(9)]


def moved(name: str, **env: str) -> dict[str, str]:
    """The environment with every upstream at a port from 40001 up, where it differs."""
    new = rewritten(name, env, MOVED[: len(addresses(name, env))])
    return {key: value for key, value in new.items() if env.get(key) != value}


FORMS = {
    # value: (addresses, the value with them moved)
    "postgresql+asyncpg://u:p%40@db/x?ssl=1": (
        ["db:5432"], "postgresql+asyncpg://u:p%40@127.0.0.1:40001/x?ssl=1",
    ),
    "postgres://u:p/w@db:6000/x": (["db:6000"], "postgres://u:p/w@127.0.0.1:40001/x"),
    "postgresql://a:1,b/x": (["a:1", "b:5432"], "postgresql://127.0.0.1:40001,127.0.0.1:40002/x"),
    "postgresql:///x?host=a&user=u": (["a:5432"], "postgresql:///x?host=127.0.0.1&port=40001&user=u"),
    "postgresql:///x?port=7&host=a,b": (
        ["a:7", "b:7"], "postgresql:///x?port=40001,40002&host=127.0.0.1,127.0.0.1",
    ),
    "postgresql+psycopg2://u@/x?host=a:1&host=b:2": (
        ["a:1", "b:2"], "postgresql+psycopg2://u@/x?host=127.0.0.1:40001&host=127.0.0.1:40002",
    ),
    "redis://[::1]:6380/0": (["[::1]:6380"], "redis://127.0.0.1:40001/0"),
    "rediss://:s3cret@cache": (["cache:6379"], "rediss://:s3cret@127.0.0.1:40001"),
    "amqp://u:p@mq/%2F": (["mq:5672"], "amqp://u:p@127.0.0.1:40001/%2F"),
    "mongodb://u:p@a:1,b,c:3/x?replicaSet=r": (
        ["a:1", "b:27017", "c:3"],
        "mongodb://u:p@127.0.0.1:40001,127.0.0.1:40002,127.0.0.1:40003/x?replicaSet=r",
    ),
    "http://h/a@b?c=d,e": (["h:80"], "http://127.0.0.1:40001/a@b?c=d,e"),
    "https://api.example.com/v1/": (["api.example.com:443"], "https://127.0.0.1:40001/v1/"),
    "http://a:1,http://b:2/x": (["a:1", "b:2"], "http://127.0.0.1:40001,http://127.0.0.1:40002/x"),
    "amqp://a//;amqp://b//": (["a:5672", "b:5672"], "amqp://127.0.0.1:40001//;amqp://127.0.0.1:40002//"),
    "SASL_SSL://a:1,SASL_SSL://b:2": (
        ["a:1", "b:2"], "SASL_SSL://127.0.0.1:40001,SASL_SSL://127.0.0.1:40002",
    ),
    "jdbc:postgresql://h/x": (["h:5432"], "jdbc:postgresql://127.0.0.1:40001/x"),
    "a:1": (["a:1"], "127.0.0.1:40001"),
    " a:1, [fe80::1]:2 ,c_d.e-f:3": (
        ["a:1", "[fe80::1]:2", "c_d.e-f:3"], " 127.0.0.1:40001, 127.0.0.1:40002 ,127.0.0.1:40003",
    ),
    r"host=a port=1 dbname=x password='it\'s host=b'": (
        ["a:1"], r"host=127.0.0.1 port=40001 dbname=x password='it\'s host=b'",
    ),
    "dbname=x host = 'a'": (["a:5432"], "dbname=x host = '127.0.0.1' port=40001"),
    "host=a,b port=1,2": (["a:1", "b:2"], "host=127.0.0.1,127.0.0.1 port=40001,40002"),
    "host=a,b port=1": (["a:1", "b:1"], "host=127.0.0.1,127.0.0.1 port=40001,40002"),
    "hostaddr=10.0.0.1 host=db.x": (["10.0.0.1:5432"], "hostaddr=127.0.0.1 port=40001 host=db.x"),
}  # fmt: skip


@pytest.mark.parametrize("value", FORMS)
def test_an_upstream_is_found_and_moved_in_every_form(value: str) -> None:
    found, after = FORMS[value]
    assert [str(each) for each in addresses("UPSTREAM", {"UPSTREAM": value})] == found
    assert moved("UPSTREAM", UPSTREAM=value) == {"UPSTREAM": after}


@pytest.mark.parametrize(
    ("host", "port"),
    [("DB_HOST", "DB_PORT"), ("PGHOST", "PGPORT"), ("db_hostname", "db_port"), ("DB_HOST_2", "DB_PORT_2"),
     ("DB__SERVER", "DB__PORT"), ("redisAddr", "redisPort")],
)  # fmt: skip
def test_a_host_finds_the_port_beside_it(host: str, port: str) -> None:
    assert addresses(host, {host: "db", port: " 5432"}) == (("db", 5432),)
    assert moved(host, **{host: "db", port: " 5432"}) == {host: "127.0.0.1", port: " 40001"}


def test_a_bare_ipv6_host_needs_no_brackets_beside_its_port() -> None:
    env = {"DB_HOST": "::1", "DB_PORT": "5432"}
    assert addresses("DB_HOST", env) == (("::1", 5432),)
    assert rewritten("DB_HOST", env, [("::1", 7)]) == {"DB_HOST": "::1", "DB_PORT": "7"}


def test_a_new_ipv6_address_gets_brackets_where_a_port_follows() -> None:
    assert rewritten("A", {"A": "http://a/x"}, [("::1", 7)]) == {"A": "http://[::1]:7/x"}


def test_a_host_that_has_its_port_leaves_the_variable_beside_it_alone() -> None:
    assert moved("DB_HOST", DB_HOST="db:1", DB_PORT="2") == {"DB_HOST": "127.0.0.1:40001"}


def test_other_variables_are_left_alone() -> None:
    env = {"A": "http://a", "B": "http://a"}
    assert moved("A", **env) == {"A": "http://127.0.0.1:40001"}


REFUSED = {
    "sqlite:///x.db": "is a file or a socket",
    "mongodb+srv://u:hidden@x/y": "hosts stand in DNS",
    "smthng://u:hidden@x/y": "no port that is known",
    "postgresql:///x?host=/var/run/pg": "Unix socket",
    "postgresql:///x": "names no host",
    "host=/var/run/pg dbname=x": "Unix socket",
    "/var/run/pg": "Unix socket",
    "user=u password=hidden": "names no host",
    "host=a,b,c port=1,2": "3 hosts and 2 ports",
    "host=a port=x": "1 to 65535",
    "http://h:99999/": "1 to 65535",
    "a:0": "1 to 65535",
    "true": "no upstream in a form",
    "${HOST}:5432": "no upstream in a form",
    "http://${HOST}/": "no upstream in a form",
    "u:hidden@h:1": "no upstream in a form",
    "see http://h": "no upstream in a form",
}


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_not_understood_is_one_sentence_with_the_value_and_no_password(value: str) -> None:
    with pytest.raises(UsageError, match=r"^UPSTREAM is '") as told:
        addresses("UPSTREAM", {"UPSTREAM": value})
    assert REFUSED[value] in str(told.value)
    assert "hidden" not in str(told.value)


def test_a_host_without_a_port_names_the_variable_that_is_missing() -> None:
    with pytest.raises(UsageError, match="no DB_PORT says at which port"):
        addresses("DB_HOST", {"DB_HOST": "db"})
    with pytest.raises(UsageError, match="DB_PORT is 'x', which is no port"):
        addresses("DB_HOST", {"DB_HOST": "db", "DB_PORT": "x"})
    with pytest.raises(UsageError, match="write host:port for each"):
        addresses("DB_HOST", {"DB_HOST": "a,b", "DB_PORT": "1"})


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DATABASE_URL": "x"}, "DATABSE_URL is not set, .* did you mean DATABASE_URL?"),
        ({}, "DATABSE_URL is not set, .*--env-file"),
        ({"DATABSE_URL": " "}, "DATABSE_URL is empty, .*--env-file"),
    ],
)
def test_a_variable_that_is_not_set_is_said_with_a_near_name(
    env: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        addresses("DATABSE_URL", env)


def test_as_many_addresses_must_be_given_as_there_are() -> None:
    with pytest.raises(UsageError, match="A names 2 addresses and 1 were given"):
        rewritten("A", {"A": "a:1,b:2"}, MOVED[:1])


@pytest.mark.parametrize(
    ("value", "host"),
    [("https://api.example.com/", "api.example.com"), ("rediss://c:1", "c"),
     ("postgresql://h/x?sslmode=verify-full", "h"), ("mongodb://a:1/?tls=true", "a"),
     ("host=h sslmode=verify-full", "h")],
)  # fmt: skip
def test_tls_to_a_name_that_is_checked_is_a_gap(value: str, host: str) -> None:
    gap = tls_gap("A", {"A": value})
    assert gap is not None
    assert host in gap


@pytest.mark.parametrize(
    "value",
    [
        "http://h",
        "postgresql://h/x?sslmode=require",
        "hostaddr=10.0.0.1 host=h sslmode=verify-full",
    ],
)
def test_no_gap_where_nobody_checks_a_name(value: str) -> None:
    assert tls_gap("A", {"A": value}) is None


# --- whatever stands in it


SECRETS = st.text(
    string.ascii_letters + string.digits + "/?#:,=&' +;", min_size=6, max_size=20
).map(lambda text: f"q{text}z")
HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5}){0,2}", fullmatch=True)
PORTS = st.integers(1, 65_535)


@given(SECRETS, st.lists(st.tuples(HOSTS, PORTS), min_size=1, max_size=9), HOSTS)
def test_moving_there_and_back_changes_nothing(
    secret: str, hosts: list[tuple[str, int]], path: str
) -> None:
    user = f"u:{quote(secret, safe='')}@"
    text = ",".join(f"{host}:{port}" for host, port in hosts)
    for value in (
        f"mongodb://{user}{text}/{path}?x={path}",
        text,
        ",".join(f"amqp://{user}{host}:{port}/{path}" for host, port in hosts),
        f"host={','.join(h for h, _ in hosts)} port={','.join(str(p) for _, p in hosts)} dbname={path}",
    ):
        env = {"A": value, "B": value}
        found = addresses("A", env)
        assert [tuple(each) for each in found] == hosts
        there = rewritten("A", env, MOVED[: len(found)])
        assert addresses("A", there) == tuple(MOVED[: len(found)])
        assert there["B"] == value
        assert rewritten("A", there, found) == env


@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused_in_a_sentence(value: str) -> None:
    try:
        found = addresses("DB_HOST", {"DB_HOST": value, "DB_PORT": "5432"})
    except UsageError as error:
        said = str(error)
    else:
        said = "DB_HOST is understood"
        assert found
        assert all(each.host and 0 < each.port < 65_536 for each in found)
    assert said.startswith("DB_HOST is ")
