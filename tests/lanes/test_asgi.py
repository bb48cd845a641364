"""What a client sees of a lane's refusal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from unstall.errors import LaneBroken, LaneDeadline, LaneError, LaneFull, LaneStuck, LaneTimeout
from unstall.lanes.asgi import LaneErrors, lane_error_in

Message = dict[str, Any]


def answer(
    error: BaseException, kind: str = "http", before: tuple[Message, ...] = ()
) -> list[Message]:
    """What goes out when an application sends `before` and then raises."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in before:
            await send(message)
        raise error

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(LaneErrors(app)({"type": kind}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (LaneFull("no slot for secrets:fetch", "billing", 2.2), 503, b'"reason": "lane-full"'),
        (LaneStuck("no slot for secrets:fetch", "billing", 2.2), 503, b'"reason": "lane-stuck"'),
        (
            LaneTimeout("no slot for secrets:fetch", "billing", 2.2),
            503,
            b'"reason": "lane-timeout"',
        ),
        (LaneDeadline("secrets:fetch is slow", "billing", 2.2), 504, b'"reason": "lane-deadline"'),
    ],
)
def test_overload_is_503_with_retry_after_and_slowness_504(
    error: LaneError, status: int, reason: bytes
) -> None:
    start, body = answer(error)
    headers = dict(start["headers"])
    assert start["status"] == status
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers.get(b"retry-after") == (b"3" if status == 503 else None)
    assert int(headers[b"content-length"]) == len(body["body"])
    assert reason in body["body"]
    assert b"secrets:fetch" not in body["body"]


def test_a_websocket_is_told_to_come_back_later() -> None:
    accepted = {"type": "websocket.accept"}
    sent = answer(LaneFull("full", "billing"), "websocket", (accepted,))
    assert sent == [accepted, {"type": "websocket.close", "code": 1013, "reason": "lane-full"}]


def test_an_answer_that_has_begun_is_not_answered_again() -> None:
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    with pytest.raises(LaneFull):
        answer(LaneFull("full"), before=(begun,))


@pytest.mark.parametrize("error", [KeyError("x"), LaneBroken("died")])
def test_what_is_no_overload_goes_its_way(error: Exception) -> None:
    with pytest.raises(type(error)):
        answer(error)


def test_a_lifespan_is_none_of_our_business() -> None:
    with pytest.raises(LaneFull):
        answer(LaneFull("full"), "lifespan")


def test_a_group_of_refusals_is_a_refusal_and_one_with_anything_else_is_not() -> None:
    refusals = ExceptionGroup("tasks", [LaneFull("one"), LaneDeadline("two")])
    assert answer(refusals)[0]["status"] == 503
    assert lane_error_in(ExceptionGroup("tasks", [LaneFull("one"), KeyError("bug")])) is None
