"""Where proxies live: on a thread of this process, or in a process of their own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

from unstall.chaos.board import Board, Last
from unstall.errors import TargetError, UnstallError, UsageError

Note = Callable[[str], None]
_PATIENCE_S = 30.0
_BEGIN = "import sys; sys.path[:] = sys.argv[2:]; from unstall.chaos.homes import main; main()"


class Home(Protocol):
    def ask(self, what: str, *args: Any, **named: Any) -> Any:
        """Calls a method of the board. Raises what it raises."""
        ...

    def close(self) -> Last: ...


class OwnThread:
    """A loop on a thread: it turns while all other loops of the process stand still."""

    def __init__(self, seed: int, note: Note) -> None:
        self._board = Board(seed, note)
        self._loop = asyncio.SelectorEventLoop()
        self._loop.set_exception_handler(self._board.fault_of_ours)
        self._thread = threading.Thread(target=self._run, name="unstall-chaos", daemon=True)
        self._thread.start()

    def ask(self, what: str, *args: Any, **named: Any) -> Any:
        if threading.current_thread() is self._thread:
            raise UsageError(
                "a proxy was asked on its own thread, which it would wait for: ask from another one"
            )
        call = getattr(self._board, what)(*args, **named)
        waiting = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return waiting.result(_PATIENCE_S)
        except concurrent.futures.TimeoutError:
            raise UnstallError(
                f"the proxies' thread did not answer within {_PATIENCE_S:g} s: something holds the "
                "interpreter lock"
            ) from None

    def close(self) -> Last:
        last: Last = self.ask("end")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        return last

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()


class OwnProcess:
    """The same in a process of its own, which nobody else's interpreter lock holds up.

    It ends when its standard input does, however this process ends. Notes come with the next answer.
    """

    def __init__(self, seed: int, note: Note) -> None:
        self._note = note
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, str(seed), *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt at the keyboard is for this process
        )

    def ask(self, what: str, *args: Any, **named: Any) -> Any:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            try:
                pickle.dump((what, args, named), process.stdin)
                process.stdin.flush()
                value, error, notes = pickle.load(process.stdout)
            except (OSError, EOFError) as lost:
                raise TargetError(
                    f"the proxies' process {process.pid} has ended ({lost!r}): start them again"
                ) from None
        for note in notes:
            self._note(note)
        if error is not None:
            raise error
        return value

    def close(self) -> Last:
        try:
            last: Last = self.ask("end")
        except TargetError as gone:
            self._note(str(gone))
            last = Last({}, {})
        process = self._process
        process.kill()  # all is said, and nothing of it is worth waiting for
        process.communicate()
        return last


def main() -> None:
    """The other side of `OwnProcess`."""
    notes: list[str] = []
    home = OwnThread(int(sys.argv[1]), notes.append)
    asked, said = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            what, args, named = pickle.load(asked)
        except EOFError:
            return
        value: Any = None
        error: Exception | None = None
        try:
            value = home.ask(what, *args, **named)
        except UnstallError as told:
            error = told
        told_now, notes[:] = list(notes), []
        pickle.dump((value, error, told_now), said)
        said.flush()
