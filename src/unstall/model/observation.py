"""What the watch writes down: facts, no judgement. Times are monotonic nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from unstall.model.histogram import Histogram
from unstall.model.place import Stack


@dataclass(frozen=True, slots=True)
class Wait:
    """A system call that the loop's thread was in."""

    syscall: str
    fd: int | None = None
    peer: str | None = None
    """The other end: `10.0.0.5:5432`, `/run/x.sock`, a file's path, `pipe`; None if unknown."""


@dataclass(frozen=True, slots=True)
class Request:
    """The request a step was working for."""

    method: str
    route: str
    """Template, never the raw path: `/users/{id}`; `?` when no route had matched yet."""
    request_id: str | None = None
    """The `X-Request-ID` it came with."""
    scenario: str | None = None
    spawned: bool = False
    """It started the task of the step and does not wait for it: the request itself may be over."""


@dataclass(frozen=True, slots=True)
class Look:
    """The watchdog's look at the loop's thread; equal looks in a row are one with `times` > 1."""

    first_ns: int
    last_ns: int
    step: int
    """Equal for looks at the same step of the same loop within one stretch."""
    stack: Stack
    times: int = 1
    task: str | None = None
    wait: Wait | None = None
    running: bool = False
    """On a processor or ready for one; meaningless when the probe had no system call to read."""
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """A thread, not the loop's, that ran while the watchdog could not."""

    thread: str
    """`thread NAME`, or `a thread that cannot be named`."""
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class Doubts:
    """Time inside a stretch that something other than the loop's own step may explain."""

    gil_ns: int = 0
    """The watchdog was awake and could not get the interpreter lock."""
    crowded_ns: int = 0
    """The watchdog was at work, and had to wait for that lock time after time, because others computed."""
    stopped_ns: int = 0
    """The watchdog was not scheduled at all: the process was stopped or throttled."""
    unwatched_ns: int = 0
    """The watchdog was ready without a processor, or long at its work, and could not look meanwhile."""
    suspended_ns: int = 0
    """The whole machine slept, and the monotonic clock stood still meanwhile."""
    throttled_ns: int | None = None
    """Time that a CPU limit kept the cgroup off its processors, summed over them, so an upper bound.

    From up to a second before the stretch; None without a limit, or where the system hides it.
    """
    gc_ns: int = 0
    """A garbage collection was under way."""
    queued_ns: int | None = None
    """The loop's thread was ready and waited for a processor; None where the system hides it."""
    others_ns: int | None = None
    """CPU time of all other threads of the process meanwhile; None where it is not known."""
    holder: Holder | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A heartbeat that came late (or has not come yet), and all that was seen meanwhile."""

    process: str
    loop: int
    thread: str
    last_tick_ns: int
    """The heartbeat before: the loop was certainly alive then."""
    due_ns: int
    until_ns: int
    """When the late heartbeat ran; for one that lasts, the moment of writing."""
    ongoing: bool = False
    cpu_ns: int | None = None
    """CPU time of the loop's thread from `last_tick_ns` to `until_ns`."""
    doubts: Doubts = Doubts()
    looks: tuple[Look, ...] = ()
    dropped_looks: int = 0
    in_flight: int = 0
    """HTTP requests under way when the loop stalled, other than the culprit's."""
    in_flight_cut: bool = False
    """They were too many to look at all of their tasks: there were at least so many."""
    at_door: int | None = None
    """Requests seen waiting in the kernel's queues at the last look; None where the system hides it."""
    let_in: int = 0
    """Requests that got in only while the loop caught up afterwards."""
    served_before: int = 0
    """Requests this process had begun before the stretch: 0 during start-up."""
    settled: bool = False
    """Start-up was over before the stretch, by what else than a request shows it."""

    @property
    def late_ns(self) -> int:
        return self.until_ns - self.due_ns


@dataclass(frozen=True, slots=True)
class Pulse:
    """Some seconds of one loop's life in numbers."""

    process: str
    loop: int
    """0 for several loops together, where there were too many to keep apart."""
    from_ns: int
    until_ns: int
    lag: Histogram
    requests: int
    """Requests begun."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was watched."""

    process: str
    pid: int
    started: float
    """Seconds since the epoch."""
    started_ns: int
    """The same moment on the monotonic clock of the times in this recording."""
    command: tuple[str, ...]
    python: str
    threshold_ns: int
    inactive: tuple[str, ...] = ()
    """Hooks that do not work here, each with its reason."""


@dataclass(frozen=True, slots=True)
class Loop:
    """An event loop that was watched."""

    process: str
    loop: int
    implementation: str
    thread: str


@dataclass(frozen=True, slots=True)
class Losses:
    """What a process saw and could not keep; counts by what was lost."""

    process: str
    dropped: dict[str, int] = field(default_factory=dict)
