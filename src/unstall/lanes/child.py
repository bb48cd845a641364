"""The other end of a process lane: a script that reads requests and writes answers until its input ends.

It imports the standard library only and is run by its path, so a worker is there in the time that a
bare interpreter takes. Requests and answers are pickles with their length before them.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import sys
import threading
import traceback
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LENGTH = struct.Struct("!Q")
RETURNED, RAISED, UNREAD, UNSENT = range(4)
_PIPE = 1 << 16  # no more is in a pipe at once


def read(fd: int) -> bytes | None:
    """One message; None when the other end is gone.

    Each end waits for the other's message before it sends its next, so what is there belongs to this one.
    """
    parts = [os.read(fd, _PIPE)]
    head = parts[0]
    while head and len(head) < LENGTH.size:
        part = os.read(fd, _PIPE)
        head = parts[0] = head + part if part else b""
    if not head:
        return None
    missing = LENGTH.unpack_from(head)[0] + LENGTH.size - len(head)
    while missing > 0:
        part = os.read(fd, _PIPE)
        if not part:
            return None
        parts.append(part)
        missing -= len(part)
    parts[0] = head[LENGTH.size :]
    return b"".join(parts)


def write(fd: int, message: bytes) -> None:
    """Raises OSError when the other end is gone."""
    view = memoryview(LENGTH.pack(len(message)) + message)
    while view.nbytes:
        view = view[os.write(fd, view) :]


def answer(request: bytes) -> bytes:
    """Does what a request asks; whatever happens is in the answer."""
    try:
        function, args, named = pickle.loads(request)
        if isinstance(function, tuple):
            function = _wrapped(*function)
    except BaseException as error:
        return pickle.dumps((UNREAD, _told(error)))
    try:
        result = function(*args, **named)
    except BaseException as error:
        return _raised(error)
    try:
        return pickle.dumps((RETURNED, result), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return pickle.dumps((UNSENT, f"{type(result).__qualname__}: {_told(error)}"))


def _wrapped(module: str, qualname: str) -> Any:
    """What a decorator of a lane hides under the function's own name."""
    found: Any = import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found.__wrapped__


def _raised(error: BaseException) -> bytes:
    try:
        pickled = pickle.dumps(error, pickle.HIGHEST_PROTOCOL)
        pickle.loads(pickled)  # many a class of errors can only be pickled
    except Exception:
        pickled = b""
    trace = "".join(traceback.format_exception(error))
    return pickle.dumps((RAISED, pickled, _told(error), trace))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


# --- the process ------------------------------------------------------------------------------


class _Main(ModuleType):
    """Stands for the application's `__main__`, which is only run again if something of it is needed."""

    def __init__(self, named: bool, where: str) -> None:
        super().__init__("__main__")
        self.__dict__["_where"] = {"init_main_from_name" if named else "init_main_from_path": where}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        where = self.__dict__.pop("_where", None)
        if where is not None:
            from multiprocessing.spawn import prepare

            prepare(where)
        main = sys.modules["__main__"]
        if main is self:
            raise AttributeError(f"the main module has no {name!r}")
        return getattr(main, name)


def _prepare(hello: bytes) -> None:
    path, argv, main, modules = pickle.loads(hello)
    sys.path[:] = path
    sys.argv[:] = argv
    if main is not None:
        sys.modules["__main__"] = _Main(*main)
    for module in modules:
        try:
            import_module(module)
        except BaseException:  # the call that needs it says why
            pass


def _end_with_parent(fd: int) -> None:
    """Even in the middle of a call; a poll for nothing returns when the other end is closed."""
    poll = select.poll()
    poll.register(fd, 0)

    def wait() -> None:
        poll.poll()
        os._exit(0)

    threading.Thread(target=wait, name="unstall parent", daemon=True).start()


def main() -> None:
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)  # what the work prints must not end up among the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    if hasattr(select, "poll"):
        _end_with_parent(requests)
    hello = read(requests)
    if hello is None:
        return
    _prepare(hello)
    reply = b""
    try:
        while True:
            write(answers, reply)
            request = read(requests)
            if request is None:
                return
            reply = answer(request)
    except BrokenPipeError:  # the parent has died, and nobody is left to be told
        return


if __name__ == "__main__":
    del sys.path[0]  # this folder, whose names are nobody's modules
    main()
