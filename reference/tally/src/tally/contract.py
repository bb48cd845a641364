"""The API as OpenAPI: one description for three stages, which parse their bodies themselves."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tally.model import BatchResult, Event, EventResult
from tally.problems import MEDIA_TYPE
from tally.query.ask import Aggregate, Granularity
from tally.settings import Limits

KEY_HEADER = "X-API-Key"
_WHERE = "#/components/schemas/{name}"


def describe(app: FastAPI, limits: Limits) -> None:
    """Puts the description in place of FastAPI's own, and what FastAPI knows of its routes into it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, limits)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, limits: Limits) -> dict[str, Any]:
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_schemas(limits))
    found["components"].setdefault("securitySchemes", {})["key"] = {
        "type": "apiKey",
        "in": "header",
        "name": KEY_HEADER,
    }
    found.setdefault("paths", {}).update(_paths())
    return found


def _schemas(limits: Limits) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(
        (Event, EventResult, BatchResult), ref_template=_WHERE
    )
    event = schemas["Event"]
    event["additionalProperties"] = False
    event["properties"]["dimensions"]["maxProperties"] = limits.dimensions
    event["properties"]["name"]["description"] = (
        f"of a customer's events of one day, UTC, at most {limits.names} are different: another is refused"
        " with 422 and `too-many-names`"
    )
    schemas["Batch"] = {
        "type": "object",
        "required": ["events"],
        "additionalProperties": False,
        "properties": {
            "events": {"type": "array", "items": _ITEM, "maxItems": limits.batch_events}
        },
    }
    schemas["Metrics"] = {
        "type": "object",
        "required": [
            *("name", "from", "to", "granularity", "as_of", "cache_age_ms", "folded", "rows")
        ],
        "properties": {
            "name": {"type": "string"},
            "from": _MOMENT,
            "to": _MOMENT,
            "granularity": {"enum": list(map(str, Granularity))},
            "as_of": _MOMENT,
            "cache_age_ms": {"type": "integer", "minimum": 0},
            "folded": {
                "type": "integer",
                "minimum": 0,
                "description": "events whose dimensions were not kept and would be needed here: a breakdown"
                " has them under null, filters and unique do not see them",
            },
            "rows": {"type": "array", "items": _ROW},
        },
    }
    schemas["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "reason": {"type": "string"},
        },
    }
    return schemas


_ITEM = {
    "anyOf": [{"$ref": _WHERE.format(name="Event")}, {}],
    "description": "An event; what is none is rejected by itself.",
}
_MOMENT = {"type": "string", "format": "date-time"}
_NUMBER = {"type": ["number", "null"]}
_ROW = {
    "type": "object",
    "required": ["bucket", "dimensions"],
    "properties": {
        "bucket": _MOMENT,
        "dimensions": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        **{str(each): _NUMBER for each in Aggregate},
    },
}


def _at(name: str) -> str:
    return _WHERE.format(name=name)


def _json(name: str, description: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _at(name)}}}
    return {"description": description, "content": content}


def _problems(*statuses: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": _at("Problem")}}}
    told = {
        400: "not JSON",
        401: "no key, an unknown one, or a wrong signature",
        403: "a revoked key, or somebody else's event",
        413: "too large",
        422: "not what is allowed; `reason` says what",
        429: "too many requests",
        503: "try again after Retry-After; nothing was acknowledged",
        504: "not answered in time; send it again after Retry-After, it is stored once",
    }
    return {str(status): {"description": told[status], "content": content} for status in statuses}


def _operation(name: str, summary: str, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "security": [{"key": []}], **more}


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": _at(name)}}}}


_REFUSALS = (400, 401, 403, 413, 422, 429, 503, 504)


def _query(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"in": "query", "name": name, "schema": schema, "description": description, **more}


def _paths() -> dict[str, Any]:
    event = _operation(
        "ingest_event",
        "Store one event; the answer comes when it is committed",
        requestBody=_body("Event"),
        responses={
            "201": _json("EventResult", "stored now"),
            "200": _json("EventResult", "stored before: a duplicate"),
            **_problems(*_REFUSALS),
        },
    )
    batch = _operation(
        "ingest_batch",
        "Store several events, each by itself",
        requestBody=_body("Batch"),
        responses={"200": _json("BatchResult", "one result for each"), **_problems(*_REFUSALS)},
    )
    metrics = _operation(
        "metrics",
        "Aggregates of one name over time",
        parameters=_PARAMETERS,
        responses={"200": _json("Metrics", "the rows"), **_problems(401, 403, 422, 429, 503, 504)},
    )
    return {
        "/v1/events": {"post": event},
        "/v1/events/batch": {"post": batch},
        "/v1/metrics": {"get": metrics},
        "/livez": {"get": _probe("livez", "Whether the process answers")},
        "/readyz": {"get": _probe("readyz", "Whether it can serve")},
    }


def _probe(name: str, summary: str) -> dict[str, Any]:
    answer = {"application/json": {"schema": {"type": "object"}}}
    good = {"200": {"description": "yes", "content": answer}}
    return {"operationId": name, "summary": summary, "responses": good | _problems(503)}


_TEXT = {"type": "string", "minLength": 1, "maxLength": 500}
_PARAMETERS = [
    _query("name", _TEXT, "which events", required=True),
    _query("from", _MOMENT, "the first bucket; 60 buckets before `to` if not given"),
    _query("to", _MOMENT, "where the last bucket ends; now if not given"),
    _query("granularity", {"enum": list(map(str, Granularity)), "default": "minute"}, "of buckets"),
    _query(
        "dimensions",
        {"type": "string", "maxLength": 500},
        "by which to break down, with commas; 4 at most",
    ),
    _query(
        "filter",
        {"type": "array", "items": {"type": "string", "pattern": "^[^:]+:"}, "maxItems": 8},
        "DIMENSION:VALUE, several times",
        explode=True,
    ),
    _query(
        "aggregates", {"type": "string", "maxLength": 500}, ", ".join(Aggregate) + "; with commas"
    ),
    _query(
        "unique_of",
        {"type": "string", "maxLength": 500},
        "the dimension whose values `unique` counts",
    ),
]
