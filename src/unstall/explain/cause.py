"""Why a stretch was late: one cause, and the evidence for it in a clause.

The doubts come first and are counterfactual: a doubt is the cause only if the stall would have stayed
under the threshold without it. So nobody is accused of a stall that the system made, and nobody is
excused for one that would have happened anyway.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from unstall.explain.steps import IDLE, main_looks, starts_a_thread, steps_of, weight_of
from unstall.model.finding import Cause
from unstall.model.observation import Look, Stretch, Wait
from unstall.model.place import Frame, Owner

MOSTLY = 0.5
"""A share of the stall above which it was mostly that."""
PUNCTUAL_LOOKS = 3
"""So many looks, and none of them late, are no luck."""
SURELY = 0.8
CALLED_IDLE = 0.1
"""A share of CPU below which a thread was waiting, even on a machine short of processors."""
SMALL_STEPS = 3
"""Fewer steps than this are not many small ones."""

_LIMIT = "its CPU limit throttled the process"
FUTEX = frozenset({"futex", "futex_waitv"})
_LOCK_MODULES = frozenset(
    {
        "threading",
        "queue",
        "concurrent.futures._base",
        "multiprocessing.synchronize",
        "asyncio.locks",
    }
)
_LOCK_CALLS = frozenset({"acquire", "wait", "join", "result", "get", "put", "wait_for"})


class Diagnosis(NamedTuple):
    cause: Cause
    because: str
    wait: Wait | None = None
    blames_loop: bool = True
    """The step on the loop did it; else it only happened to run."""


Rule = Callable[[Stretch, int], Diagnosis | None]


def cause_of(stretch: Stretch, threshold_ns: int) -> Diagnosis:
    """By the first rule of the table that holds; `unknown` if too little was seen for any.

    How long it was throttled is an upper bound. So what blames the loop has to do so without it, too.
    """
    diagnosis = _by_rules(stretch, threshold_ns)
    if diagnosis.blames_loop and stretch.doubts.throttled_ns:
        doubts = replace(stretch.doubts, throttled_ns=0)
        unthrottled = _by_rules(replace(stretch, doubts=doubts), threshold_ns)
        if not unthrottled.blames_loop:
            return unthrottled
    return diagnosis


def _by_rules(stretch: Stretch, threshold_ns: int) -> Diagnosis:
    for rule in RULES:
        diagnosis = rule(stretch, threshold_ns)
        if diagnosis is not None:
            return diagnosis
    seen = sum(look.times for look in main_looks(stretch))
    return Diagnosis(Cause.UNKNOWN, _what_is_missing(stretch), blames_loop=seen >= PUNCTUAL_LOOKS)


def starved(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """The whole process was off the processors, seen by the watchdog on itself."""
    doubts, late = stretch.doubts, stretch.late_ns
    throttled = _throttled_ns(stretch)

    def was(off_ns: int) -> bool:
        return off_ns > MOSTLY * late and late - off_ns < threshold_ns

    def because(said: str) -> Diagnosis:
        return Diagnosis(Cause.STARVED, said, blames_loop=False)

    if doubts.suspended_ns and _seen_in_one_step(stretch) < threshold_ns:
        return because(f"the machine was asleep for {seconds(doubts.suspended_ns)} meanwhile")
    if was(doubts.stopped_ns):
        why = "stopped, or out of processors"
        return because(
            f"the process did not run at all for {seconds(doubts.stopped_ns)} of {seconds(late)}: "
            + (_LIMIT if throttled > MOSTLY * doubts.stopped_ns else why)
        )
    queued = doubts.queued_ns or 0
    if was(queued):
        limit = f": {_LIMIT}" if throttled > MOSTLY * queued else ""
        return because(
            "the loop's thread was ready and queued for a processor for "
            f"{seconds(queued)} of {seconds(late)}{limit}"
        )
    # How long the thread queued is nowhere counted, or only once it runs again; or it waited for a lock
    # whose holder was throttled, and so was who might have looked: the group's count must do. A thread that
    # was seen to wait in the kernel is not excused by it.
    # So is how long a thread that it started was kept from beginning.
    uncounted = (
        doubts.queued_ns is None or stretch.ongoing or not stretch.looks or _starts_threads(stretch)
    )
    if uncounted and was(throttled) and not _waited(stretch):
        return because(f"for up to {seconds(throttled)} of {seconds(late)} {_LIMIT}")
    return None


def _throttled_ns(stretch: Stretch) -> int:
    """An upper bound; and while the thread ran it was not throttled."""
    return max(0, min(stretch.doubts.throttled_ns or 0, stretch.late_ns - (stretch.cpu_ns or 0)))


def collecting(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """The garbage collector ran for most of it."""
    gc, late = stretch.doubts.gc_ns, stretch.late_ns
    if gc > MOSTLY * late and late - gc < threshold_ns:
        return Diagnosis(Cause.GC, f"a garbage collection took {seconds(gc)} of {seconds(late)}")
    return None


def locked_out(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """The interpreter lock was held without pause: C code on the loop, or another thread."""
    gil, late = stretch.doubts.gil_ns, stretch.late_ns
    if _locked_ns(stretch) <= MOSTLY * late:
        return None
    span = f"{seconds(min(gil, late))} of {seconds(late)}"
    holder, own = stretch.doubts.holder, stretch.cpu_ns
    computed = (
        _cpu_share(stretch) or 0.0
    ) >= MOSTLY  # then the loop was held by its own step anyway
    if holder is not None and not computed:
        return Diagnosis(
            Cause.GIL,
            f"the interpreter lock was held for {span}, most likely by {holder.thread}, which used "
            f"{seconds(holder.cpu_ns)} of CPU meanwhile",
            blames_loop=False,
        )
    if own is not None and own < CALLED_IDLE * late:
        if late - gil >= threshold_ns or (stretch.ongoing and _waits_now(stretch)):
            return None  # the loop's thread waits without that lock, and would have stood anyway
        return Diagnosis(
            Cause.GIL,
            f"the interpreter lock was held for {span} by a thread that did not run meanwhile, because it "
            "waited in C code or was off the processors; which could not be seen, and the loop's used "
            f"{seconds(own)} of CPU",
            blames_loop=False,
        )
    if not computed and (stretch.doubts.others_ns or 0) >= MOSTLY * late:
        return None  # a crowd
    return Diagnosis(
        Cause.GIL,
        f"one call in C held the interpreter lock: no other thread got it for {span}",
    )


def _locked_ns(stretch: Stretch) -> int:
    """While all of us are throttled nobody gets the lock, whoever holds it. A holder that runs is not."""
    holder = stretch.doubts.holder
    ran = 0 if holder is None else holder.cpu_ns
    throttled = min(_throttled_ns(stretch), max(0, stretch.late_ns - ran))
    return max(0, stretch.doubts.gil_ns - throttled)


def crowded_out(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """Threads that compute took turns with the loop at the interpreter lock, and it got too few.

    Waiting for that lock looks like waiting for any other. But then the watchdog has to wait for it, too;
    one that took several looks on time shows that it was free.
    """
    doubts, late = stretch.doubts, stretch.late_ns
    others = doubts.others_ns or 0
    locked_ns = _locked_ns(stretch) + doubts.crowded_ns
    share = _cpu_share(stretch)
    if share is None or share >= MOSTLY or max(others, locked_ns) < MOSTLY * late:
        return None
    if doubts.others_ns is not None and others < CALLED_IDLE * late:
        return None  # nobody computed
    looks = sum(look.times for look in stretch.looks)
    in_kernel = sum(
        look.times for look in stretch.looks if look.wait and look.wait.syscall not in FUTEX
    )
    tips = [
        (look.stack.frames[-1], look.times)
        for look in stretch.looks
        if look.wait and look.wait.syscall in FUTEX and look.stack.frames
        if not starts_a_thread(look)
    ]
    in_lock = sum(times for tip, times in tips if _is_lock(tip))
    waits = any(tip.module in _LOCK_MODULES for tip, _ in tips)
    # One look or two may catch the thread as it wakes, there, to wait on.
    in_wait = sum(look.times for look in stretch.looks if waits and _in_lock_module(look))
    was_free = doubts.gil_ns + doubts.crowded_ns == 0 and looks >= PUNCTUAL_LOOKS
    # Inside Future.result or Queue.get one look is enough: nobody is there by chance.
    was_lock = in_wait > SURELY * looks or (looks >= PUNCTUAL_LOOKS and in_lock > SURELY * looks)
    if was_free or was_lock or 2 * in_kernel > looks:
        return None
    return Diagnosis(
        Cause.GIL,
        f"{_the_others(stretch)} computed for {seconds(others)} while the loop stood for {seconds(late)}, "
        f"and left it the interpreter lock for {seconds(stretch.cpu_ns or 0)}",
        blames_loop=False,
    )


def beginning(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """A thread that the loop had started was not run, so that it waited for it to begin.

    What kept the thread from a processor is counted for no thread that has not begun.
    """
    share = _cpu_share(stretch)
    if share is None or share >= MOSTLY or not _starts_threads(stretch):
        return None
    looks = _at_steps(stretch)
    times = sum(look.times for look in looks if starts_a_thread(look))
    return Diagnosis(
        Cause.UNKNOWN,
        "the loop's thread had started another and waited for it to begin, at "
        f"{times} of {sum(look.times for look in looks)} looks: the system did not run it",
        blames_loop=False,
    )


def many_steps(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """Steps that are short one by one, and together kept the loop."""
    steps = steps_of(stretch)
    # Of a step seen once only the gap between looks is known, not how much of the gap it filled.
    longest = max((step.seen_ns for step in steps if step.looks > 1), default=0)
    queued = stretch.doubts.queued_ns or 0  # what a step may have spent waiting for a processor
    if len(steps) >= SMALL_STEPS and longest < threshold_ns + queued:
        each = f"the longest seen for {seconds(longest)}" if longest else "none seen twice"
        return Diagnosis(
            Cause.SATURATED,
            f"at least {len(steps)} steps in a row, {each}, kept the loop for {seconds(stretch.late_ns)}",
        )
    return None


def waiting(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """The thread used little CPU, and was seen in the kernel: a lock's futex, or a wait."""
    share = _cpu_share(stretch)
    looks = main_looks(stretch)
    if share is None or share >= MOSTLY or not looks:
        return None
    waits: Counter[Wait] = Counter()
    for look in looks:
        if look.wait is not None and not starts_a_thread(look):
            waits[look.wait] += look.times
    if not waits:
        if any(look.running or look.wait for look in looks):
            return None
        return Diagnosis(
            Cause.WAITING,
            f"the loop's thread used {share:.0%} CPU; its system call could not be read",
        )
    wait, times = waits.most_common(1)[0]
    total = sum(look.times for look in looks)
    on = f" on {wait.peer}" if wait.peer else ""
    seen = f"in {wait.syscall}{on} at {times} of {total} looks, and used {share:.0%} CPU"
    if wait.syscall in FUTEX:
        tip = next(
            look for look in looks if look.wait == wait and not starts_a_thread(look)
        ).stack.frames[-1]
        if _is_lock(tip):
            return Diagnosis(Cause.LOCK, f"the loop's thread was {seen}", wait)
        if times < PUNCTUAL_LOOKS:
            return None  # a glimpse of a futex may be of the interpreter lock
    return Diagnosis(Cause.WAITING, f"the loop's thread was {seen}", wait)


def computing(stretch: Stretch, threshold_ns: int) -> Diagnosis | None:
    """The thread burnt CPU and let others have the interpreter lock."""
    share = _cpu_share(stretch)
    if share is None or share < MOSTLY:
        return None
    return Diagnosis(
        Cause.CPU,
        f"the loop's thread used {seconds(stretch.cpu_ns or 0)} of CPU, {min(share, 1):.0%}",
    )


RULES: tuple[Rule, ...] = (
    starved,
    collecting,
    locked_out,
    crowded_out,
    beginning,
    many_steps,
    waiting,
    computing,
)


def _what_is_missing(stretch: Stretch) -> str:
    share = _cpu_share(stretch)
    if share is None:
        return "the CPU time of the loop's thread could not be read"
    used = f"the loop's thread used {share:.0%} CPU"
    if stretch.looks:
        return f"{used}, and was seen outside system calls"
    held_up = stretch.doubts.unwatched_ns
    if held_up <= MOSTLY * stretch.late_ns:
        return f"{used}, unseen"
    return f"{used}, unseen: the watch itself was held up for {seconds(held_up)}"


def _cpu_share(stretch: Stretch) -> float | None:
    """CPU time over the time the thread could have had: what it was queued or stopped is left out."""
    if stretch.cpu_ns is None:
        return None
    had = stretch.until_ns - stretch.last_tick_ns
    had -= stretch.doubts.stopped_ns + (stretch.doubts.queued_ns or 0)
    return stretch.cpu_ns / max(had, 1)


def _the_others(stretch: Stretch) -> str:
    holder = stretch.doubts.holder
    crowd = holder is not None and holder.thread.startswith("threads ")
    return holder.thread if holder is not None and crowd else "other threads"


def _seen_in_one_step(stretch: Stretch) -> int:
    """From the first to the last look at the step that was seen longest, ns."""
    looks = main_looks(stretch)
    return looks[-1].last_ns - looks[0].first_ns if looks else 0


def _waited(stretch: Stretch) -> bool:
    """Whether most looks at the main step saw it in a system call of its own."""
    looks = main_looks(stretch)
    waits = sum(look.times for look in looks if look.wait and not starts_a_thread(look))
    return 2 * waits > sum(look.times for look in looks)


def _waits_now(stretch: Stretch) -> bool:
    """Whether the last look saw it in a system call of its own, that needs no lock."""
    last = max(stretch.looks, key=lambda look: look.last_ns, default=None)
    if last is None or last.wait is None or starts_a_thread(last):
        return False
    return last.wait.syscall not in FUTEX


def _starts_threads(stretch: Stretch) -> bool:
    """Whether it was seen mostly as it waited for a thread to begin."""
    looks = _at_steps(stretch)
    return 2 * weight_of([look for look in looks if starts_a_thread(look)]) > weight_of(looks)


def _at_steps(stretch: Stretch) -> list[Look]:
    return [look for look in stretch.looks if look.step != IDLE]


def _in_lock_module(look: Look) -> bool:
    if not look.stack.frames or starts_a_thread(look):
        return False
    return look.stack.frames[-1].module in _LOCK_MODULES


def _is_lock(tip: Frame) -> bool:
    """Whether the innermost frame waits for a Python lock, rather than for C code's own condition."""
    if tip.module in _LOCK_MODULES or tip.call.startswith("with "):
        return True
    if tip.call:
        return tip.call.rpartition(".")[2] in _LOCK_CALLS
    return tip.owner is Owner.STDLIB


def seconds(ns: int) -> str:
    """As evidence has it: `0.48 s`, `9.5 ms`."""
    return f"{ns / 1e9:.2f} s" if ns >= 10_000_000 else f"{ns / 1e6:.1f} ms"
