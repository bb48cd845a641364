"""The smallest sensible value for a schema: its author's examples first, then what people would type.

`turn` counts the examples of an operation from 0 on: each turn takes the next example, member of an
enum and branch of a union, and other words and numbers. The same seed and turn give the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from unstall.prove.derive.document import Document, Impossible, Schema, Unreadable
from unstall.prove.derive.leaves import PLAIN, leaf

_OPTIONAL_DEPTH = 2
_MAX_DEPTH = 24
_MAX_ITEMS = 50


def _nobody(name: str) -> Any:
    return None


@dataclass(frozen=True, slots=True)
class Values:
    """Makes the values of one example.

    `full` fills in what is optional as well. `known` is asked for the value of a property whose name
    says that it stands for something that exists already (`user_id`); None: not known. `given` are texts
    for parameters of paths and queries, by their names, taken in turn.
    """

    document: Document
    seed: int = 0
    turn: int = 0
    full: bool = False
    known: Callable[[str], Any] = field(default=_nobody)
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def given_for(self, name: str) -> str | None:
        texts = self.given.get(name)
        return texts[self.turn % len(texts)] if texts else None

    def of(self, schema: Schema, name: str = "", above: tuple[str, ...] = ()) -> Any:
        """Raises `Impossible`, or `Unreadable` for what is no schema.

        `above` are the references that lead here: who comes by again would come by forever.
        """
        if schema is False:
            raise Impossible(f"{name or 'the value'} is not allowed to be anything")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise Unreadable(f"the schema of {name or 'a value'} is a {type(schema).__name__}")
        if isinstance(reference := schema.get("$ref"), str):
            if reference in above or len(above) > _MAX_DEPTH:
                raise Impossible(f"{name or reference} holds itself without an end")
            above = (*above, reference)
            schema = self.document.resolved(schema)
            if schema is True or schema is False:
                return self.of(schema, name, above)
        if given := list(_given(schema)):
            return given[self.turn % len(given)]
        return self._made(schema, name, above)

    def _made(self, schema: Mapping[str, Any], name: str, above: tuple[str, ...]) -> Any:
        if parts := schema.get("allOf"):
            return self.of(self._joined(schema, parts), name, above)
        for word in ("anyOf", "oneOf"):
            if branches := schema.get(word):
                return self._one_of(schema, branches, word, name, above)
        kind = _kind(schema, self.turn)
        if kind == "object":
            return self._object(schema, above)
        if kind == "array":
            return self._array(schema, name, above)
        return leaf(schema, kind, name, self.seed, self.turn)

    def _joined(self, schema: Mapping[str, Any], parts: Sequence[Schema]) -> Schema:
        """All of several schemas as one, as far as objects go."""
        whole: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        properties: dict[str, Any] = {}
        required: list[str] = []
        for part in (*parts, dict(whole)):
            plain = self.document.resolved(part)
            if plain is False:
                return False
            if not isinstance(plain, Mapping):
                continue
            if nested := plain.get("allOf"):
                joined = self._joined(plain, nested)
                if not isinstance(joined, Mapping):
                    return False
                plain = joined
            properties |= plain.get("properties") or {}
            required += plain.get("required") or []
            whole = {**plain, **whole}
        if properties:
            whole["properties"] = properties
        if required:
            whole["required"] = sorted(set(required))
        return whole

    def _one_of(
        self,
        schema: Mapping[str, Any],
        branches: Sequence[Schema],
        word: str,
        name: str,
        above: tuple[str, ...],
    ) -> Any:
        """The branch whose turn it is, if they are objects; of plain values the first is the usual one.

        Null, and what cannot be made, only if there is nothing else.
        """
        beside = {key: value for key, value in schema.items() if key not in (word, "discriminator")}
        plain = [self.document.resolved(branch) for branch in branches]
        some = [b for b, told in zip(branches, plain, strict=True) if not _is_null(told)]
        null = [b for b, told in zip(branches, plain, strict=True) if _is_null(told)]
        objects = [isinstance(told, Mapping) and _kind(told, 0) == "object" for told in plain]
        first = self.turn % len(some) if sum(objects) == len(some) > 0 else 0
        reason = f"no branch of {name or 'the value'} can be made"
        for branch in (*some[first:], *some[:first], *null):
            try:
                value = self.of(_with(beside, branch), name, above)
            except Impossible as error:
                reason = str(error)
                continue
            return self._told_apart(schema, branch, value)
        raise Impossible(reason)

    def _told_apart(self, schema: Mapping[str, Any], branch: Schema, value: Any) -> Any:
        """With the discriminator's word for the branch, where the branch itself leaves it open."""
        discriminator = schema.get("discriminator")
        if not (isinstance(discriminator, Mapping) and isinstance(value, dict)):
            return value
        key = str(discriminator.get("propertyName", ""))
        reference = branch.get("$ref", "") if isinstance(branch, Mapping) else ""
        described = self.document.resolved(branch)
        own = self.document.resolved((described.get("properties") or {}).get(key, {}))
        if (
            not key
            or not reference
            or (isinstance(own, Mapping) and {"const", "enum"} & own.keys())
        ):
            return value
        words = {target: word for word, target in (discriminator.get("mapping") or {}).items()}
        return {**value, key: words.get(reference, reference.rsplit("/", 1)[-1])}

    def _object(self, schema: Mapping[str, Any], above: tuple[str, ...]) -> dict[str, Any]:
        required = set(schema.get("required") or ())
        made: dict[str, Any] = {}
        for key, described in (schema.get("properties") or {}).items():
            plain = self.document.resolved(described)
            if isinstance(plain, Mapping) and plain.get("readOnly"):
                continue
            wanted = key in required or (self.full and len(above) < _OPTIONAL_DEPTH)
            if not wanted:
                continue
            if (existing := self.known(key)) is not None:
                made[key] = existing
                continue
            try:
                made[key] = self.of(described, key, above)
            except Impossible:
                if key in required:
                    raise
        for key in sorted(required - made.keys()):
            if key not in (schema.get("properties") or {}):
                made[key] = self._extra(schema, key, above)
        while len(made) < int(schema.get("minProperties", 0)):
            key = f"key{len(made) + 1}"
            made[key] = self._extra(schema, key, above)
        return made

    def _extra(self, schema: Mapping[str, Any], key: str, above: tuple[str, ...]) -> Any:
        described = schema.get("additionalProperties", True)
        return self.of({"type": "string"} if described is True else described, key, above)

    def _array(self, schema: Mapping[str, Any], name: str, above: tuple[str, ...]) -> list[Any]:
        """One item where the schema leaves it open: an empty list would skip what loops do."""
        low = int(schema.get("minItems", 0))
        high = int(schema.get("maxItems", _MAX_ITEMS))
        if low > _MAX_ITEMS:
            raise Impossible(f"{name or 'a list'} needs {low} items, which is no small example")
        prefix = schema.get("prefixItems") or []
        items = schema.get("items", {})
        made: list[Any] = []
        try:
            for at in range(min(high, max(1, low, len(prefix)))):
                described = prefix[at] if at < len(prefix) else items
                made.append(self._next(at).of(described, name.removesuffix("s"), above))
        except Impossible:
            if len(made) < max(low, len(prefix)):
                raise
        return made

    def _next(self, at: int) -> Values:
        """For the item at that place, so that items differ."""
        return replace(self, turn=self.turn + at) if at else self


def _given(schema: Mapping[str, Any]) -> Sequence[Any]:
    """What its author wrote down: the best of it."""
    if "const" in schema:
        return [schema["const"]]
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return examples
    if "example" in schema:
        return [schema["example"]]
    if schema.get("default") is not None:
        return [schema["default"]]
    members = schema.get("enum") or []
    return [each for each in members if each is not None] or members


def _kind(schema: Mapping[str, Any], turn: int) -> str:
    """The type, or what the other keywords tell of it."""
    kinds = schema.get("type")
    if isinstance(kinds, list):
        some = [kind for kind in kinds if kind != "null"] or ["null"]
        kinds = some[turn % len(some)]
    if isinstance(kinds, str):
        if kinds not in (*PLAIN, "object", "array"):
            raise Unreadable(f"a schema has the type {kinds!r}")
        return kinds
    if schema.keys() & {"properties", "additionalProperties", "required", "minProperties"}:
        return "object"
    if schema.keys() & {"items", "prefixItems", "minItems"}:
        return "array"
    if schema.keys() & {"minimum", "maximum", "multipleOf"}:
        return "number"
    return "string" if schema.keys() & {"pattern", "minLength", "format"} else "object"


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _with(beside: Mapping[str, Any], branch: Schema) -> Schema:
    """A branch together with what stands beside the union; annotations of the union are not its own."""
    rest = {
        key: value for key, value in beside.items()
        if key not in ("default", "title", "description", "example", "examples", "nullable")
    }  # fmt: skip
    return {"allOf": [branch], **rest} if rest else branch
