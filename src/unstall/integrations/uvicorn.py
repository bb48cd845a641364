"""uvicorn's HTTP protocol with the guard's doorstep before it: a request that finds no room is refused before
it is made.

    uvicorn app:app --http unstall.integrations.uvicorn:HttpTools
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from unstall.guard.doorstep import STEP, Doorstep


class HttpTools(HttpToolsProtocol):
    """For a process with one `Guard`, which stands before the whole application.

    Who finds no room is answered 503 with the reason `full`, and counted, and middleware outside of the guard
    does not see it. All else goes on to uvicorn: what is no plain request or lies there in part, probes, and
    routes with slots, lanes or a priority of their own.
    """

    step: Doorstep = STEP

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._between = True
        """Whether the parser is between two requests."""
        self._refused_at = 0.0

    def data_received(self, data: bytes) -> None:
        if not (self._between and self._is_refused(data)):
            super().data_received(data)

    def on_message_begin(self) -> None:
        # With the first byte, which may come in one piece with the end of the last.
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._between = True

    def timeout_keep_alive_handler(self) -> None:
        left = self._refused_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep(left)
        else:
            super().timeout_keep_alive_handler()

    def _is_refused(self, data: bytes) -> bool:
        step = self.step
        try:
            return step.near and self._refuses(data, step)
        except Exception as error:  # whatever it is, uvicorn knows what to do with a request
            step.fail(error)
            return False

    def _refuses(self, data: bytes, step: Doorstep) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if (cycle is not None and not cycle.response_complete) or self.flow.write_paused:
            return False
        answer = step.answer(data, self.root_path, self.loop, self.server_state.default_headers)
        if answer is None:
            return False
        # As uvicorn does with an answer. The timer of an idle connection is moved when it is over, because to
        # set it anew costs as much as all the rest.
        self._refused_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep(self.timeout_keep_alive)
        self.server_state.total_requests += 1
        if self.access_log:
            self._log(data)
        self.transport.write(answer)
        return True

    def _log(self, data: bytes) -> None:
        client = ":".join(map(str, self.client or ()))
        method, target = data.split(b" ", 2)[:2]
        words = (client, method.decode(), self.root_path + target.decode(), "1.1", 503)
        self.access_logger.info('%s - "%s %s HTTP/%s" %d', *words)

    def _keep(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )
