"""All cases, and what is left out of them."""

from __future__ import annotations

from benchmarks.cases import (
    asynchronous,
    computing,
    databases,
    network,
    system,
    threads,
    web,
)
from benchmarks.cases.case import Case

CASES: tuple[Case, ...] = tuple(
    case
    for module in (threads, web, databases, network, system, computing, asynchronous)
    for case in module.CASES
)
BY_NAME = {case.name: case for case in CASES}

LEFT_OUT = {
    "mysqlclient": "it must be compiled against MariaDB's or MySQL's client library",
    "slow name resolution": "the system's resolver cannot be slowed down without changing the machine",
    "httpx.AsyncClient() built in a route": "it loads CA certificates on the loop, so it is not clean",
}
