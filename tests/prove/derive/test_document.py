"""What an OpenAPI document says, and what becomes of one that is broken."""

from __future__ import annotations

from typing import Any

import pytest

from unstall.errors import UsageError
from unstall.prove.derive.document import Credential, Link, read_document


def of(paths: Any, **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": paths, **more}


def test_every_method_of_every_path_is_an_operation() -> None:
    paths = {
        "/users": {"get": {"operationId": "users"}, "post": {}},
        "/users/{id}": {"delete": {}, "summary": "one of them"},
    }
    document = read_document(of(paths))
    assert [each.title for each in document.operations] == [
        "GET /users", "POST /users", "DELETE /users/{id}",
    ]  # fmt: skip
    assert document.operations[0].name == "users"


def test_parameters_of_the_path_hold_for_its_operations_unless_they_say_otherwise() -> None:
    shared = {"name": "q", "in": "query", "schema": {"type": "string"}}
    own = {"name": "q", "in": "query", "required": True, "schema": {"type": "integer"}}
    (operation,) = read_document(
        of({"/find": {"parameters": [shared], "get": {"parameters": [own]}}})
    ).operations
    assert [(each.name, each.required, each.schema) for each in operation.parameters] == [
        ("q", True, {"type": "integer"})
    ]


def test_a_parameter_that_only_the_path_names_is_a_string() -> None:
    (operation,) = read_document(of({"/a/{b}": {"get": {}}})).operations
    assert [(each.name, each.place, each.schema) for each in operation.parameters] == [
        ("b", "path", {"type": "string"})
    ]


def test_references_are_followed_with_what_stands_beside_them() -> None:
    document = read_document(
        of({}, components={"schemas": {"A/b": {"type": "string", "title": "A"}}})
    )
    node = {"$ref": "#/components/schemas/A~1b", "title": "mine"}
    assert document.resolved(node) == {"type": "string", "title": "mine"}


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("#/components/schemas/None", "which is not in the document"),
        ("https://example.com/a.json", "which is outside the document"),
        ("#/components/parameters/Round", "its references go in circles"),
    ],
)
def test_an_operation_whose_reference_leads_nowhere_is_told_and_the_others_stay(
    reference: str, why: str
) -> None:
    circle = {"$ref": "#/components/parameters/Round"}
    document = read_document(
        of(
            {
                "/good": {"get": {}},
                "/bad": {"get": {"parameters": [{"$ref": reference}]}},
            },
            components={"parameters": {"Round": circle}},
        )
    )
    assert [each.title for each in document.operations] == ["GET /good"]
    ((title, told),) = document.broken
    assert title == "GET /bad"
    assert why in told


@pytest.mark.parametrize(
    "bad",
    [
        [],
        {"parameters": [{"in": "query"}]},
        {"parameters": [{"name": "a", "in": "nowhere"}]},
        {"requestBody": []},
        {"requestBody": {"content": {"application/json": None}}},
    ],
)
def test_an_operation_that_is_nonsense_breaks_nothing_else(bad: Any) -> None:
    document = read_document(of({"/good": {"get": {}}, "/bad": {"get": bad}}))
    assert [each.title for each in document.operations][:1] == ["GET /good"]
    assert len(document.operations) + len(document.broken) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "a list where an object was expected"),
        ({"swagger": "2.0", "paths": {}}, "Swagger 2.0"),
        ({"paths": {}}, "openapi: None"),
        ({"openapi": "3.0.3", "paths": []}, "`paths` of the OpenAPI document is a list"),
    ],
)
def test_what_is_no_openapi_document_is_refused_in_a_sentence(data: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_document(data)


def test_credentials_are_those_of_the_first_way_in() -> None:
    schemes = {
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "token": {"type": "http", "scheme": "bearer"},
    }
    document = read_document(
        of(
            {
                "/a": {"get": {}},
                "/b": {"get": {"security": [{"token": []}]}},
                "/c": {"get": {"security": [{"key": []}, {}]}},
                "/d": {"get": {"security": []}},
            },
            components={"securitySchemes": schemes},
            security=[{"key": []}],
        )
    )
    assert [each.credentials for each in document.operations] == [
        (Credential("X-Key", "header"),), (Credential("Authorization", "header"),), (), (),
    ]  # fmt: skip


def test_links_name_the_operation_and_where_the_answer_holds_its_parameter() -> None:
    link = {"operationId": "one", "parameters": {"path.id": "$response.body#/data/id"}}
    (operation,) = read_document(
        of({"/all": {"post": {"responses": {"201": {"links": {"one": link}}}}}})
    ).operations
    assert operation.links == (Link("one", "id", "/data/id"),)
    assert operation.statuses == {"201"}
