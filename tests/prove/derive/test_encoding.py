"""An operation and its values, as a request on the wire."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from unstall.model.plan import Example
from unstall.prove.derive.document import Impossible, Unreadable, read_document
from unstall.prove.derive.encoding import encoded
from unstall.prove.derive.values import Values


def request(
    described: dict[str, Any], path: str = "/things", method: str = "post", **more: Any
) -> Example:
    document = read_document({"openapi": "3.1.0", "paths": {path: {method: described}}})
    assert not document.broken
    full = more.pop("full", False)
    in_path = more.pop("in_path", {})
    return encoded(document.operations[0], Values(document, full=full, **more), in_path, full)


def body(media: str, schema: Any, **more: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {media: {"schema": schema, **more}}}}


def query(**parameter: Any) -> list[tuple[str, str]]:
    made = request({"parameters": [{"in": "query", "required": True, **parameter}]}, method="get")
    return parse_qsl(urlsplit(made.path).query)


def test_json_is_the_first_choice() -> None:
    described = {
        "requestBody": {
            "content": {
                "application/xml": {"schema": {}},
                "application/json": {"schema": {"const": {"a": 1}}},
            }
        }
    }
    made = request(described)
    assert json.loads(made.body) == {"a": 1}
    assert made.headers == {"Content-Type": "application/json"}


def test_the_authors_example_of_a_body_wins() -> None:
    made = request(body("application/json", {"type": "object"}, example={"sku": "A-1"}))
    assert json.loads(made.body) == {"sku": "A-1"}


def test_what_the_user_gave_goes_before_examples_and_known_ids_in_turn_and_where_it_is_optional() -> (
    None
):
    who = {"name": "who", "in": "path", "required": True, "schema": {"const": "x"}}
    many = [{"name": name, "in": "query", "schema": {"type": "array"}} for name in ("q", "r")]
    head = {"name": "h", "in": "header", "required": True, "schema": {"const": "own"}}
    given = {"who": ["a b", "c/d"], "q": ["", "1"], "h": ["not a header"]}
    asked = [
        request(
            {"parameters": [who, *many, head]},
            "/of/{who}",
            "get",
            in_path={"who": 4},
            given=given,
            turn=turn,
        )
        for turn in range(3)
    ]
    assert [each.path for each in asked] == ["/of/a%20b?q=", "/of/c%2Fd?q=1", "/of/a%20b?q="]
    assert asked[0].headers == {"h": "own"}


def test_a_key_that_the_query_must_hold_can_be_given() -> None:
    document = read_document(
        {
            "openapi": "3.1.0",
            "paths": {"/x": {"get": {"security": [{"key": []}]}}},
            "components": {
                "securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "k"}}
            },
        }
    )
    values = Values(document, given={"k": ["s"]})
    assert encoded(document.operations[0], values, {}, full=False).path == "/x?k=s"


def test_values_in_the_path_are_escaped_and_known_ones_win() -> None:
    parameter = {"name": "who", "in": "path", "required": True, "schema": {"const": "a b/ü"}}
    described = {"parameters": [parameter]}
    assert request(described, "/of/{who}", "get").path == "/of/a%20b%2F%C3%BC"
    assert request(described, "/of/{who}", "get", in_path={"who": 41}).path == "/of/41"
    assert request({}, "/größe", "get").path == "/gr%C3%B6%C3%9Fe"


def test_optional_parameters_are_sent_when_all_is_asked_for() -> None:
    described = {"parameters": [{"name": "q", "in": "query", "schema": {"const": "x"}}]}
    assert request(described, method="get").path == "/things"
    assert request(described, method="get", full=True).path == "/things?q=x"


@pytest.mark.parametrize("schema", [{"default": ""}, False, {"type": "null"}])
def test_an_optional_parameter_that_says_nothing_is_left_out(schema: Any) -> None:
    parameter = {"name": "q", "in": "query", "schema": schema}
    assert request({"parameters": [parameter]}, method="get", full=True).path == "/things"
    with pytest.raises(Impossible):
        request({"parameters": [{**parameter, "required": True}]}, method="get")


@pytest.mark.parametrize(
    ("parameter", "pairs"),
    [
        ({"schema": {"const": True}}, [("p", "true")]),
        ({"schema": {}}, None),
        ({"schema": {"const": ["a", "b"]}}, [("p", "a"), ("p", "b")]),
        ({"schema": {"const": ["a", "b"]}, "explode": False}, [("p", "a,b")]),
        ({"schema": {"const": {"k": 1}}, "style": "deepObject"}, [("p[k]", "1")]),
        ({"schema": {"const": {"k": 1}}}, [("k", "1")]),
        ({"content": {"application/json": {"schema": {"const": {"k": 1}}}}}, [("p", '{"k": 1}')]),
        ({"schema": {"type": "string"}, "example": "mine"}, [("p", "mine")]),
    ],
)
def test_a_query_is_written_as_its_style_says(
    parameter: dict[str, Any], pairs: list[tuple[str, str]] | None
) -> None:
    made = query(name="p", **parameter)
    assert made == pairs if pairs is not None else made[0][1].isalnum()


def test_headers_and_cookies_go_where_they_belong() -> None:
    parameters = [
        {"name": "X-Tenant", "in": "header", "required": True, "schema": {"const": 7}},
        {"name": "session", "in": "cookie", "required": True, "schema": {"const": "a b"}},
        {"name": "Authorization", "in": "header", "required": True, "schema": {"const": "no"}},
    ]
    made = request({"parameters": parameters}, method="get")
    assert made.headers == {"X-Tenant": "7", "Cookie": "session=a%20b"}


def test_a_form_says_lists_again_and_null_by_silence() -> None:
    made = request(
        body("application/x-www-form-urlencoded", {"const": {"a": [1, 2], "b": True, "c": None}})
    )
    assert parse_qs(made.body) == {"a": ["1", "2"], "b": ["true"]}


def test_a_binary_part_makes_a_body_that_is_no_text() -> None:
    schema = {
        "properties": {"photo": {"type": "string", "format": "binary"}, "n": {"const": 3}},
        "required": ["photo", "n"],
    }
    made = request(body("multipart/form-data", schema))
    assert made.base64
    assert b"\x89PNG" in made.content
    assert b'name="photo"; filename="image.png"\r\nContent-Type: image/png' in made.content
    assert b'name="n"\r\n\r\n3\r\n' in made.content


def test_an_operation_without_a_body_has_none() -> None:
    made = request({})
    assert (made.content, made.headers) == (b"", {})


def test_a_body_that_cannot_be_made_up_is_said_to_be_so() -> None:
    with pytest.raises(Impossible, match="application/xml, which is not made up here"):
        request(body("application/xml", {}))
    assert request(body("application/xml", {}, example="<a/>")).body == "<a/>"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": 5}, "required": ["a"]},
        {"type": "object", "required": 5},
        {"enum": 5},
        {"anyOf": {}},
        {"anyOf": [5]},
        {"allOf": [5], "type": 7},
        {"type": "array", "minItems": "many"},
        {"type": "string", "minLength": []},
        {"type": "integer", "minimum": "low"},
        {"type": "string", "pattern": "("},
        {"type": "string", "format": 5},
        {"discriminator": 5, "oneOf": [{"type": "object", "required": 5}]},
        {"$ref": 5},
        {"$ref": "#/nowhere"},
        {"additionalProperties": 5, "minProperties": 2},
        [],
        "text",
        None,
    ],
)
@pytest.mark.parametrize("media", ["application/json", "multipart/form-data"])
def test_a_schema_that_is_nonsense_gives_a_request_or_a_reason(schema: Any, media: str) -> None:
    for full in (False, True):
        with suppress(Impossible, Unreadable):
            request(body(media, schema), full=full)
