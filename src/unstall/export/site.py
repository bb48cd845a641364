"""What is served at which path."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

from unstall.export import page, prometheus
from unstall.export.server import Request, Response
from unstall.export.workers import Read, State, View, Worker, look

_HTML = "text/html; charset=utf-8"
_JSON = "application/json"
_BREATH_S = 0.0002


class Site:
    """Answers requests from what `read` finds in the slots."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def __call__(self, request: Request) -> Response:
        match request.path:
            case "/metrics":
                return self._metrics(request.accept)
            case "/health":
                return _health(look(self._read))
            case "/":
                headers = (
                    ("Content-Security-Policy", page.POLICY),
                    ("Referrer-Policy", "no-referrer"),
                )
                return Response(200, _HTML, page.page(look(self._read)).encode(), headers)
            case "/fragment":
                return Response(200, _HTML, page.fragment(look(self._read)).encode())
            case _:
                said = b"not found: there are /metrics, /health and /\n"
                return Response(404, "text/plain; charset=utf-8", said)

    def _metrics(self, accept: str) -> Response:
        openmetrics = prometheus.wants_openmetrics(accept)
        families = look(self._read).families
        text = "".join(_slowly(prometheus.render(families, openmetrics=openmetrics)))
        kind = prometheus.OPENMETRICS if openmetrics else prometheus.PLAIN
        return Response(200, kind, text.encode())


def _slowly(pieces: Iterable[str]) -> Iterable[str]:
    """Lets go of the interpreter lock after each: a loop next door should not notice a scrape."""
    for piece in pieces:
        yield piece
        time.sleep(_BREATH_S)


def _health(view: View) -> Response:
    """200 while at least one worker can serve, else 503."""
    workers = [health_of(worker) for worker in view.workers]
    frozen = sum(1 for w in view.workers if w.state is not State.ALIVE)
    body = {
        "version": 1,
        "status": "ok" if not frozen else "frozen" if frozen == len(workers) else "degraded",
        "workers": workers,
    }
    return Response(
        503 if frozen and frozen == len(workers) else 200, _JSON, json.dumps(body).encode()
    )


def health_of(worker: Worker) -> dict[str, Any]:
    words = worker.words
    stall = {
        key: None if words.get(key) == "" else words.get(key)
        for key in ("cause", "because", "site", "line", "call", "entry", "request", "victims")
    }
    return {
        "pid": worker.pid,
        "state": str(worker.state),
        "tick_age_s": round(worker.tick_age_s, 3),
        "blocked_s": round(worker.blocked_s, 3),
        "lag_s": round(worker.lag_s, 4),
        "loops": worker.loops,
        "address": worker.snapshot.get("address"),
        "silent": worker.silent,
        "stall": stall if words else None,
    }
