"""Audit events that a trap listens to: those of production, and what only a test has the time for."""

from __future__ import annotations

from asyncio import _get_running_loop
from stat import S_ISSOCK
from typing import Any

from unstall.watch.audit import EVENTS, SKIP, Events, OtherEnd, file_of

IMPORT = "import"


def _always(args: tuple[Any, ...]) -> object:
    return None


def _any_host(args: tuple[Any, ...]) -> object:
    """Only what is an address already needs no resolver."""
    host = args[0].decode(errors="replace") if type(args[0]) is bytes else args[0]
    if type(host) is not str or not host:
        return SKIP
    return SKIP if ":" in host or host.replace(".", "").isdigit() else host


def _database(args: tuple[Any, ...]) -> object:
    return SKIP if is_in_memory(args[0]) else file_of(args)


def is_in_memory(database: object) -> bool:
    if type(database) is bytes:
        database = database.decode(errors="replace")
    if type(database) is not str:
        return False
    name, _, options = database.removeprefix("file:").partition("?")
    if database in ("", ":memory:"):
        return True
    memory = name in ("", ":memory:") or "mode=memory" in options.split("&")
    return database.startswith("file:") and memory


def _removed(args: tuple[Any, ...]) -> object:
    """uvloop removes the file of its own socket when a server closes, and has no frame that would show it."""
    if type(_get_running_loop()).__module__.partition(".")[0] == "uvloop" and _is_socket(args[0]):
        return SKIP
    return file_of(args)


def _is_socket(path: Any) -> bool:
    import posix  # where nothing of ours is in the way; uvloop is for such systems only

    try:
        return S_ISSOCK(posix.stat(path).st_mode)
    except OSError:
        return False


def _file_lock(args: tuple[Any, ...]) -> object:
    from fcntl import LOCK_NB, LOCK_UN

    return SKIP if args[1] & LOCK_NB or args[1] == LOCK_UN else None


def _imported(args: tuple[Any, ...]) -> object:
    """It fires again, with a file, when a module in C is loaded."""
    return args[0] if args[1] is None else SKIP


_FILES = (
    "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "os.utime",
    "os.getxattr", "os.setxattr", "os.listxattr", "shutil.move", "shutil.copymode", "shutil.copystat",
    "shutil.make_archive", "shutil.unpack_archive",
)  # fmt: skip
_MORE: dict[str, tuple[str, OtherEnd]] = {
    **{event: (event, file_of) for event in _FILES},
    "socket.getaddrinfo": ("socket.getaddrinfo", _any_host),
    "socket.gethostbyname": ("socket.gethostbyname", _any_host),
    "socket.gethostbyaddr": ("socket.gethostbyaddr", _always),
    "socket.getnameinfo": ("socket.getnameinfo", _always),
    "os.remove": ("os.remove", _removed),
    "sqlite3.connect": ("sqlite3.connect", _database),
    "fcntl.flock": ("fcntl.flock", _file_lock),
    "fcntl.lockf": ("fcntl.lockf", _file_lock),
    "os.posix_spawn": ("subprocess.Popen", _always),
    "builtins.input": ("input", _always),
    "import": (IMPORT, _imported),
}
TRAP_EVENTS: Events = {**EVENTS, **_MORE}
