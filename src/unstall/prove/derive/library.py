"""The odd cases, left to who knows them: jsonschema says what is valid, hypothesis-jsonschema finds it."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from unstall.errors import MissingExtra

_TRIES = 100
# They annotate, or belong to others; the libraries read them in ways of their own.
_FOREIGN = frozenset({"nullable", "discriminator", "xml", "externalDocs", "example", "deprecated"})


def matching(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether the value satisfies a schema without references; true where the schema is no good."""
    jsonschema = _imported("jsonschema")
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(jsonschema.Draft202012Validator(_plain(schema)).is_valid(value))
    return True


def odd(schema: Mapping[str, Any], seed: int) -> tuple[Any, ...]:
    """Values that satisfy a schema without references, the simplest first; none: none was found."""
    try:
        return _found(json.dumps(_plain(schema), sort_keys=True), seed)
    except (TypeError, ValueError):  # no JSON, so no schema
        return ()


@cache
def _found(schema: str, seed: int) -> tuple[Any, ...]:
    kept_in = os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY")
    # It would leave a folder of its own where the command was started.
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = kept_in or tempfile.gettempdir()
    found: dict[str, Any] = {}
    try:
        from_schema = _imported("hypothesis_jsonschema").from_schema
        hypothesis = _imported("hypothesis")
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")

            def collect(value: Any) -> None:
                found[json.dumps(value)] = value

            strategy = from_schema(json.loads(schema), allow_x00=False, codec="ascii")
            settings = hypothesis.settings(
                database=None, max_examples=_TRIES, deadline=None, phases=[hypothesis.Phase.generate],
                suppress_health_check=list(hypothesis.HealthCheck),
            )  # fmt: skip
            hypothesis.seed(seed)(settings(hypothesis.given(strategy)(collect)))()
    finally:
        if kept_in is None:
            os.environ.pop("HYPOTHESIS_STORAGE_DIRECTORY", None)
    return tuple(found[text] for text in sorted(found, key=lambda text: (len(text), text)))


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON Schema says it, where OpenAPI 3.0 says it otherwise."""
    plain = {key: value for key, value in schema.items() if key not in _FOREIGN}
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if not isinstance(plain.get(flag), bool):
            continue
        if plain.pop(flag) and bound in plain:
            plain[flag] = plain.pop(bound)
    return plain


def _imported(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise MissingExtra("hypothesis-jsonschema", "prove") from None
