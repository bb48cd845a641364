"""A port that stays free until it is used."""

from __future__ import annotations

import socket
from types import ModuleType

import pytest

from tally.stack import processes as of_tally
from unstall.prove import processes as of_unstall

MODULES = [of_unstall, of_tally]


@pytest.mark.parametrize("module", MODULES)
def test_it_is_none_that_the_system_gives_away_by_itself(module: ModuleType) -> None:
    ports = {module.free_port() for _ in range(20)}
    assert len(ports) > 10
    assert all(10_240 <= port < 32_768 for port in ports)


@pytest.mark.parametrize("module", MODULES)
def test_one_that_somebody_has_is_passed_over(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = module.free_port()
    with socket.create_server(("127.0.0.1", module.free_port())) as taken:
        port = taken.getsockname()[1]
        drawn = iter([port, port, other])
        monkeypatch.setattr(module.secrets, "randbelow", lambda _: next(drawn) - 10_240)
        assert module.free_port() == other


@pytest.mark.parametrize("module", MODULES)
def test_where_all_are_taken_the_system_gives_one(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", module.free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(module.secrets, "randbelow", lambda _: port - 10_240)
        assert module.free_port() not in (0, port)
