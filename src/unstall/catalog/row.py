"""One fact: what calling a name does to the thread that calls it."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace


class Effect(enum.StrEnum):
    BLOCKS = "blocks"
    """The caller's thread can do nothing else until it is over."""
    OFFLOADS = "offloads"
    """An argument runs in another place."""
    CLEAN = "clean"
    """It looks as if it blocked, and does not."""


class Cost(enum.StrEnum):
    US = "us"
    """Microseconds: a single `stat`. Silent by default."""
    MS = "ms"
    """Milliseconds, more with the size of the input: a page of a file, a picture, a hash."""
    UNBOUNDED = "unbounded"
    """As long as somebody else likes: a peer, a lock, a process, a model."""


@dataclass(frozen=True, slots=True)
class TimeOut:
    """The parameter that bounds a call."""

    parameter: str
    default: str
    """As a reader says it: `none`, `5 s`."""
    at: str = ""
    """The callable that takes the parameter, where it is not the call itself."""


OPEN = "*"
"""A key of what is given: `*args` or `**kwargs` may hold arguments that are not seen."""

ClassesOf = Callable[[str], Set[str]]
"""Of a keyword or position: the classes that the argument can have; empty: not known."""


def not_known(argument: str) -> Set[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a call that has a price of its own."""

    when: tuple[str, ...]
    """Conditions that all hold."""
    cost: Cost
    note: str = ""
    defers: bool = False
    """What the call gives does the work when it is used, so it is this cheap only where the use is seen."""
    single: bool = False
    """It is this cheap once: not in a loop."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    """Dotted. All members of a class or all below a module: it ends in `.*`; at any depth: in `.**`."""
    effect: Effect
    code: str = ""
    """Of the rule that it breaks on the loop; empty where it breaks none."""
    kind: str = ""
    """In a word: database, file."""
    cost: Cost = Cost.US
    via: str = "call"
    """How control goes over: call, iterate, enter, exit, read."""
    unless: tuple[str, ...] = ()
    """Arguments of which each makes it clean: `PARAMETER=LITERAL`, `POSITION=LITERAL`, or with `:CLASS` what
    it is an instance of. Names of one argument, and literals of which one is enough, are joined by `|`:
    `1|mode='w'|'wb'`. `*`: any value; `-`: it is left out. Of flags that a call joins one is enough.
    `PARAMETER<NUMBER`: a literal below it."""
    only_if: tuple[str, ...] = ()
    """Arguments of which one must be there; in the same words."""
    forms: tuple[Form, ...] = ()
    """What costs something else; the first that holds counts."""
    instead: str = ""
    """The asynchronous way, in one phrase. In a table `{name}` stands for the last part of the row's name."""
    time_out: TimeOut | None = None
    versions: str = ""
    """Of the library, where not all: `openai<1`."""
    argument: int | str | None = None
    """The argument that runs elsewhere: its position without the receiver, or its name."""
    place: str = ""
    """Where it runs: loop, thread pool, executor, process, offline. Calls that block may have one, too."""
    wraps: bool = False
    """The argument does not run now, but whenever what comes back is called."""
    note: str = ""

    def holds(self, given: Mapping[str, str | None], classes_of: ClassesOf = not_known) -> bool:
        """Whether the row speaks of a call with these arguments.

        `given`: keyword, or position as text, to the literal as `repr` writes it; None if it is no literal.
        """
        if any(_is_given(condition, given, classes_of) for condition in self.unless):
            return False
        return not self.only_if or any(
            _is_given(condition, given, classes_of) for condition in self.only_if
        )

    def may_hold(
        self, given: Mapping[str, str | None], classes_of: ClassesOf, can_be: ClassesOf
    ) -> bool:
        """Whether it speaks of the call if each argument is what it only can be; `unless` stays sure."""
        return any(_can_be(condition, given, can_be) for condition in self.only_if) and replace(
            self, only_if=()
        ).holds(given, classes_of)

    def form(
        self, given: Mapping[str, str | None], classes_of: ClassesOf = not_known
    ) -> Form | None:
        """The form that the call surely has."""
        return next(
            (
                form
                for form in self.forms
                if all(_is_given(condition, given, classes_of) for condition in form.when)
            ),
            None,
        )

    def form_if(self, given: Mapping[str, str | None], can_be: ClassesOf) -> Form | None:
        """The form that it has if each argument is what it only can be."""
        return next(
            (
                form
                for form in self.forms
                if all(
                    _is_given(w, given, not_known) or _can_be(w, given, can_be) for w in form.when
                )
            ),
            None,
        )

    def priced(self, form: Form | None) -> Row:
        """The row with the cost of this form of the call."""
        return replace(self, cost=form.cost, note=form.note, forms=()) if form else self


CONDITION = re.compile(r"(\w+(?:\|\w+)*)([=:]|<(?=\d+$))(\S+)")


def _is_given(condition: str, given: Mapping[str, str | None], classes_of: ClassesOf) -> bool:
    argument, sign, wanted = _asked(condition, given)
    if argument is None:
        return sign == "=" and "-" in wanted and OPEN not in given
    if sign == ":":
        classes = classes_of(argument)
        return bool(classes) and classes <= set(wanted)
    value = given[argument]
    if sign == "<":
        return value is not None and value.isdecimal() and int(value) < int(wanted[0])
    if "*" in wanted:
        return True
    return value is not None and not {value, *value.split(" | ")}.isdisjoint(wanted)


def _can_be(condition: str, given: Mapping[str, str | None], can_be: ClassesOf) -> bool:
    argument, sign, wanted = _asked(condition, given)
    return sign == ":" and argument is not None and not can_be(argument).isdisjoint(wanted)


def _asked(condition: str, given: Mapping[str, str | None]) -> tuple[str | None, str, list[str]]:
    """The argument that a condition is about, if it is given, the sign, and what is wanted of it."""
    asked = CONDITION.fullmatch(condition)
    assert asked is not None, condition  # refused when it was read
    names, sign, said = asked.groups()
    argument = next((name for name in names.split("|") if name in given), None)
    return argument, sign, said.split("|")
