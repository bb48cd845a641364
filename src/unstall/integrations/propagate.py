"""Carries a request's deadline on to whoever it calls, through clients of httpx and httpx2."""

from __future__ import annotations

from typing import Any, TypeVar

from unstall.clock import NS_PER_S
from unstall.errors import DeadlinePassed, UsageError
from unstall.gates.adapter import is_a
from unstall.guard.budget import CURRENT, HEADER, header_value

Client = TypeVar("Client")

_TIMES = ("connect", "read", "write", "pool")
_MARGIN_S = 0.1
_MARGIN = 0.1
"""A call ends before its request does, by a tenth of what is left and at most so long: then its thread is
back, and there is time to answer something else."""


def propagate(client: Client) -> Client:
    """Each request of this client, `Client` or `AsyncClient`, carries X-Request-Deadline and waits no
    longer.

    Without a deadline nothing is changed. With none of it left the request is not sent: DeadlinePassed.
    Returns the client. Raises UsageError for something else.
    """
    hooks: Any = getattr(client, "event_hooks", None)
    is_async = any(is_a(client, library, "AsyncClient") for library in ("httpx", "httpx2"))
    is_plain = any(is_a(client, library, "Client") for library in ("httpx", "httpx2"))
    if hooks is None or not (is_async or is_plain):
        kind = f"{type(client).__module__}.{type(client).__qualname__}"
        raise UsageError(f"propagate was given a {kind}: give a client of httpx or httpx2")
    hook = _carry_async if is_async else _carry
    requests = list(hooks.get("request", ()))
    if hook not in requests:
        client.event_hooks = {**hooks, "request": [*requests, hook]}  # type: ignore[attr-defined]
    return client


async def _carry_async(request: Any) -> None:
    _carry(request)


def _carry(request: Any) -> None:
    budget = CURRENT.get()
    if budget is None:
        return
    left = budget.left_ns() / NS_PER_S
    if left <= 0:
        raise DeadlinePassed(
            f"{request.method} {request.url.host} was not sent: the deadline of the request that is worked "
            f"for passed {-left:.3f} s ago"
        )
    request.headers.setdefault(HEADER, header_value(budget))
    left -= min(_MARGIN_S, left * _MARGIN)
    given = request.extensions.get("timeout", {})
    request.extensions = {
        **request.extensions,
        "timeout": {name: _least(given.get(name), left) for name in _TIMES},
    }


def _least(given: float | None, left: float) -> float:
    return left if given is None else min(given, left)
