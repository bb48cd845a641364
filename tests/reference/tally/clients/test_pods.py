"""Several pods of one service, one of them ill."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from tally.clients.keys import Known, allow, customer_of, flags_of, key_of, told_by
from tally.clients.pods import Away, Pods
from tally.problems import Problem

URLS = ("http://one", "http://two", "http://three")


class Cluster:
    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.ill: set[str] = set()
        self.broken: set[str] = set()
        self.now = 0.0

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked[request.url.host] += 1
        if request.url.host in self.ill:
            raise httpx2.ReadTimeout("too late", request=request)
        return httpx2.Response(500 if request.url.host in self.broken else 200, json={})


def run(work: Callable[[Cluster, Pods], Awaitable[None]]) -> None:
    async def main() -> None:
        cluster = Cluster()
        transport = httpx2.MockTransport(cluster.answer)
        async with httpx2.AsyncClient(transport=transport) as client:
            await work(cluster, Pods("auth", client, URLS, lambda: cluster.now))

    asyncio.run(main())


def test_pods_are_asked_in_turn() -> None:
    async def work(cluster: Cluster, pods: Pods) -> None:
        for _ in range(9):
            await pods.get("/x")
        assert set(cluster.asked.values()) == {3}

    run(work)


def test_one_that_is_too_late_costs_one_request_and_is_left_alone() -> None:
    async def work(cluster: Cluster, pods: Pods) -> None:
        cluster.ill.add("two")
        for _ in range(9):
            assert (await pods.get("/x")).status_code == 200
        assert cluster.asked["two"] == 1
        cluster.ill.clear()
        cluster.now = 6.0
        for _ in range(9):
            await pods.get("/x")
        assert cluster.asked["two"] > 1

    run(work)


def test_two_tries_are_enough() -> None:
    async def work(cluster: Cluster, pods: Pods) -> None:
        cluster.ill.update(("one", "two"))
        cluster.broken.add("three")
        with pytest.raises(Away, match="auth cannot be reached"):
            await pods.get("/x")
        assert cluster.asked.total() == 2

    run(work)


def test_what_auth_says_of_a_key() -> None:
    assert customer_of(told_by(200, lambda: {"customer": 7})) == 7
    for known, status in (
        (told_by(401, lambda: {"reason": "unknown"}), 401),
        (told_by(401, lambda: {"reason": "revoked"}), 403),
        (Known(7, revoked=True), 403),
    ):
        with pytest.raises(Problem) as caught:
            customer_of(known)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, '{"reason": "too many requests"}'),
        (404, "{}"),
        (503, "{}"),
        (200, "<html>"),
        (200, "{}"),
        (200, "[]"),
        (200, '{"customer": null}'),
        (401, "<html>"),
    ],
)
def test_what_is_no_answer_makes_nobody_a_stranger(status: int, body: str) -> None:
    with pytest.raises(Away):
        told_by(status, lambda: json.loads(body))
    with pytest.raises(Away):
        flags_of(status, lambda: json.loads(body))


@pytest.mark.parametrize("given", [None, "", "ä", "x" * 201])
def test_what_can_be_no_key_is_not_asked_about(given: str | None) -> None:
    with pytest.raises(Problem) as caught:
        key_of(given)
    assert caught.value.status == 401


def test_a_flag_that_nobody_set_is_on() -> None:
    allow({}, "ingest")
    with pytest.raises(Problem):
        allow({"ingest": False}, "ingest")
