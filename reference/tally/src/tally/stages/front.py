"""What stands before FastAPI: who is let in, how long it may take, and the busy routes.

A request of a busy route is found by its method and path alone. Routers, exit stacks and layers for errors
cost more than its event does; all others go through them as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tally.problems import Problem, response_of, unforeseen

_LOG = logging.getLogger("tally")


def stand_before(app: FastAPI, front: Callable[[ASGIApp], ASGIApp]) -> None:
    """Puts `front` around all that FastAPI builds, its limit of bodies and its middleware included."""
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: front(build())  # type: ignore[method-assign]


class Busy:
    """Pure ASGI: calls the endpoints of `routes`, and `app` for everything else.

    The endpoints bound their bodies themselves, and raise Problem for what is no mistake of ours.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[Route]) -> None:
        self.app = app
        self._routes = {
            (method, route.path): route for route in routes for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope.get("method", ""), scope.get("path", "")))
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"], scope["endpoint"] = route, route.endpoint
        try:
            response = await route.endpoint(Request(scope, receive))
        except Problem as problem:
            response = response_of(problem)
        except ClientDisconnect:
            return
        except Exception:
            _LOG.exception("%s %s", scope["method"], scope["path"])
            response = response_of(unforeseen())
        await response(scope, receive, send)
