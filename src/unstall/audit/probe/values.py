"""What module globals hold: the classes of their values, and of the attributes of the user's own objects."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

from .guard import is_first_party

_PLAIN = (
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.CodeType,
    property,
    classmethod,
    staticmethod,
)
_SILENT = frozenset(
    ("builtins", "typing", "types", "typing_extensions", "enum", "abc", "functools")
)
_MOST = 20_000

Told = dict[str, Any]


def first_party(root: str) -> Iterator[tuple[str, types.ModuleType, str]]:
    """Name, module and file of each module that was read from below `root`."""
    for name, module in list(sys.modules.items()):
        if type(module) is types.ModuleType and name != "__main__":
            file = vars(module).get("__file__")
            if isinstance(file, str) and is_first_party(file, root):
                yield name, module, file


def modules(root: str) -> dict[str, str]:
    return {name: file for name, _, file in first_party(root)}


def of_globals(root: str) -> tuple[list[Told], dict[int, str]]:
    """The values, and the names by which they can be told apart from others: id to `module:name`."""
    found: list[Told] = []
    owners: dict[int, str] = {}
    for module_name, module, _ in first_party(root):
        for name, value in list(vars(module).items()):
            if len(found) >= _MOST:
                return found, owners
            if issubclass(type(value), type):  # isinstance would ask the value itself
                if value.__module__ == module_name:
                    _tell_class(found, owners, module_name, value)
            elif not name.startswith("__"):
                _tell(found, owners, module_name, name, value)
    return found, owners


def _tell_class(found: list[Told], owners: dict[int, str], module: str, cls: type) -> None:
    for name, value in list(vars(cls).items()):
        if not name.startswith("__") and not issubclass(type(value), type):
            _tell(found, owners, module, cls.__qualname__ + "." + name, value, deeper=False)


def _tell(
    found: list[Told],
    owners: dict[int, str],
    module: str,
    name: str,
    value: Any,
    deeper: bool = True,
) -> None:
    cls = type(value)
    if issubclass(cls, (*_PLAIN, type)) or cls.__module__ in _SILENT:
        return
    owners.setdefault(id(value), module + ":" + name)
    attributes = {}
    users = cls.__module__.split(".")[0] == module.split(".", maxsplit=1)[0]
    for key, each in list(fields(value).items()) if deeper else ():
        kind = type(each)
        if kind.__module__ in _SILENT or issubclass(kind, _PLAIN):
            continue
        owners.setdefault(id(each), f"{module}:{name}.{key}")
        if users:
            attributes[key] = lineage(kind)
    told: Told = {"module": module, "name": name, "types": lineage(cls), "attributes": attributes}
    made = fields(value).get("class_")
    if cls.__name__ in ("sessionmaker", "async_sessionmaker") and isinstance(made, type):
        told["gives"] = lineage(made)
    found.append(told)


def lineage(cls: type) -> list[list[str]]:
    """The class and those it comes from, nearest first: module, qualified name, shortest module that has it.

    Classes made at run time that no name leads to (boto3's clients) give way to the next base.
    """
    bases = [b for b in type.mro(cls) if b is not object and _has_a_name(b)]
    return [[b.__module__, b.__qualname__, _public(b)] for b in bases][:12]


def _public(cls: type) -> str:
    """The outermost package that exports it: `redis` for `redis.client.Redis`."""
    parts = cls.__module__.split(".")
    for length in range(1, len(parts)):
        package = ".".join(parts[:length])
        if fields(sys.modules.get(package)).get(cls.__qualname__) is cls:
            return package
    return cls.__module__


def _has_a_name(cls: type) -> bool:
    if "<locals>" in cls.__qualname__ or cls.__mro__[1:] in ((), (object,)):
        return True
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = fields(found).get(part) if not isinstance(found, type) else vars(found).get(part)
    return found is cls


def fields(value: Any) -> dict[str, Any]:
    """Without running a hook of the value's class."""
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return fields if type(fields) is dict else {}
