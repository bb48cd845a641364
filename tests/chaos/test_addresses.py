"""Addresses as users write them."""

from __future__ import annotations

import socket

import pytest

from unstall.chaos.addresses import Address, bound, listen_of, upstream_of
from unstall.errors import UsageError


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("127.0.0.1:5432", Address("127.0.0.1", 5432)),
        ("[::1]:5432", Address("::1", 5432)),
        ("db_1.internal:5432", Address("db_1.internal", 5432)),
        (("::1", 5432), Address("::1", 5432)),
        ("unix:run/pg.sock", Address("", 0, "run/pg.sock")),
    ],
)
def test_upstreams(given: str | tuple[str, int], address: Address) -> None:
    assert upstream_of(given) == address
    assert upstream_of(str(address)) == address


@pytest.mark.parametrize(
    "given", ["", "5432", "host", "host:", "host:http", "host:70000", "::1:5432", "a b:1", "unix:",
              "http://host:80", "[host:1", ("", 80), ("host", -1)],
)  # fmt: skip
def test_what_is_no_upstream_is_told(given: str | tuple[str, int]) -> None:
    with pytest.raises(UsageError, match=r"^upstream of billing is .* give HOST:PORT"):
        upstream_of(given, "upstream of billing")


def test_an_upstream_needs_a_port() -> None:
    with pytest.raises(UsageError, match=r"which has no port"):
        upstream_of("127.0.0.1:0")


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("6000", Address("127.0.0.1", 6000)),
        (":6000", Address("127.0.0.1", 6000)),
        ("localhost:0", Address("localhost", 0)),
        ("127.1:0", Address("127.1", 0)),
        ("[::1]:0", Address("::1", 0)),
        ("127.8.8.8:1", Address("127.8.8.8", 1)),
    ],
)
def test_places_to_listen(given: str, address: Address) -> None:
    assert listen_of(given) == address


@pytest.mark.parametrize("given", ["0.0.0.0:6000", "[::]:6000", "10.0.0.1:6000", "example:6000"])
def test_other_machines_are_let_in_only_when_asked(given: str) -> None:
    with pytest.raises(UsageError, match=r"which other machines can reach.*--allow-remote"):
        listen_of(given)
    assert listen_of(given, remote=True).port == 6000


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"^listen is 127.0.0.1:{port}, and somebody listens"):
            bound(Address("127.0.0.1", port))


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(
        UsageError, match=r"cannot be listened on .*: give an address of this machine"
    ):
        bound(Address("192.0.2.1", 0))
