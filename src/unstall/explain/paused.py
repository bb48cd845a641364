"""Time at a debugger's prompt: taken out of a stretch, as if it had not been.

A debugger that is attached and lets the program run excuses nothing. Only its prompt does: a frame in which
it waits for its user, inside the step.
"""

from __future__ import annotations

from dataclasses import replace

from unstall.explain.blame import step_of
from unstall.model.observation import Look, Stretch
from unstall.model.place import Frame

PROMPTS: tuple[tuple[str, str], ...] = (
    ("pdb", "Pdb.interaction"),  # breakpoint(), ipdb, remote-pdb, celery's rdb
    ("pdb", "Pdb._interaction"),
    ("pudb.debugger", "Debugger.interaction"),
    ("pydevd", "PyDB.do_wait_suspend"),  # debugpy, VS Code, PyCharm
    ("pydevd", "PyDB._do_wait_suspend"),
    ("debugpy.server.api", "wait_for_client"),
    ("code", "InteractiveConsole.interact"),
    ("IPython.terminal.embed", "InteractiveShellEmbed."),
)
"""Module and beginning of the qualified name."""

Span = tuple[int, int]


def without_pauses(stretch: Stretch) -> Stretch:
    """The stretch as it would have been without prompts; itself if there was none.

    A pause reaches from the last look before it to the first one after it: nobody is accused of what was
    not seen.
    """
    pauses = _pauses(stretch)
    if not pauses:
        return stretch
    looks = tuple(
        replace(
            look,
            first_ns=look.first_ns - _before(pauses, look.first_ns),
            last_ns=look.last_ns - _before(pauses, look.last_ns),
        )
        for look in stretch.looks
        if not _is_at_prompt(look)
    )
    until_ns = stretch.until_ns - _before(pauses, stretch.until_ns)
    return replace(stretch, until_ns=until_ns, looks=looks)


def _pauses(stretch: Stretch) -> list[Span]:
    pauses: list[Span] = []
    came_from, waits = stretch.due_ns, False
    for look in stretch.looks:
        at_prompt = _is_at_prompt(look)
        if waits and not at_prompt:
            pauses.append((came_from, look.first_ns))
        if not at_prompt:
            came_from = look.last_ns
        waits = at_prompt
    if waits:
        pauses.append((came_from, stretch.until_ns))
    return pauses


def _before(pauses: list[Span], moment: int) -> int:
    return sum(min(until, moment) - since for since, until in pauses if since < moment)


def _is_at_prompt(look: Look) -> bool:
    return any(_is_prompt(frame) for frame in step_of(look.stack).frames)


def _is_prompt(frame: Frame) -> bool:
    return any(
        frame.module == module and frame.function.startswith(name) for module, name in PROMPTS
    )
