"""What exists in the app, as its own answers told: ids for the paths and bodies that ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unstall.prove.derive.document import Operation, names_in

_KEPT = 50
_IDS = ("id", "uuid", "_id")


class Known:
    """Ids by the collection that they belong to: `/users` for `/users/{user_id}`.

    Values of the parents of a nested collection are the first ones known, when it is asked for items
    and when items are put in, so that they fit together.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._items: dict[str, list[str]] = {}
        for operation in operations:
            for before, name in _steps(operation.path):
                _keep(self._items.setdefault(shape(before), []), name)
        self._ids: dict[str, list[Any]] = {}
        self._linked: dict[tuple[str, str], list[Any]] = {}

    def __len__(self) -> int:
        return sum(map(len, (*self._ids.values(), *self._linked.values())))

    def learn(self, operation: Operation, answer: Any) -> None:
        """Takes in what a successful answer tells."""
        for link in operation.links:
            if _is_id(value := _pointed(answer, link.pointer)):
                _keep(self._linked.setdefault((link.operation, link.parameter), []), value)
        collection = shape(operation.path)
        names = self._items.get(collection, [])
        for item in _items(answer) if operation.method == "GET" else (answer,):
            if _is_id(value := _id_of(item, names)):
                _keep(self._ids.setdefault(collection, []), value)

    def in_path(self, operation: Operation, turn: int) -> dict[str, Any]:
        """Values for the parameters of a path, as far as they are known.

        Each turn takes the next item; parents stay the same.
        """
        values: dict[str, Any] = {}
        for before, name in _steps(operation.path):
            ids = self._linked.get((operation.name, name)) or self._ids.get(shape(before))
            if ids:
                item = operation.path.rstrip("/").endswith(f"{{{name}}}")
                values[name] = ids[turn % len(ids) if item else 0]
        return values

    def named(self, name: str) -> Any:
        """For a property such as `user_id` or `userId`: the id of a user; None: not known."""
        lower = name.lower()
        if not lower.endswith("id") or lower.rstrip("_") in ("id", "uuid"):
            return None
        one = lower.removesuffix("id").rstrip("_")
        many = {one, f"{one}s", f"{one}es", f"{one.removesuffix('y')}ies"}
        for collection, ids in self._ids.items():
            if ids and collection.rsplit("/", 1)[-1].lower().replace("-", "_") in many:
                return ids[0]
        return None


def shape(path: str) -> str:
    """The path without the names of its parameters and a slash at its end."""
    for name in names_in(path):
        path = path.replace(f"{{{name}}}", "{}")
    return path.rstrip("/")


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """Each parameter that is a whole segment, with the path before it."""
    segments = path.strip("/").split("/")
    for at, segment in enumerate(segments):
        if segment.startswith("{") and segment.endswith("}") and segment.count("{") == 1:
            yield "/" + "/".join(segments[:at]), segment[1:-1]


def _items(answer: Any) -> Sequence[Any]:
    """Of a list, or of an object that holds one list of objects."""
    if isinstance(answer, list):
        return answer[:_KEPT]
    if isinstance(answer, Mapping):
        lists = [
            value for value in answer.values()
            if isinstance(value, list) and value and isinstance(value[0], Mapping)
        ]  # fmt: skip
        return lists[0][:_KEPT] if len(lists) == 1 else ()
    return ()


def _id_of(item: Any, names: Sequence[str]) -> Any:
    """The value that stands for an item in the path, as far as names make it plain."""
    if not isinstance(item, Mapping):
        return None
    for key in (*names, *map(_camel, names), *_IDS):
        if key in item:
            return item[key]
    inner = [value for value in item.values() if isinstance(value, Mapping)]
    return _id_of(inner[0], names) if len(inner) == len(item) == 1 else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _pointed(answer: Any, pointer: str) -> Any:
    for key in pointer.strip("/").split("/"):
        plain = key.replace("~1", "/").replace("~0", "~")
        if isinstance(answer, Mapping):
            answer = answer.get(plain)
        elif isinstance(answer, list) and plain.isdigit() and int(plain) < len(answer):
            answer = answer[int(plain)]
        else:
            return None
    return answer


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool) and value != ""


def _keep(ids: list[Any], value: Any) -> None:
    if value not in ids and len(ids) < _KEPT:
        ids.append(value)
