"""What is this machine, and what only looks like it."""

from __future__ import annotations

import pytest

from unstall.hosts import is_loopback


@pytest.mark.parametrize(
    "host",
    "localhost localhost. LOCALHOST a.localhost a.localhost. 127.0.0.1 127.1.2.3 127.1 127.0.1 0x7f.1 "
    "0x7f000001 2130706433 0177.0.0.1 ::1 [::1] 0:0:0:0:0:0:0:1 ::ffff:127.0.0.1 ::1%lo".split(),
)  # fmt: skip
def test_loopback_in_any_spelling_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", ".", "10.0.0.1", "0.0.0.0", "::", "fe80::1", "::ffff:10.0.0.1", "db", "1", "127", "128.1",
     "localhost.example.com", "127.0.0.1.example.com", "notlocalhost", "127.1 example.com", "0x7e.1",
     "१२७.1"],
)  # fmt: skip
def test_other_hosts_are_not_and_names_are_not_looked_up(host: str) -> None:
    assert not is_loopback(host)
