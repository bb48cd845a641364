"""From a table of TOML to facts; what cannot be meant is refused in one sentence."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unstall.catalog.row import CONDITION, Cost, Effect, Form, Row, TimeOut
from unstall.errors import UsageError

Classes = Mapping[str, tuple[str, ...]]

VIAS = ("call", "iterate", "enter", "exit", "read")
_CLEAN_VIAS = ("call", "iterate", "enter", "exit")
PLACES = ("loop", "thread pool", "executor", "process", "offline")
_EFFECTS = tuple(Effect)
_TYPES = ("returns", "attributes", "enters", "iterates", "unpacks")
_GROUP = frozenset(
    "of names via cost code kind unless only_if forms instead time_out versions argument place wraps "
    "note".split()
)
_FORM = frozenset(("when", "cost", "note", "defers", "single"))
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\.\*\*?)?")
_FAMILY = re.compile(r"[^\W\d]\w*\*(\.\w+)*\.\*\w*")
"""Of packages whose names begin alike, the classes whose names end alike: `stubs_*.*Client`."""
_CODE = re.compile(r"US\d{3}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one file says."""

    rows: tuple[Row, ...] = ()
    returns: Classes = field(default_factory=dict)
    """Function, method or class to the classes of what calling it gives."""
    attributes: Classes = field(default_factory=dict)
    enters: Classes = field(default_factory=dict)
    """Class, or function that gives a context manager, to the classes of `with … as x`."""
    iterates: Classes = field(default_factory=dict)
    """Class, or function, to the classes of the elements of what it gives."""
    unpacks: Classes = field(default_factory=dict)
    """Function to the class of each element of the tuple that it gives, in order."""
    bases: Classes = field(default_factory=dict)
    canonical: Mapping[str, str] = field(default_factory=dict)
    """Where something is defined or exported as well, to its public name."""


def facts_of(
    data: Mapping[str, object], where: str, code_of: Callable[[str], tuple[str, str]]
) -> Facts:
    """Raises UsageError. `code_of`: the rule and the kind of a name, where a row gives none.

    What neither knows has `code` and `kind` of the file.
    """
    allowed = {"code", "kind", *_EFFECTS, "types", *_TYPES, "bases", "canonical"}
    if unknown := sorted(set(data) - allowed):
        raise UsageError(
            f"{where} has the key {unknown[0]!r}, which the catalog does not know: "
            f"use {', '.join(sorted(allowed))}"
        )
    otherwise = (
        _text(data.get("code", ""), "code", where),
        _text(data.get("kind", ""), "kind", where),
    )

    def rule_of(name: str) -> tuple[str, str]:
        known = code_of(name)
        return known if known[0] else otherwise

    rows = tuple(
        row
        for effect in _EFFECTS
        for group in _groups(data.get(effect, ()), f"{effect} of {where}")
        for row in _rows(effect, group, f"{effect} of {where}", rule_of)
    )
    types: dict[str, dict[str, tuple[str, ...]]] = {key: {} for key in (*_TYPES, "bases")}
    for key, table in types.items():
        for name, classes in _table(data.get(key, {}), f"{key} of {where}").items():
            is_family = key == "bases" and _FAMILY.fullmatch(name)
            known = name if is_family else _name(name, f"{key} of {where}")
            table[known] = _words(classes, name, f"{key} of {where}")
    for group in _groups(data.get("types", ()), f"types of {where}"):
        _typed(group, types, f"types of {where}")
    canonical = {
        name: _text(public, name, f"canonical of {where}")
        for name, public in _table(data.get("canonical", {}), f"canonical of {where}").items()
    }
    return Facts(rows, canonical=canonical, **types)


def _rows(
    effect: Effect,
    group: Mapping[str, object],
    where: str,
    code_of: Callable[[str], tuple[str, str]],
) -> Iterator[Row]:
    _check_keys(group, _GROUP, where)
    names = [_name(name, where) for name in _names(group, where)]
    row: dict[str, Any] = {
        "effect": effect,
        "cost": _one_of(group.get("cost", "us"), tuple(Cost), "cost", where, Cost),
        "unless": _conditions(group, "unless", where),
        "only_if": _conditions(group, "only_if", where),
        "forms": tuple(
            _form(form, f"forms of {where}")
            for form in _groups(group.get("forms", ()), f"forms of {where}")
        ),
        "time_out": _time_out(group.get("time_out"), where),
        "argument": _argument(group.get("argument"), where),
        "place": _one_of(group.get("place", ""), ("", *PLACES), "place", where),
        "wraps": bool(group.get("wraps", False)),
    }
    for key in ("versions", "note"):
        row[key] = _text(group.get(key, ""), key, where)
    instead = _text(group.get("instead", ""), "instead", where)
    if effect is Effect.OFFLOADS and not row["place"]:
        raise UsageError(
            f"{where} gives {names[0]} no place: say where the argument runs, "
            f"one of {', '.join(PLACES)}"
        )
    given = _words(group.get("via", ""), "via", where)
    vias = [_one_of(via, VIAS, "via", where) for via in given]
    for name in names:
        code, kind = _code(group, name, effect, where, code_of)
        row["instead"] = instead.replace("{name}", name.rpartition(".")[2])
        for via in vias or (_CLEAN_VIAS if effect is Effect.CLEAN else ("call",)):
            yield Row(name, code=code, kind=kind, via=via, **row)


def _code(
    group: Mapping[str, object],
    name: str,
    effect: Effect,
    where: str,
    code_of: Callable[[str], tuple[str, str]],
) -> tuple[str, str]:
    code, kind = code_of(name) if effect is Effect.BLOCKS else ("", "")
    code = _text(group.get("code", code), "code", where)
    if effect is Effect.BLOCKS and not _CODE.fullmatch(code):
        raise UsageError(
            f"{where} gives {name} the code {code!r}: give that of the rule it breaks, for example US103"
        )
    return code, _text(group.get("kind", kind), "kind", where)


def _typed(
    group: Mapping[str, object], types: Mapping[str, dict[str, tuple[str, ...]]], where: str
) -> None:
    _check_keys(group, frozenset({"of", "names", *_TYPES}), where)
    owners = _words(group.get("of", ""), "of", where) or ("",)
    names = _words(group.get("names", ""), "names", where)
    for key, (owner, name) in itertools.product(_TYPES, itertools.product(owners, names)):
        if key in group:
            classes = _words(group[key], key, where)
            full = _name(f"{owner}.{name}" if owner else name, where)
            types[key][full] = tuple(owner if each == "Self" else each for each in classes)


def _names(group: Mapping[str, object], where: str) -> list[str]:
    owners = _words(group.get("of", ""), "of", where)
    names = _words(group.get("names", ""), "names", where)
    if not names:
        raise UsageError(f"{where} has a group without names: give one name or more, as words")
    return [f"{owner}.{name}" for owner in owners for name in names] or list(names)


def _name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{where} has the name {name!r}: give a dotted name, for example requests.get"
        )
    return name


def _groups(value: object, where: str) -> list[Mapping[str, object]]:
    if isinstance(value, (list, tuple)) and all(isinstance(group, Mapping) for group in value):
        return list(value)
    raise UsageError(f"{where} is {value!r}: give tables, each under [[…]]")


def _table(value: object, where: str) -> Mapping[str, object]:
    if isinstance(value, Mapping):
        return value
    raise UsageError(f"{where} is {value!r}: give a table of names")


def _check_keys(group: Mapping[str, object], allowed: frozenset[str], where: str) -> None:
    if unknown := sorted(set(group) - allowed):
        raise UsageError(
            f"{where} has the key {unknown[0]!r}, which the catalog does not know: "
            f"use {', '.join(sorted(allowed))}"
        )


def _words(value: object, key: str, where: str) -> tuple[str, ...]:
    """A text of words, or a list of them."""
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise UsageError(f"{where} has {value!r} for {key}: give names, as one text or a list")


def _text(value: object, key: str, where: str) -> str:
    if isinstance(value, str):
        return value
    raise UsageError(f"{where} has {value!r} for {key}: give a text")


def _one_of(
    value: object,
    allowed: tuple[str, ...],
    key: str,
    where: str,
    make: Callable[[str], str] = str,
) -> str:
    if isinstance(value, str) and value in allowed:
        return make(value)
    known = ", ".join(word for word in allowed if word)
    raise UsageError(f"{where} has {value!r} for {key}: give one of {known}")


def _form(form: Mapping[str, object], where: str) -> Form:
    _check_keys(form, _FORM, where)
    when = _conditions(form, "when", where)
    if not when or "cost" not in form:
        raise UsageError(
            f"{where} has {dict(form)!r}: give `when`, conditions on arguments, and `cost`, "
            'for example { when = "mode=\'w\'", cost = "us" }'
        )
    cost = Cost(_one_of(form["cost"], tuple(Cost), "cost", where))
    note = _text(form.get("note", ""), "note", where)
    return Form(when, cost, note, _flag(form, "defers", where), _flag(form, "single", where))


def _flag(form: Mapping[str, object], key: str, where: str) -> bool:
    value = form.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{where} has {value!r} for {key}: give true or false")
    return value


def _conditions(group: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    conditions = _words(group.get(key, ""), key, where)
    for condition in conditions:
        if not CONDITION.fullmatch(condition):
            raise UsageError(
                f"{where} has {condition!r} for {key}: "
                "give an argument and its literal, class or bound, for example block=False, 0=False, "
                "0:io.BytesIO or count<100"
            )
    return conditions


def _time_out(value: object, where: str) -> TimeOut | None:
    if value is None:
        return None
    match value:
        case {"parameter": str(parameter), "default": str(default), **rest} if set(rest) <= {"at"}:
            return TimeOut(parameter, default, _text(rest.get("at", ""), "at", where))
    raise UsageError(
        f"{where} has {value!r} for time_out: give a parameter and its default, "
        'for example { parameter = "timeout", default = "none" }'
    )


def _argument(value: object, where: str) -> int | str | None:
    if value is None or (isinstance(value, (int, str)) and not isinstance(value, bool)):
        return value
    raise UsageError(f"{where} has {value!r} for argument: give its position or its name")
