"""Whether an object is of a class, and what an annotation says of it. When in doubt: it is not known."""

from __future__ import annotations

import ast
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from unstall.audit.constants import last_of
from unstall.audit.known import NONE, UNKNOWN, Known, constant, joined, of_class, tuple_of
from unstall.audit.scopes import Scope
from unstall.audit.types_annotations import quoted
from unstall.audit.types_classes import Member
from unstall.audit.values import CLASS, EXTERNAL

if TYPE_CHECKING:
    from unstall.audit.types import Types

_APART = frozenset(
    "builtins.str builtins.bytes builtins.bytearray builtins.int builtins.float builtins.complex "
    "builtins.bool builtins.tuple builtins.list builtins.dict builtins.set builtins.frozenset "
    "builtins.NoneType os.PathLike pathlib.Path io.IOBase io.BytesIO io.StringIO numpy.ndarray "
    "pandas.DataFrame torch.Tensor PIL.Image.Image".split()
)
"""No object is of two of these, but for what `_BELOW` says."""
_BELOW = {
    "builtins.bool": "builtins.int",
    "pathlib.Path": "os.PathLike",
    "io.BytesIO": "io.IOBase",
    "io.StringIO": "io.IOBase",
}
_AS_ARGUMENT = {"builtins.float": ("builtins.float", "builtins.int")}
"""What type checkers let through as well."""
_FORMS = {
    "List": "list", "Dict": "dict", "Tuple": "tuple", "Set": "set", "FrozenSet": "frozenset"
}  # fmt: skip
_PLAIN_BASES = frozenset(
    "builtins.object typing.Generic typing.Protocol typing_extensions.Protocol abc.ABC "
    "pydantic.BaseModel".split()
)
"""What inherits from these alone is true as an object, and of no class of another package."""


def made(types: Types, name: str) -> Known:
    """An object of a first-party class, or of one below it."""
    return Known(True if _is_true(types, name) else None, False, (name,))


def called(types: Types, name: str) -> Known:
    """What calling a first-party class gives: an object of it, if nothing stands between."""
    return made(types, name) if _is_kept(types, name) and _makes(types, name) else UNKNOWN


_KEEP = frozenset(
    "dataclass final total_ordering attrs define frozen mutable runtime_checkable unique".split()
)
"""Decorators of others that leave a class what it is."""
_METACLASSES = frozenset({"ABCMeta", "EnumMeta", "EnumType", "type"})
"""Those of others that make objects, and tell them apart, as `type` does."""


def _is_kept(types: Types, name: str) -> bool:
    """By all its decorators."""
    scope = types.classes.scope(name)
    if scope is None or scope.outer is None:
        return False
    decorators = getattr(scope.node, "decorator_list", ())
    makers = [each.func if isinstance(each, ast.Call) else each for each in decorators]
    return all(last_of(each) in _KEEP and not _is_ours(types, scope.outer, each) for each in makers)


def _is_ours(types: Types, scope: Scope, maker: ast.expr) -> bool:
    return any(":" in value.name for value in types.values(scope, maker))


def _makes(types: Types, name: str) -> bool:
    """Neither it nor a class below has a way of its own to make objects."""
    classes = types.classes
    many = (name, *classes.subclasses(name))
    has_new = any(isinstance(classes.find(each, "__new__"), Member) for each in many)
    return not has_new and not _meta_has(types, name, "__call__")


def _meta_has(types: Types, name: str, *methods: str) -> bool:
    """A metaclass of the class has one of these methods, or is not known."""
    for scope in filter(None, map(types.classes.scope, types.classes.order(name))):
        for keyword in getattr(scope.node, "keywords", ()):
            if keyword.arg != "metaclass" or scope.outer is None:
                continue
            meta = named(types, scope.outer, keyword.value)
            if ":" not in meta and last_of(keyword.value) not in _METACLASSES:
                return True
            if any(isinstance(types.classes.find(meta, each), Member) for each in methods):
                return True
    return False


def _is_true(types: Types, name: str) -> bool:
    return all(
        _is_plain(types, each) and not any(types.classes.find(each, m) for m in _ASKED_FOR_TRUTH)
        for each in (name, *types.classes.subclasses(name))
    )


_ASKED_FOR_TRUTH = ("__bool__", "__len__", "__new__")


def _is_plain(types: Types, name: str) -> bool:
    """All that it inherits from is known."""
    scope = types.classes.scope(name)
    if scope is None or len(types.classes.bases(name)) < len(getattr(scope.node, "bases", ())):
        return False
    return all(
        each in _PLAIN_BASES
        if ":" not in each
        else len(types.classes.bases(each)) >= _written(types, each)
        for each in types.classes.order(name)
    )


def _written(types: Types, name: str) -> int:
    scope = types.classes.scope(name)
    return len(getattr(scope.node, "bases", ())) if scope is not None else 0


# Annotations


def stated(types: Types, scope: Scope, node: ast.expr | None) -> Known:
    """What an annotation says; `scope`: where it stands."""
    if isinstance(node, ast.Constant):
        return _quoted(types, scope, node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return joined((stated(types, scope, node.left), stated(types, scope, node.right)))
    if isinstance(node, ast.Subscript):
        return _generic(types, scope, node)
    return _of_name(types, scope, node) if isinstance(node, (ast.Name, ast.Attribute)) else UNKNOWN


def _quoted(types: Types, scope: Scope, node: ast.Constant) -> Known:
    if node.value is None:
        return NONE
    if not isinstance(node.value, str):
        return UNKNOWN
    inner = quoted(node.value)
    return stated(types, scope, inner) if inner is not None else UNKNOWN


def _generic(types: Types, scope: Scope, node: ast.Subscript) -> Known:
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    name = last_of(node.value)
    if name == "Optional":
        return joined((stated(types, scope, parts[0]), NONE))
    if name == "Union":
        return joined(stated(types, scope, each) for each in parts)
    if name in ("Annotated", "Final", "ClassVar", "Required"):
        return stated(types, scope, parts[0])
    if name == "Literal":
        said = [constant(each) if isinstance(each, ast.Constant) else UNKNOWN for each in parts]
        return joined(said)
    if name in ("Tuple", "tuple") and not any(_is_dots(each) for each in parts):
        return tuple_of(tuple(stated(types, scope, each) for each in parts))
    if name in _FORMS or f"builtins.{name}" in _APART:
        return of_class(f"builtins.{_FORMS.get(name, name)}")
    return _of_name(types, scope, node.value)


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, (ast.Starred, ast.Tuple)) or getattr(node, "value", None) is ...


def _of_name(types: Types, scope: Scope, node: ast.expr) -> Known:
    name = named(types, scope, node)
    if ":" in name:
        return made(types, name) if not types.classes.is_protocol(name) else Known(none=False)
    name = (
        f"builtins.{_FORMS[last_of(node)]}"
        if name.startswith("typing.") and last_of(node) in _FORMS
        else name
    )
    if name in _APART:
        return of_class(*_AS_ARGUMENT.get(name, (name,)))
    package = name.partition(".")[0]
    if package in _OPEN_MODULES or name == "builtins.object":
        return UNKNOWN
    if package in _INJECTING and name.rpartition(".")[2] in _INJECTED:
        return Known(True, False, (name,))
    return Known(classes=(name,))


_INJECTING = ("fastapi", "starlette")
_INJECTED = frozenset(
    "Request WebSocket HTTPConnection Response BackgroundTasks SecurityScopes".split()
)
"""What FastAPI passes for the asking: never None, and true as an object."""
_OPEN_MODULES = ("", "typing", "typing_extensions", "collections")
"""What they name, as `Any`, anything may be."""


def named(types: Types, scope: Scope, node: ast.expr) -> str:
    """The one class that an expression means; empty: it is not known."""
    values = types.values(scope, node) if isinstance(node, (ast.Name, ast.Attribute)) else ()
    names = {each.name for each in values if each.kind in (CLASS, EXTERNAL) and not each.guess}
    return next(iter(names)) if len(names) == len(values) == 1 else ""


# isinstance


def is_instance(types: Types, scope: Scope, known: Known, asked: ast.expr) -> bool | None:
    """What `isinstance` answers."""
    wanted = _alternatives(types, scope, asked)
    if not known.classes or not wanted or not all(wanted):
        return None
    answers = {_is_one_of(types, each, wanted) for each in known.classes}
    return next(iter(answers)) if len(answers) == 1 else None


def has_attribute(types: Types, known: Known, name: str) -> bool | None:
    """What `hasattr` answers."""
    answers = {_has(types, each, name) for each in known.classes}
    return next(iter(answers)) if len(answers) == 1 else None


def _has(types: Types, class_: str, name: str) -> bool | None:
    """Yes is said of methods, no of what files have and nothing else."""
    if ":" in class_:
        return True if _is_method(types, class_, name) else None
    own = _STANDARD.get(class_)
    if own is None:
        return None
    return True if hasattr(own, name) else False if name in _OF_FILES else None


def _is_method(types: Types, class_: str, name: str) -> bool:
    """Defined once and in any case; what a property gives may not be there yet."""
    found = types.classes.find(class_, name)
    if not isinstance(found, Member) or len(found.bindings) != 1:
        return False
    (binding,) = found.bindings
    decorators = getattr(binding.node, "decorator_list", ())
    is_plain = all(last_of(each) in ("staticmethod", "classmethod") for each in decorators)
    return binding.kind == "def" and not binding.path and is_plain


_STANDARD: dict[str, type] = {
    "builtins.str": str,
    "builtins.bytes": bytes,
    "builtins.bytearray": bytearray,
    "builtins.list": list,
    "builtins.dict": dict,
    "pathlib.Path": Path,
    "io.BytesIO": BytesIO,
    "io.StringIO": StringIO,
}
_OF_FILES = frozenset("read readline readlines write writelines seek tell fileno".split())


def _alternatives(types: Types, scope: Scope, node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Tuple):
        return tuple(name for each in node.elts for name in _alternatives(types, scope, each))
    if isinstance(node, ast.BinOp):
        both = (node.left, node.right)
        return tuple(name for each in both for name in _alternatives(types, scope, each))
    if isinstance(node, ast.Constant) and node.value is None:
        return NONE.classes
    return (named(types, scope, node),)


def _is_one_of(types: Types, name: str, wanted: tuple[str, ...]) -> bool | None:
    answers = [_is(types, each, wanted) for each in types.classes.concrete(name)]
    return answers[0] if answers and all(each is answers[0] for each in answers) else None


def _is(types: Types, name: str, wanted: tuple[str, ...]) -> bool | None:
    if any(_meta_has(types, each, *_CHECKS) for each in wanted if ":" in each):
        return None
    if any(_is_below(types, name, each) for each in wanted):
        return True
    return False if all(_are_apart(types, name, each) for each in wanted) else None


def _is_below(types: Types, name: str, above: str) -> bool:
    if above in (name, "builtins.object") or _BELOW.get(name) == above:
        return True
    return ":" in name and above in types.classes.order(name)


def _are_apart(types: Types, name: str, other: str) -> bool:
    """Neither is an object of the first one of the other; below the first, all classes are asked in turn."""
    if _says_otherwise(types, name) or _may_adopt(types, other):
        return False
    if ":" not in name and ":" not in other:
        return {name, other} <= _APART and _BELOW.get(other) != name
    if ":" in name and ":" in other:
        return _is_plain(types, name) and not types.classes.is_protocol(other)
    ours = name if ":" in name else other
    foreign = other if ours is name else name
    below = (ours, *types.classes.subclasses(ours))
    if foreign == "os.PathLike" and any(types.classes.find(each, "__fspath__") for each in below):
        return False  # it need not inherit from it
    return (
        foreign in _APART
        and all(_is_plain(types, each) for each in below)
        and not (types.classes.is_protocol(ours))
    )


_CHECKS = ("__instancecheck__", "__subclasscheck__")


def _says_otherwise(types: Types, name: str) -> bool:
    """Its objects tell `isinstance` another class."""
    return ":" in name and isinstance(types.classes.find(name, "__class__"), Member)


def _may_adopt(types: Types, name: str) -> bool:
    """Objects of classes that do not inherit from it may count as its own."""
    classes = types.classes
    if ":" not in name:
        return False
    if isinstance(classes.find(name, "__subclasshook__"), Member):
        return True
    return classes.has_abc_meta(name) and any(
        _may_register(types, name, each) for each in types.callers.named("register")
    )


def _may_register(types: Types, name: str, where: tuple[Scope, ast.expr]) -> bool:
    """Of `Class.register`, at a call or as a decorator."""
    scope, node = where
    if not isinstance(node, ast.Attribute):
        return False
    found = types.known(scope, node.value)
    order = types.classes.order
    return not found or any(
        value.name == "abc.ABCMeta"
        or (value.kind == CLASS and (name in order(value.name) or value.name in order(name)))
        for value in found
    )
