"""The smallest sensible value for a schema."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import AnyUrl, BaseModel, Field, TypeAdapter

from unstall.prove.derive.document import Impossible, Unreadable, read_document
from unstall.prove.derive.values import Values


def values(schemas: dict[str, Any] | None = None, **more: Any) -> Values:
    document = read_document(
        {"openapi": "3.1.0", "paths": {}, "components": {"schemas": schemas or {}}}
    )
    return Values(document, **more)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "examples": ["a", "b"], "default": "c"}, "a"),
        ({"type": "string", "example": "a", "default": "c"}, "a"),
        ({"type": "string", "default": "c"}, "c"),
        ({"const": 7}, 7),
        ({"enum": [None, "red"]}, "red"),
        ({"enum": [None]}, None),
        ({"type": "null"}, None),
        ({"type": ["null", "boolean"]}, True),
        ({"anyOf": [{"type": "null"}, {"const": 3}]}, 3),
        ({"anyOf": [{"type": "null"}]}, None),
        ({"type": "array", "items": {"const": 1}}, [1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2]),
        ({"type": "object", "properties": {"a": {"const": 1}}}, {}),
        ({"properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
        ({"type": "object", "additionalProperties": {"const": 1}, "minProperties": 1}, {"key1": 1}),
        (True, {}),
        ({}, {}),
    ],
)
def test_what_its_author_wrote_wins_and_else_the_smallest(schema: Any, value: Any) -> None:
    assert values().of(schema) == value


@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 6},
        {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
        {"type": "integer", "maximum": -3},
        {"type": "integer", "minimum": 10, "multipleOf": 7},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 0.25},
        {"type": "number", "minimum": 0, "maximum": 1},
        {"type": "string", "minLength": 40},
        {"type": "string", "maxLength": 3},
        {"type": "string", "minLength": 2, "maxLength": 2},
        {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        {"type": "string", "pattern": "^(?:user|team):[a-f0-9]{8}$", "maxLength": 13},
        {"type": "string", "format": "uuid"},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
        {"type": "string", "not": {"pattern": "^[a-z]"}},
    ],
)
def test_bounds_and_patterns_hold_at_every_turn(schema: dict[str, Any], turn: int) -> None:
    jsonschema.validate(values(turn=turn).of(schema), schema)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string", "format": "date-time"}, datetime),
        ({"type": "string", "format": "date"}, date),
        ({"type": "string", "format": "uuid"}, uuid.UUID),
        ({"type": "string", "format": "uri"}, AnyUrl),
    ],
)
def test_formats_are_what_pydantic_takes(schema: dict[str, Any], kind: type) -> None:
    for turn in range(40):
        TypeAdapter(kind).validate_python(values(turn=turn).of(schema))


def test_a_name_tells_what_a_plain_string_holds() -> None:
    plain = {"type": "string"}
    assert values().of(plain, "contact_email").endswith("@example.com")
    assert values().of(plain, "callback_url").startswith("http://127.0.0.1:9/")
    assert values().of({"type": "integer", "maximum": 100}, "limit") == 10
    assert values().of({"type": "integer", "maximum": 5}, "limit") <= 5, (
        "the schema has the last word"
    )


def test_turns_differ_and_the_same_seed_says_the_same() -> None:
    schema = {"type": "string", "format": "email"}
    some = [values(seed=3, turn=turn).of(schema) for turn in range(20)]
    assert len(set(some)) == 20
    assert some == [values(seed=3, turn=turn).of(schema) for turn in range(20)]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Node(BaseModel):
    name: Annotated[str, Field(min_length=3)]
    parent: Node | None = None
    children: list[Node]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


@pytest.mark.parametrize("full", [False, True])
def test_a_model_that_holds_itself_is_cut_where_it_may_end(full: bool) -> None:
    schema = Node.model_json_schema(ref_template="#/components/schemas/{model}")
    made = [
        values(schema["$defs"], turn=turn, full=full).of({"$ref": "#/components/schemas/Node"})
        for turn in range(4)
    ]
    parsed = [Node.model_validate(each) for each in made]
    assert {type(each.pet) for each in parsed} == {Cat, Dog}, "each branch has its turn"
    assert all(each.children == [] for each in parsed)


def test_a_value_that_must_hold_itself_forever_is_impossible() -> None:
    endless = {"type": "object", "properties": {"on": {"$ref": "#/components/schemas/E"}}}
    schemas = {"E": {**endless, "required": ["on"]}}
    with pytest.raises(Impossible, match="holds itself without an end"):
        values(schemas).of({"$ref": "#/components/schemas/E"})


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"type": "array", "minItems": 10_000, "items": {}},
        {"anyOf": [False]},
    ],
)
def test_what_nothing_satisfies_is_said_to_be_impossible(schema: Any) -> None:
    with pytest.raises(Impossible):
        values().of(schema, "it")


@pytest.mark.parametrize("schema", ["text", {"type": "bogus"}])
def test_what_is_no_schema_is_unreadable(schema: Any) -> None:
    with pytest.raises(Unreadable):
        values().of(schema, "it")


def test_all_of_several_is_one_object() -> None:
    schemas = {"Base": {"type": "object", "properties": {"id": {"const": 1}}, "required": ["id"]}}
    whole = {
        "allOf": [
            {"$ref": "#/components/schemas/Base"},
            {"properties": {"name": {"const": "a"}}, "required": ["name"]},
        ]
    }
    assert values(schemas).of(whole) == {"id": 1, "name": "a"}


def test_the_discriminator_is_filled_in_where_the_branch_leaves_it_open() -> None:
    schemas = {"Cat": {"type": "object", "properties": {"kind": {"type": "string"}}}}
    union = {
        "oneOf": [{"$ref": "#/components/schemas/Cat"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/components/schemas/Cat"}},
    }
    assert values(schemas).of(union) == {"kind": "cat"}


def test_what_only_the_app_may_set_is_left_out() -> None:
    schema = {
        "properties": {"id": {"type": "integer", "readOnly": True}, "n": {"const": 1}},
        "required": ["id", "n"],
    }
    assert values().of(schema) == {"n": 1}


def test_in_openapi_3_0_an_exclusive_bound_is_a_flag() -> None:
    schema = {"type": "integer", "minimum": 5, "exclusiveMinimum": True, "nullable": True}
    assert values().of(schema) == 6


def test_what_exists_already_is_asked_for_by_name() -> None:
    schema = {"properties": {"user_id": {"type": "integer"}}, "required": ["user_id"]}
    assert values(known=lambda name: 41 if name == "user_id" else None).of(schema) == {
        "user_id": 41
    }


@pytest.mark.slow
def test_no_folder_of_a_library_is_left_where_the_command_ran(tmp_path: Any) -> None:
    code = (
        "from unstall.prove.derive.library import odd\n"
        "print(odd({'type': 'string', 'pattern': r'^\\w{4}$'}, 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("('")
    assert list(tmp_path.iterdir()) == []
