"""What an import must not do is refused, and noted with the line that tried."""

from __future__ import annotations

import os
import sys
from typing import Any

_OURS = os.path.dirname(__file__)
_MOST = 200
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

EVENTS = {
    "socket.connect": ("network", 1),
    "socket.bind": ("network", 1),
    "socket.sendto": ("network", 1),
    "socket.sendmsg": ("network", 1),
    "socket.getaddrinfo": ("network", 0),
    "socket.getnameinfo": ("network", 0),
    "socket.gethostbyname": ("network", 0),
    "socket.gethostbyaddr": ("network", 0),
    "subprocess.Popen": ("process", 1),
    "os.system": ("process", 0),
    "os.exec": ("process", 0),
    "os.posix_spawn": ("process", 0),
    "os.spawn": ("process", 1),
    "os.startfile": ("process", 0),
    "os.fork": ("process", None),
    "os.forkpty": ("process", None),
    "pty.spawn": ("process", 0),
    "webbrowser.open": ("process", 0),
    "os.kill": ("signal", 0),
    "os.killpg": ("signal", 0),
    "os.remove": ("write", 0),
    "os.rename": ("write", 1),
    "os.mkdir": ("write", 0),
    "os.rmdir": ("write", 0),
    "os.link": ("write", 1),
    "os.symlink": ("write", 1),
    "os.truncate": ("write", 0),
    "os.chmod": ("write", 0),
    "os.chown": ("write", 0),
    "os.utime": ("write", 0),
    "os.setxattr": ("write", 0),
    "os.removexattr": ("write", 0),
    "sqlite3.connect": ("write", 0),
    "resource.setrlimit": ("limit", 0),
}
"""Audit event to what it is, and which of its arguments says to whom. `open` is judged by its flags."""

_DIR_FD = {
    "os.remove": 1,
    "os.mkdir": 2,
    "os.rmdir": 1,
    "os.rename": 3,
    "os.chmod": 2,
    "os.utime": 3,
}
"""Where the number of the folder is that a relative path starts from."""


class NotWhileImported(PermissionError):
    """Raised into the importing code; most of it knows what to do with a PermissionError."""


class Guard:
    """The audit hook. It can never be removed, so it lives only in the child."""

    def __init__(self, root: str, scratch: str) -> None:
        self._root = os.path.realpath(root) + os.sep
        self._scratch = os.path.realpath(scratch) + os.sep
        self.refusals: list[dict[str, Any]] = []
        self._seen: dict[tuple[Any, ...], dict[str, Any]] = {}

    def install(self) -> None:
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITES and not self.allows(path):
                self._refuse("write", event, path)
            return
        row = EVENTS.get(event)
        if row is None:
            return
        kind, index = row
        argument = "" if index is None or index >= len(args) else args[index]
        if kind == "write":
            folder = args[_DIR_FD[event]] if len(args) > _DIR_FD.get(event, 99) else -1
            if event == "sqlite3.connect" and in_memory(argument):
                return
            if self.allows(argument, folder):
                return
        if kind == "signal" and (argument in (0, os.getpid()) or args[-1] == 0):
            return  # signal 0 only asks
        if event == "socket.bind" and _asks_for_ipv6(argument):
            raise NotWhileImported(13, "unstall audit imports without network: bind")
        self._refuse(kind, event, argument)

    def allows(self, path: Any, folder: Any = -1) -> bool:
        """Whether it may be written: descriptors that are open already, and the throw-away folder."""
        if isinstance(path, int):
            return True
        text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if isinstance(folder, int) and folder >= 0 and not os.path.isabs(text):
            try:
                text = os.path.join(os.readlink("/proc/self/fd/%d" % folder), text)
            except OSError:
                return False
        return text == os.devnull or (os.path.abspath(text) + os.sep).startswith(self._scratch)

    def _refuse(self, kind: str, event: str, argument: Any) -> None:
        self.note(kind, event, argument)
        raise NotWhileImported(
            13, "unstall audit imports without %s: %s" % (kind, event), shown(argument)
        )

    def note(self, kind: str, event: str, argument: Any, pretended: bool = False) -> None:
        file, line = self.site()
        key = (kind, event, file, line, pretended)
        known = self._seen.get(key)
        if known is not None:
            known["count"] += 1
        elif len(self.refusals) < _MOST:
            entry: dict[str, Any] = {"kind": kind, "event": event, "argument": shown(argument)}
            entry.update(file=file, line=line, count=1, pretended=pretended)
            self._seen[key] = entry
            self.refusals.append(entry)

    def site(self) -> tuple[str, int]:
        """The innermost line of the user's on this thread."""
        frame: Any | None = sys._getframe(1)
        while frame is not None:
            file = frame.f_code.co_filename
            if self.is_users(file) and os.path.dirname(file) != _OURS:
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back
        return "", 0

    def is_users(self, file: str) -> bool:
        return is_first_party(file, self._root)


def is_first_party(file: str, root: str) -> bool:
    """Below `root` (with a separator at its end), and in no environment."""
    if not file.startswith(root):
        return False
    parts = file[len(root) :].split(os.sep)
    return not any(p in ("site-packages", "dist-packages") or p.startswith(".") for p in parts)


def _asks_for_ipv6(address: Any) -> bool:
    """Libraries bind a free local port to see what the machine can; nobody need hear of it."""
    return isinstance(address, tuple) and address[:2] in (("::1", 0), ("127.0.0.1", 0))


def in_memory(database: Any) -> bool:
    text = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else ""
    return text in ("", ":memory:") or (
        text.startswith("file:")
        and (":memory:" in text or "mode=memory" in text or "mode=ro" in text)
    )


def shown(argument: Any) -> str:
    """Of plain values; nobody's `__repr__` is run."""
    if type(argument) in (str, int, bytes):
        text = os.fsdecode(argument) if isinstance(argument, bytes) else str(argument)
    elif type(argument) in (tuple, list):
        text = " ".join(shown(each) for each in argument[:8])
    elif isinstance(argument, os.PathLike):
        text = os.fsdecode(argument)
    else:
        text = type(argument).__name__
    return text[:200]
