"""The HTTP requests on one connection: what each of them has met, until its answer is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from unstall.chaos.framing import Answers, Messages, Requests
from unstall.chaos.pieces import Hit

Met = tuple[Hit, ...]


class Http:
    def __init__(self) -> None:
        self.requests = Requests()
        self.answers: Messages = Answers(self.requests)
        self.waiting: deque[Met] = deque()
        """What met the requests whose answers have not begun."""
        self.asking: Met = ()
        self.answering: Met = ()
        self.thrown = False
        """For a request of the exchange that goes on."""

    def begin(self) -> None:
        """An exchange."""
        self.thrown = False

    def asked(self, met: Met) -> None:
        self.thrown = True
        self.asking = met
        self.waiting.append(met)

    def met(self) -> Met:
        """What stays in force when nothing can be told apart any more."""
        return self.waiting[0] if self.waiting else self.answering

    def hits(self) -> Iterator[Hit]:
        yield from self.asking
        yield from self.answering
        for met in self.waiting:
            yield from met
