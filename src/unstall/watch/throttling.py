"""How long a CPU limit has kept this process off its processors, as its control groups count it.

Linux counts a throttled group in `cpu.stat` of the group that has the limit, which may be one above ours:
a pod's, a slice's. In version 2 of control groups the limit is `cpu.max`, in version 1 `cpu.cfs_quota_us`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

Read = Callable[[str], str]
"""A file's text; raises OSError."""

_DEEPEST = 16


class Mount(NamedTuple):
    """Where a hierarchy with the cpu controller is mounted, and which group lies at its root."""

    folder: str
    root: str
    unified: bool


def read_text(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


class Throttling:
    """Files are opened for each reading and not kept. Without a limit nothing is read again."""

    def __init__(self, read: Read = read_text) -> None:
        self._read = read
        try:
            self._files = limited_groups(read)
        except (OSError, ValueError, IndexError):
            self._files = ()

    @property
    def limited(self) -> bool:
        return bool(self._files)

    def total_ns(self) -> int | None:
        """Summed over processors and limited groups, since they exist; None if no limit is known."""
        if not self._files:
            return None
        try:
            return sum(throttled_ns(self._read(file)) for file in self._files)
        except (OSError, ValueError, IndexError):  # moved to another group, or the files are gone
            self._files = ()
            return None


def limited_groups(read: Read) -> tuple[str, ...]:
    """`cpu.stat` of our control group and of those above it, as far as they have a limit."""
    paths = group_paths(read("/proc/self/cgroup"))
    found = []
    for mount in cpu_mounts(read("/proc/self/mountinfo")):
        path = paths.get("" if mount.unified else "cpu")
        if path is None:
            continue
        found += [
            f"{folder}/cpu.stat"
            for folder in _upwards(mount, path)
            if _is_limited(read, folder, unified=mount.unified)
        ]
    return tuple(found)


def group_paths(text: str) -> dict[str, str]:
    """From `/proc/self/cgroup`: controller to path; the unified hierarchy's controller is empty."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def cpu_mounts(text: str) -> list[Mount]:
    """From `/proc/self/mountinfo`."""
    mounts = []
    for line in text.splitlines():
        front, _, back = line.partition(" - ")
        fields, (kind, _, options) = front.split(), back.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            mounts.append(Mount(fields[4], fields[3], kind == "cgroup2"))
    return mounts


def throttled_ns(stat: str) -> int:
    """From `cpu.stat`; a group that is not counted was never throttled."""
    fields = dict(line.split(" ", 1) for line in stat.splitlines() if " " in line)
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"]) * 1_000
    return int(fields.get("throttled_time", 0))


def _upwards(mount: Mount, path: str) -> Iterator[str]:
    """The folder of a group, then those above it, the mount's own last."""
    root = mount.root.rstrip("/")
    # A container may see a path that is none of its own mount's: then the mount is its group.
    inside = path[len(root) :] if path == root or path.startswith(f"{root}/") else ""
    names = [name for name in inside.split("/") if name]
    if ".." in names:  # outside our namespace
        names = []
    for depth in range(min(len(names), _DEEPEST), -1, -1):
        yield "/".join([mount.folder.rstrip("/"), *names[:depth]])


def _is_limited(read: Read, folder: str, *, unified: bool) -> bool:
    try:
        if unified:
            return read(f"{folder}/cpu.max").split()[0] != "max"
        return int(read(f"{folder}/cpu.cfs_quota_us")) > 0
    except (OSError, ValueError, IndexError):  # the root has no such file
        return False
